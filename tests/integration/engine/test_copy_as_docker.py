"""`cp` and `diff` beside docker's own: the same words on the same files, then codes, messages and what is there afterwards."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dockerd import Docker, at_once, private_docker
from tests.waiting import until

SETTING = """
mkdir -p /a/b/c /dir /opt/real; echo 1 > /a/b/c/f; ln /a/b/c/f /a/hard; ln -s b/c /a/link; ln -s /opt/real /a/absolute
ln -s /nowhere /a/dangling; ln -s f2 /a/to-missing; mkfifo /a/p; chmod 2750 /a/b; chown 12:34 /a/b/c/f; echo x > /plain
"""

# One after the other: what one leaves, the next finds. `@` is the container. Out of it, into it, and neither.
COPIES = """
@:/nope out;@:/nope/nope out;@:/plain nodir/x;@:/plain newdir/;@:/a file;@:/plain/ out;@:/plain/. out
@:/proc/1/status out;@: out;@:/plain file/
@:/plain dir;@:/plain out-file;@:/plain out-file;@:a/b out-b;@:/a/b out-b;@:/a/b/. out-c;@:/a/b/. out-b
@:/a/b out-slash/;@:/a/hard dir/c;@:/a/link out-link;@:/a/link/ out-link-dir;@:/a/link/. out-link-content
-L @:/a/link out-followed;-L @:/a/absolute out-absolute;@:/a/../a/./b//c out-odd;@:/a link-to-dir
@:/plain link-to-nothing;@:/tm out-tmpfs;@:/vol out-volume;@:/vol/in-volume out-of-volume
-a @:/a/b/c/f out-owner;@:/a out-a
file @:/nodir/x;file @:/plain/;file @:/newf/;file @:/newf/.;tree @:/plain;missing @:/a;-L dangling @:/a;file @:
clash-1/. @:/a;clash-2/. @:/a;file @:/a/b/c/f/x;file @:/vol-ro/x;fifo @:/a/fifo
file @:/dir;file @:/dir/renamed;file @:/dir/renamed;tree @:/dir;tree @:/dir/tree;tree/. @:/dir/content;tree @:/dir/new
tree/ @:/dir/slash;link-to-file @:/dir;-L link-to-file @:/dir/followed;dangling @:/dir;link-to-dir/ @:/dir
link-to-dir @:/dir/as-link;-L link-to-dir @:/dir;file @:/a/absolute;file @:/a/absolute/named;file @:/a/dangling
file @:/a/to-missing;file @:dir/relative;file @:/vol/arrived;-a file @:/dir/as-user;-q file @:/dir/quiet
./colon:name @:/dir;tree/sub/.. @:/dir/dots
@:/a @:/b;file file2;'' @:/x;file '';nobody:/x out;file nobody:/x
"""

DIFFERENT_WORDS = {
    "@:/plain/ out",
    "@:/plain/. out",
    "@:/plain file/",
    "@: out",
    "file @:/a/b/c/f/x",
}  # the same code, and as clear


class Side:
    """One of the two: how it is called, and the directory of the host that it works in."""

    def __init__(self, call: Callable[..., subprocess.CompletedProcess[str]], home: Path) -> None:
        self.call = call
        self.home = home
        self._make()

    def _make(self) -> None:
        home = self.home
        for path in ("dir", "tree/sub", "clash-1/hard", "clash-2", "vol", "vol-ro"):
            (home / path).mkdir(parents=True)
        for path in ("file", "tree/one", "tree/sub/two", "clash-2/b", "colon:name", "vol/in-volume"):
            (home / path).write_text(path)
        for link, target in (
            ("link-to-file", "file"),
            ("link-to-dir", "dir"),
            ("dangling", "gone"),
            ("link-to-nothing", "made-by-copy"),
        ):
            (home / link).symlink_to(target)
        os.mkfifo(home / "fifo")
        os.link(home / "tree/one", home / "tree/linked")
        os.chown(home / "file", 1000, 1001)
        os.chmod(home / "tree/sub/two", 0o4711)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.call(*words, cwd=self.home)

    def copy(self, words: str) -> tuple[int, str]:
        """Copy, and give code and complaint, without what says who complains."""
        arguments = [word.strip("'").replace("@", "box") for word in words.split()]
        done = self.run("cp", *arguments)
        lines = [line for line in done.stderr.splitlines() if not line.startswith("time=")]
        text = re.sub(r"^(Error response from daemon|Error): |\(exit status \d+\)", "", "\n".join(lines))
        return done.returncode, text.replace(str(self.home), "HOME")

    def host(self) -> list[str]:
        """Everything below the directory of the host."""
        return sorted(self._line(path) for path in self.home.rglob("*"))

    def _line(self, path: Path) -> str:
        status = path.lstat()
        name = path.relative_to(self.home)
        owner = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid} {status.st_nlink if path.is_file() else 0}"
        if path.is_symlink():
            return f"{name} {owner} -> {os.readlink(path)}"
        return f"{name} {owner} {path.read_text() if path.is_file() else ''}"

    def inside(self, path: str) -> list[str]:
        """Everything below a directory of the container, as its archive says; times but for seconds of now."""
        archive = self.home.parent / f"{self.home.name}.tar"
        with archive.open("wb") as file:
            self.call("cp", f"box:{path}", "-", stdout=file)
        listing = subprocess.run(
            ["tar", "-tvf", archive, "--numeric-owner"], capture_output=True, text=True, check=True
        ).stdout
        return sorted(re.sub(r" \d{4}-\d\d-\d\d \d\d:\d\d", "", line) for line in listing.splitlines())


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory, fixture_archive: Callable[[str], Path]) -> Iterator[Docker]:
    with private_docker(tmp_path_factory.mktemp("docker")) as daemon:
        daemon("import", str(fixture_archive("busybox")), "busybox")
        yield daemon


def sides(docker: Docker, minirun: object, tmp_path: Path) -> list[Side]:
    """Both, each with a directory of its own that looks the same."""

    def with_docker(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "check": False} | options
        return subprocess.run(docker.words(*words), stdin=subprocess.DEVNULL, **streams)  # type: ignore[call-overload]

    def with_minirun(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "check": False} | options
        command = [*minirun.words, *words]  # type: ignore[attr-defined]
        return subprocess.run(command, stdin=subprocess.DEVNULL, **streams)  # type: ignore[call-overload]

    return [Side(with_docker, tmp_path / "docker"), Side(with_minirun, tmp_path / "minirun")]


def start(side: Side, script: str, *, stays: bool) -> None:
    words = [
        "--network",
        "none",
        "--name",
        "box",
        "-v",
        f"{side.home}/vol:/vol",
        "-v",
        f"{side.home}/vol-ro:/vol-ro:ro",
        "--tmpfs",
        "/tm",
    ]
    made = side.run(
        "run", "-d", *words, "busybox", "sh", "-c", f"{script}\ntouch /vol/ready; {'exec sleep 600' if stays else ''}"
    )
    assert made.returncode == 0, made.stderr
    if not stays:
        side.run("wait", "box")
    until("the setting is made", (side.home / "vol/ready").exists)


@pytest.mark.parametrize("stays", [False, True], ids=["stopped", "running"])
def test_copies_go_as_with_docker(docker, minirun, busybox, tmp_path, stays):
    both = sides(docker, minirun, tmp_path)
    try:
        for side in both:
            start(side, SETTING, stays=stays)
        # What is written where doesn't depend on whether it runs: then some of them are enough.
        lines = COPIES.strip().replace("\n", ";").split(";")[:: 3 if stays else 1]
        answers = at_once(lambda side: [side.copy(words) for words in lines], both)
        for words, theirs, ours in zip(lines, *answers, strict=True):
            if words in DIFFERENT_WORDS:
                assert (theirs[0], bool(theirs[1])) == (ours[0], bool(ours[1])), words
            else:
                assert ours == theirs, words
        assert both[1].host() == both[0].host()
        for path in ("/a", "/dir/.", "/opt/", "/vol"):
            assert both[1].inside(path) == both[0].inside(path)
    finally:
        for side in both:
            side.run("rm", "-f", "box")
            shutil.rmtree(side.home)


CHANGES = """
echo new > /etc/new; echo more >> /etc/passwd; rm /etc/group; mkdir -p /deep/er; echo 1 > /deep/er/f; ln /deep/er/f /deep/hard
mv /home /house; rm -rf /root; mkdir /root; echo q > /root/z; touch /tmp/gone; rm /tmp/gone; chmod 700 /var; chown 5 /usr/bin
touch /usr; mkfifo /p; ln -s x /l; rm -rf /run; echo file > /run; chmod 755 /bin/busybox; ln /etc/passwd /etc/passwd-linked
mkdir /opaque; rmdir /opaque; mkdir /opaque; echo 1 > "/sp ace"; rm -rf /usr/sbin
"""


@pytest.mark.parametrize("stays", [False, True], ids=["stopped", "running"])
def test_diff_says_what_docker_says(docker, minirun, busybox, tmp_path, stays):
    both = sides(docker, minirun, tmp_path)
    try:
        for side in both:
            start(side, CHANGES, stays=stays)
        theirs, ours = (side.run("diff", "box").stdout.splitlines() for side in both)
        assert sorted(ours) == sorted(theirs)
        assert [line[2:] for line in ours] == sorted((line[2:] for line in ours), key=lambda path: path.split("/"))
        assert {"D /home", "A /house", "C /root"} <= set(ours)
    finally:
        for side in both:
            side.run("rm", "-f", "box")
            shutil.rmtree(side.home)
