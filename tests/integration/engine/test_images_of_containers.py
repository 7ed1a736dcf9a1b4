"""`export`, `commit`, `save` and `history`: what is written is what there was, and other tools read it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dockerd import Docker, private_docker

ODD = r"""
mkdir -p /odd/er; echo 1 > /odd/file; ln /odd/file /odd/er/hard; ln -s ../nowhere /odd/link; mkfifo /odd/fifo
mknod /odd/null c 1 3; mknod /odd/block b 7 200; chmod 6755 /odd/file; chown 70000:3000000 /odd/er
L=$(printf 'n%.0s' $(seq 200)); mkdir -p /odd/$L/$L; echo long > /odd/$L/$L/$L; ln -s $L/$L/$L /odd/long-link
ln /odd/$L/$L/$L /odd/long-hard; printf bytes > "$(printf '/odd/\377\376')"; echo u > /odd/ümlaut
dd if=/dev/zero of=/odd/sparse bs=1 count=0 seek=40000000 2>/dev/null
echo middle | dd of=/odd/sparse bs=1 seek=20000000 conv=notrunc 2>/dev/null
touch -d '1969-12-31 23:59:50' /odd/old; touch -d '2200-01-01 00:00:00' /odd/late
"""
CHANGES = r"""
echo more >> /etc/passwd; rm /etc/group; rm -rf /root; mkdir /root; echo 1 > /root/new; mv /home /house; rm -rf /run; echo 1 > /run
chmod 700 /var; ln /etc/passwd /linked; mkdir /made; echo 1 > /made/it; ln /made/it /made/again
"""


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory, minirun: Any, busybox: str) -> Iterator[Docker]:
    top = tmp_path_factory.mktemp("docker")
    with private_docker(top) as daemon:
        minirun("save", "-o", str(top / "busybox.tar"), busybox)
        daemon("load", "-i", str(top / "busybox.tar"))
        yield daemon


@pytest.fixture
def box(minirun, busybox) -> Iterator[Callable[..., str]]:
    """Run a script in a container that then is at rest; gives its name. It goes afterwards, and so do images named `made*`."""
    names: list[str] = []

    def run(script: str, *words: str, image: str = busybox) -> str:
        names.append(f"box{len(names)}")
        minirun("run", "--network", "none", "--name", names[-1], *words, image, "sh", "-c", script)
        return names[-1]

    yield run
    if names:
        minirun("rm", "-f", *names)
    made = {
        line for line in minirun("images", "--format", "{{.ID}} {{.Repository}}").stdout.splitlines() if "made" in line
    }
    if made:
        minirun("rmi", "-f", *{line.split()[0] for line in made})


def listing(archive: Path) -> list[tuple[Any, ...]]:
    """Everything that an archive says of each entry, times in whole seconds."""
    with tarfile.open(archive, errors="surrogateescape") as tar:
        return sorted(
            (
                entry.name.strip("/."), entry.type, entry.mode & 0o7777, entry.uid, entry.gid, int(entry.mtime),
                entry.linkname, entry.devmajor, entry.devminor, entry.size,
                sorted((key, value) for key, value in entry.pax_headers.items() if "xattr" in key),
            )
            for entry in tar
            if entry.name.strip("/.")
        )  # fmt: skip


def export(minirun, name: str, to: Path) -> Path:
    minirun("export", "-o", str(to), name)
    return to


def test_an_export_holds_all_that_a_file_system_can_and_comes_back_the_same(minirun, box, engine, docker, tmp_path):
    name = box(ODD)
    upper = Path(engine.layout.container(engine.container(name).id), "upper")
    os.setxattr(upper / "odd/file", "user.note", b"two\nlines\0=")
    os.setxattr(upper / "odd/file", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    os.setxattr(upper / "odd/er", "trusted.note", b"on a directory")
    archive = export(minirun, name, tmp_path / "one.tar")
    assert archive.stat().st_size < 5_000_000, "the hole isn't there"
    assert minirun("export", name).stdout.encode(errors="surrogateescape") == archive.read_bytes()
    minirun("import", str(archive), "made-of-export")
    minirun("create", "--name", "again", "made-of-export", "sh")
    again = export(minirun, "again", tmp_path / "two.tar")
    minirun("rm", "again")
    assert again.read_bytes() == archive.read_bytes()
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(
        ["tar", "-xpf", archive, "-C", unpacked, "--xattrs", "--xattrs-include=*", "--warning=none"], check=True
    )
    sparse = unpacked / "odd/sparse"
    assert sparse.stat().st_size == 40_000_000
    assert sparse.stat().st_blocks < 100
    assert sparse.read_bytes()[20_000_000:20_000_007] == b"middle\n"
    assert os.getxattr(unpacked / "odd/file", "user.note") == b"two\nlines\0="
    assert os.lstat(unpacked / "odd/er/hard").st_ino == os.lstat(unpacked / "odd/file").st_ino
    assert (os.lstat(unpacked / "odd/er").st_uid, os.lstat(unpacked / "odd/er").st_gid) == (70000, 3000000)
    assert (os.lstat(unpacked / "odd/old").st_mtime, os.lstat(unpacked / "odd/late").st_mtime) == (-10, 7258118400)
    assert os.path.exists(os.fsencode(unpacked) + b"/odd/\xff\xfe")
    assert docker("import", str(archive), "imported").startswith("sha256:")


def test_an_export_has_no_volumes_and_refuses_a_terminal(minirun, box, tmp_path):
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/secret").write_text("not in the image")
    name = box("true", "-v", f"{tmp_path}/volume:/data")
    names = [entry[0] for entry in listing(export(minirun, name, tmp_path / "x.tar"))]
    assert "data" in names
    assert "data/secret" not in names
    refused = minirun("export", "-o", str(tmp_path / "no/where.tar"), name, check=False)
    assert (refused.returncode, "invalid output path: directory" in refused.stderr) == (1, True)
    done = subprocess.run(
        ["script", "-qec", " ".join([*minirun.words, "export", name]), "/dev/null"], capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "cowardly refusing to save to a terminal. Use the -o flag or redirect" in done.stdout


@pytest.mark.parametrize("stays", [False, True], ids=["stopped", "running"])
def test_a_committed_image_is_the_container_here_and_in_docker(minirun, box, docker, tmp_path, stays):
    if stays:
        minirun("run", "-d", "--network", "none", "--name", "box-stays", "busybox", "sleep", "600")
        minirun("exec", "box-stays", "sh", "-c", CHANGES)
        name = "box-stays"
    else:
        name = box(CHANGES)
    try:
        image = minirun("commit", "-m", "changed", name, "made-by-commit:1").stdout.strip()
        before = listing(export(minirun, name, tmp_path / "container.tar"))
    finally:
        minirun("rm", "-f", "box-stays", check=False)
    minirun("create", "--name", "from-image", "made-by-commit:1", "sh")
    after = listing(export(minirun, "from-image", tmp_path / "image.tar"))
    minirun("rm", "from-image")
    started = {"dev", "proc", "sys", "etc", "etc/hosts", "etc/hostname", "etc/resolv.conf"}  # made to mount on
    assert [entry for entry in after if entry[0] not in started] == [
        entry for entry in before if entry[0] not in started
    ]

    minirun("save", "-o", str(tmp_path / "saved.tar"), "made-by-commit:1")
    assert "made-by-commit:1" in docker("load", "-i", str(tmp_path / "saved.tar"))
    assert docker("inspect", "-f", "{{.Id}}", "made-by-commit:1").strip() == image
    docker("create", "--name", "from-image", "made-by-commit:1", "sh")
    docker("export", "-o", str(tmp_path / "docker.tar"), "from-image")
    docker("rm", "from-image")
    theirs = [
        entry
        for entry in listing(tmp_path / "docker.tar")
        if not entry[0].startswith(("dev", "proc", "sys", "dockerenv"))
    ]
    ours = [entry for entry in after if not entry[0].startswith(("dev", "proc", "sys"))]
    skipped = {*started, "etc/mtab"}
    assert [entry for entry in theirs if entry[0] not in skipped] == [
        entry for entry in ours if entry[0] not in skipped
    ]

    docker("save", "-o", str(tmp_path / "back.tar"), "made-by-commit:1")
    docker("rmi", "made-by-commit:1")
    minirun("rmi", "made-by-commit:1")
    minirun("load", "-i", str(tmp_path / "back.tar"))
    assert minirun("inspect", "-f", "{{.Id}}", "made-by-commit:1").stdout.strip() == image


def test_a_container_that_starts_while_a_commit_begins_stands_still(box, engine, monkeypatch):
    """It was at rest when it was looked at, and ran when its lock was free."""
    from minirun.engine import commit

    container = engine.container(box("true"))
    looks, frozen = iter((False, True)), []
    monkeypatch.setattr(commit, "_is_running", lambda *_: next(looks))
    monkeypatch.setattr(commit, "frozen", lambda _, it: frozen.append(it.id) or contextlib.nullcontext())
    commit.commit(engine, container, "raced:1")
    engine.images.remove("raced:1")
    assert frozen == [container.id]
    lock = engine.lock(container.id)
    assert lock.acquire(wait=False)
    lock.release()


def test_a_commit_without_changes_adds_no_layer(minirun, box, busybox):
    name = box("true")
    minirun("commit", name, "made-of-nothing")
    layers = "{{json .RootFS.Layers}}"
    assert (
        minirun("inspect", "-f", layers, "made-of-nothing").stdout == minirun("inspect", "-f", layers, busybox).stdout
    )
    assert minirun("history", "--format", "{{.Size}}", "made-of-nothing").stdout.startswith("0B\n")


COMMIT = ("-a", "A. Author <a@example.org>", "-m", "a message")
ASKED = {
    "plain": ((), ()),
    "given": (("-e", "A=1", "-e", "PATH=/bin", "--label", "l=container", "-u", "5:6", "-w", "/tmp", "--stop-signal", "USR1",
               "-v", "/anonymous", "--health-cmd", "true", "--health-retries", "2"), ()),
    "entrypoint of the container": (("--entrypoint", "/bin/sh"), ()),
    "changes": (
        ("-e", "A=1"),
        ("ENV A=2 B=3", "CMD [\"echo\", \"x\"]", "LABEL x=y", "EXPOSE 80 53/udp", "USER me", "VOLUME /v",
         "WORKDIR sub", "ONBUILD RUN x"),
    ),
    "an entry point drops the command": ((), ("ENTRYPOINT [\"/e\"]",)),
    "but not one of the same commit": ((), ("CMD [\"c\"]", "ENTRYPOINT [\"/e\"]")),
}  # fmt: skip


@pytest.mark.parametrize("case", ASKED)
def test_a_committed_image_says_what_docker_would_make_it_say(minirun, busybox, docker, case):
    options, changes = ASKED[case]
    words = [word for change in changes for word in ("-c", change)]
    said = []
    for call in (lambda *words: minirun(*words).stdout, docker):
        call("create", "--network", "none", "--name", "said", *options, "busybox", "-c", "true")
        call("commit", *COMMIT, *words, "said", "made-to-say")
        said.append(json.loads(call("inspect", "made-to-say"))[0])
        call("rm", "-v", "said")
        call("rmi", "made-to-say")
    ours, theirs = said
    for key in (
        "Cmd",
        "Entrypoint",
        "Env",
        "Labels",
        "User",
        "WorkingDir",
        "ExposedPorts",
        "Volumes",
        "OnBuild",
        "StopSignal",
        "Healthcheck",
    ):
        ours_said, theirs_said = ours["Config"].get(key) or None, theirs["Config"].get(key) or None
        if key == "Env":  # docker's order is that of a map: another one each time
            ours_said, theirs_said = sorted(ours_said or ()), sorted(theirs_said or ())
        assert ours_said == theirs_said, key
    assert (ours["Author"], ours["Comment"]) == (theirs["Author"], theirs["Comment"])


def test_a_history_reads_as_dockers(minirun, box, docker, tmp_path):
    name = box("echo 1 > /first")
    minirun("commit", "-m", "one", name, "made-in-steps:1")
    second = box("echo 'a long line that a table of eighty columns can not hold' > /second", image="made-in-steps:1")
    minirun("commit", "-c", "ENV A=1", second, "made-in-steps:2")
    empty = box("true", image="made-in-steps:2")
    minirun("commit", empty, "made-in-steps:3")
    minirun("save", "-o", str(tmp_path / "x.tar"), "made-in-steps:3")
    docker("load", "-i", str(tmp_path / "x.tar"))
    fields = "{{.ID}}|{{.CreatedAt}}|{{.CreatedBy}}|{{.Comment}}"
    for options in (
        (),
        ("--no-trunc",),
        ("-q",),
        ("-q", "--no-trunc"),
        ("--format", fields),
        ("--no-trunc", "--format", fields),
        ("-H=false",),
    ):
        ours, theirs = (
            call("history", *options, "made-in-steps:3") for call in (lambda *words: minirun(*words).stdout, docker)
        )
        assert without_ages(ours) == without_ages(theirs), options
    assert minirun("history", "--platform", "linux/s390x", "made-in-steps:3", check=False).returncode == 1
    assert minirun("history", "nothing-like-it", check=False).stderr == "Error: No such image: nothing-like-it:latest\n"


def without_ages(text: str) -> list[list[str]]:
    """Cells of a table; the moment that a line was asked at is a second earlier for one of the two."""
    import re

    text = re.sub(r"(Less than a second|About a minute|\d+ seconds?) ago", "just now", text)
    return [re.split(r" {2,}", line.rstrip()) for line in text.splitlines()]


def test_several_images_are_saved_as_docker_and_oci_tools_read_them(minirun, box, busybox, docker, tmp_path):
    name = box("echo 1 > /one")
    minirun("commit", name, "made-for-saving:1")
    minirun("tag", "made-for-saving:1", "made-for-saving:again")
    minirun("tag", "made-for-saving:1", "registry.example:5000/made/else:x")
    archive = tmp_path / "saved.tar"
    minirun("save", "-o", str(archive), "made-for-saving", busybox, "registry.example:5000/made/else:x")
    written = minirun("save", "made-for-saving", busybox, "registry.example:5000/made/else:x").stdout
    assert written.encode(errors="surrogateescape") == archive.read_bytes()
    loaded = docker("load", "-i", str(archive))
    for wanted in ("made-for-saving:1", "made-for-saving:again", "registry.example:5000/made/else:x", "busybox:latest"):
        assert f"Loaded image: {wanted}" in loaded
        ours = minirun("inspect", "-f", "{{.Id}}", wanted).stdout
        assert docker("inspect", "-f", "{{.Id}}", wanted) == ours
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        assert names[:2] == ["blobs", "blobs/sha256"]
        assert names[-4:] == [
            "index.json",
            "manifest.json",
            "oci-layout",
            "repositories",
        ]
        assert {entry.mtime for entry in tar} == {0}
        index = json.load(tar.extractfile("index.json"))
    (tmp_path / "layout").mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", tmp_path / "layout"], check=True)
    copied = tmp_path / "copied"
    subprocess.run(
        ["skopeo", "copy", "-q", f"docker-archive:{archive}:made-for-saving:again", f"dir:{copied}"],
        check=True,
        capture_output=True,
    )
    digests = {entry["digest"] for entry in index["manifests"]}
    assert len(index["manifests"]) == 4
    assert len(digests) == 2
    for digest in digests:
        data = (tmp_path / "layout/blobs/sha256" / digest[7:]).read_bytes()
        assert (Path(minirun.words[2]) / "images/blobs/sha256" / digest[7:]).read_bytes() == data
    docker("rmi", "-f", "made-for-saving:1", "made-for-saving:again", "registry.example:5000/made/else:x")


def test_what_cant_be_saved_is_said_before_a_byte_is_written(minirun, busybox, tmp_path):
    target = tmp_path / "x.tar"
    target.write_text("precious")
    for words, complaint in (
        (("no-such-image",), "Error: No such image: no-such-image:latest\n"),
        (("--platform", "linux/s390x", busybox), "does not provide the specified platform"),
        (("--platform", "linux/x/y/z", busybox), "invalid platform"),
    ):
        refused = minirun("save", "-o", str(target), *words, check=False)
        assert refused.returncode == 1
        assert complaint in refused.stderr
    minirun("save", "--platform", "linux/amd64", "-o", str(tmp_path / "y.tar"), busybox)
    assert target.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["x.tar", "y.tar"]
