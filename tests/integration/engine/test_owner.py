"""`-v source:target:owner`: what the container's user writes belongs to whom the directory belongs to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory of user 4242, with one file of hers and one of root's."""
    made = tmp_path / "hers"
    made.mkdir()
    for name, owner in (("hers", 4242), ("roots", 0)):
        (made / name).write_text(f"{name}\n")
        os.chown(made / name, owner, 4343)
    os.chown(made, 4242, 4343)
    return made


def owners(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid


@pytest.mark.parametrize("user", ["", "0", "7:8", "4242"])
def test_files_belong_to_the_owner_of_the_directory(minirun, busybox, directory: Path, user: str) -> None:
    script = "echo new >/data/made && mkdir /data/inner && touch /data/inner/file && stat -c '%u:%g' /data/made"
    options = ("-u", user) if user else ()
    done = minirun("run", "--rm", *options, "-v", f"{directory}:/data:owner", busybox, "sh", "-c", script)
    uid, _, gid = (user or "0").partition(":")
    assert done.stdout == f"{uid}:{gid or '0'}\n"
    for name in ("made", "inner", "inner/file"):
        assert owners(directory / name) == (4242, 4343)
    assert owners(directory / "hers") == (4242, 4343)


def test_files_of_others_stay_theirs(minirun, busybox, directory: Path) -> None:
    script = "stat -c %u /data/hers /data/roots; echo x >>/data/hers; chown 5:5 /data/hers; chown 0:0 /data/roots; :"
    done = minirun("run", "--rm", "-v", f"{directory}:/data:owner", busybox, "sh", "-c", script)
    assert done.stdout == "0\n65534\n"
    assert (directory / "hers").read_text() == "hers\nx\n"
    assert (owners(directory / "hers"), owners(directory / "roots")) == ((4242, 4343), (0, 4343))


def test_it_is_shown(minirun, busybox, directory: Path) -> None:
    name = f"test-{os.getpid()}-owner"
    minirun("create", "--name", name, "-v", f"{directory}:/data:ro,owner", busybox, "true")
    try:
        shown = minirun("inspect", "--format", "{{(index .Mounts 0).Mode}} {{index .HostConfig.Binds 0}}", name).stdout
        assert shown == f"ro,owner {directory}:/data:ro,owner\n"
    finally:
        minirun("rm", name)


def test_a_user_by_name_is_refused(minirun, busybox, directory: Path) -> None:
    done = minirun("run", "--rm", "-u", "daemon", "-v", f"{directory}:/data:owner", busybox, "true", check=False)
    assert done.returncode == 125
    assert "give --user as a number" in done.stderr
