"""`--mount type=image`: the files of another image inside a container, to be read and never written."""

from __future__ import annotations

import json

import pytest

SHOW = "type=image,source=shown,target=/i"


@pytest.fixture(scope="module")
def shown(minirun, busybox):
    """An image of two layers beside busybox, under the name `shown`."""
    script = "mkdir /d; echo below > /d/file; rm -r /bin/vi"
    minirun("run", "--name", "maker", "--network", "none", busybox, "sh", "-c", script)
    minirun("commit", "maker", "shown")
    minirun("rm", "maker")
    yield minirun
    minirun("rmi", "-f", "shown")


def test_its_files_are_there_and_nobody_can_change_them(shown):
    script = "cat /i/d/file; ls /i/bin/vi /i/bin/busybox 2>&1; echo x > /i/d/file; touch /i/new; cat /here/file"
    done = shown(
        "run", "--rm", "--network", "none", "--mount", SHOW, "--mount",
        "type=image,src=shown,dst=/here,image-subpath=d", "busybox", "sh", "-c", script,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "below",
        "ls: /i/bin/vi: No such file or directory",
        "/i/bin/busybox",
        "below",
    ]
    assert done.stderr.count("Read-only file system") == 2


def test_it_stays_as_it_was_and_the_hosts_mount_table_never_has_it(shown, roots):
    shown("run", "-d", "--name", "box", "--network", "none", "--mount", SHOW, "busybox", "sleep", "1000")
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            assert str(roots.root) not in file.read()
        mounts = json.loads(shown("inspect", "-f", "{{json .Mounts}}", "box").stdout)
        assert [(mount["Type"], mount["Name"], mount["Destination"], mount["RW"]) for mount in mounts] == [
            ("image", "shown", "/i", False)
        ]
        asked = json.loads(shown("inspect", "-f", "{{json .HostConfig.Mounts}}", "box").stdout)
        assert asked == [{"Type": "image", "Source": "shown", "Target": "/i"}]
        shown("stop", "box")
        shown("start", "box")
        assert shown("exec", "box", "cat", "/i/d/file").stdout == "below\n"
    finally:
        shown("rm", "-f", "box")


def test_an_image_that_is_shown_stays_while_its_container_does(shown):
    shown("create", "--name", "box", "--network", "none", "--mount", SHOW, "busybox", "cat", "/i/d/file")
    shown("create", "--name", "borrower", "--network", "none", "--volumes-from", "box", "busybox", "cat", "/i/d/file")
    try:
        done = shown("rmi", "shown", check=False)
        assert (done.returncode, "is using its referenced image" in done.stderr) == (1, True)
        assert "Deleted" not in shown("image", "prune", "-af").stdout
        assert shown("start", "-a", "box").stdout == shown("start", "-a", "borrower").stdout == "below\n"
        assert shown("system", "check").returncode == 0
    finally:
        shown("rm", "box", "borrower")


def test_with_ids_of_its_own_the_files_are_roots(shown):
    script = "stat -c %u:%g /i/d/file; touch /i/x"
    done = shown(
        "run",
        "--rm",
        "--network",
        "none",
        "--userns",
        "auto",
        "--mount",
        SHOW,
        "busybox",
        "sh",
        "-c",
        script,
        check=False,
    )
    assert done.stdout == "0:0\n"
    assert "Read-only file system" in done.stderr
    part = f"{SHOW},image-subpath=d"
    done = shown(
        "run", "--rm", "--network", "none", "--userns", "auto", "--mount", part, "busybox", "true", check=False
    )
    assert (done.returncode, "mount the whole image" in done.stderr) == (125, True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("type=image,dst=/i", 'invalid mount config for type "image": field Source must not be empty'),
        ("type=image,src=nobody,dst=/i", "No such image: nobody"),
        ("type=image,src=shown,dst=/i,volume-nocopy", "cannot mix 'volume-*' options with mount type 'image'"),
        ("type=bind,src=/,dst=/i,image-subpath=x", "cannot mix 'image-*' options with mount type 'bind'"),
        ("type=image,src=shown,dst=/i,image-subpath=../x", "must be a relative path inside the image"),
        ("type=image,src=shown,dst=/i,image-subpath=nowhere", "No such file or directory"),
    ],
)
def test_what_can_not_be_is_said(shown, text, says):
    done = shown("run", "--rm", "--network", "none", "--mount", text, "busybox", "true", check=False)
    assert done.returncode == 125
    assert says in done.stderr
