"""Removing trees that somebody hostile has filled: all of it goes, nothing else does."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun.linux.trees import remove_tree
from minirun.storage import overlay

FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
IMMUTABLE, APPEND = 0x10, 0x20


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[int]:
    """A directory with a canary, as a descriptor; the tree is to be made in it."""
    (tmp_path / "canary").mkdir()
    (tmp_path / "canary/sings").write_text("yes")
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)
    assert (tmp_path / "canary/sings").read_text() == "yes"
    # What a failed test has left: pytest itself couldn't remove a tree that is so deep.
    for name in os.listdir(tmp_path):
        subprocess.run(["rm", "-rf", tmp_path / name], check=True)


def remove(yard: int, name: str) -> None:
    """Remove the tree, and see that it is gone and nothing else is."""
    remove_tree(yard, name)
    assert name not in os.listdir(yard)
    assert "canary" in os.listdir(yard)


def add_flags(path: Path, flags: int) -> None:
    """As chattr(1) does: what is set stays set."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        old = int.from_bytes(fcntl.ioctl(descriptor, FS_IOC_GETFLAGS, bytes(8)), "little")
        fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, (old | flags).to_bytes(8, "little"))
    finally:
        os.close(descriptor)


def test_what_is_not_there_is_fine(yard):
    remove_tree(yard, "nothing")
    overlay.remove_tree(yard, "nothing")


def test_a_file_a_link_and_an_empty_directory(yard, tmp_path):
    (tmp_path / "file").write_text("x")
    os.symlink("canary", tmp_path / "link")
    (tmp_path / "empty").mkdir()
    for name in ("file", "link", "empty"):
        remove(yard, name)


def test_everything_that_can_lie_in_a_directory(yard, tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for i in range(300):
        (tree / f"d{i % 7}" / f"e{i % 11}").mkdir(parents=True, exist_ok=True)
        (tree / f"d{i % 7}" / f"e{i % 11}" / f"f{i}").write_text("x")
    os.symlink("../canary", tree / "link")
    os.symlink("/", tree / "d1/root")
    os.link(tmp_path / "canary/sings", tree / "d2/hard")
    os.mkfifo(tree / "d3/fifo")
    os.mknod(tree / "d3/whiteout", 0o20000, os.makedev(0, 0))
    os.mkdir(os.fsencode(tree) + b"/\xff\n\x1b[31m")
    os.mkdir(os.fsencode(tree) + b"/\xff\n\x1b[31m/x")
    (tree / ".minirun-0").mkdir()
    (tree / ".minirun-0/.minirun-1").mkdir()
    os.chmod(tree / "d4", 0)
    remove(yard, "tree")


def test_a_tree_deeper_than_any_path(yard, tmp_path):
    (tmp_path / "deep").mkdir()
    here = os.open(tmp_path / "deep", os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("directory", dir_fd=here)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        below = os.open("directory", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    before = len(os.listdir("/proc/self/fd"))
    remove(yard, "deep")
    assert len(os.listdir("/proc/self/fd")) == before


def test_many_files_in_one_directory(yard, tmp_path):
    (tmp_path / "wide").mkdir()
    for i in range(20_000):
        os.close(os.open(tmp_path / "wide" / str(i), os.O_CREAT | os.O_WRONLY))
    remove(yard, "wide")


def test_immutable_files_and_directories(yard, tmp_path):
    tree = tmp_path / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/file").write_text("x")
    (tree / "a/log").write_text("x")
    try:
        add_flags(tree / "a/b/file", IMMUTABLE)
        add_flags(tree / "a/log", APPEND)
        add_flags(tree / "a/b", IMMUTABLE)
        add_flags(tree / "a", APPEND)
        add_flags(tree, IMMUTABLE)
        remove(yard, "tree")
    finally:
        subprocess.run(["chattr", "-R", "-ia", tree], check=False, capture_output=True)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/"])
def test_a_name_is_one_component(name, yard):
    with pytest.raises(OSError, match="Invalid argument"):
        remove(yard, name)


def test_a_mount_is_not_crossed(tmp_path):
    program = """
import ctypes, os, sys
from minirun.linux.trees import remove_tree
top = sys.argv[1]
os.makedirs(f"{top}/tree/a/mounted")
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mount(b"none", f"{top}/tree/a/mounted".encode(), b"tmpfs", 0, None) == 0
open(f"{top}/tree/a/mounted/kept", "w").close()
try:
    remove_tree(os.open(top, os.O_RDONLY), "tree")
except OSError as error:
    print(error.errno, error)
print(os.listdir(f"{top}/tree/a/mounted") if os.path.isdir(f"{top}/tree/a/mounted") else "moved")
found = [d for d, _, files in os.walk(top) if "kept" in files]
print(len(found))
"""
    words = ["unshare", "-m", "--propagation", "private", sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == str(errno.EBUSY)
    assert done.stdout.split()[-1] == "1"


def test_a_directory_that_is_swapped_for_a_link_is_not_followed(yard, tmp_path):
    """A racing process exchanges a directory and a symlink to the canary; whoever wins, the canary stays."""
    program = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
os.chdir(sys.argv[1])
print("ready", flush=True)
while os.path.lexists("tree"):
    libc.renameat2(-100, b"tree/d", -100, b"tree/l", 2)
"""
    for _ in range(20):
        (tmp_path / "tree/d/e/f").mkdir(parents=True)
        os.symlink("../canary", tmp_path / "tree/l")
        racer = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE)
        assert racer.stdout is not None
        racer.stdout.readline()
        try:
            while os.path.lexists(tmp_path / "tree"):
                try:
                    remove(yard, "tree")
                except OSError as error:
                    if error.errno not in {errno.ENOTDIR, errno.ELOOP, errno.ENOTEMPTY, errno.EISDIR}:
                        raise
        finally:
            racer.kill()
            racer.wait()
            racer.stdout.close()


def test_the_layer_of_a_container(tmp_path):
    before = os.umask(0o077)
    try:
        overlay.create(str(tmp_path))
    finally:
        os.umask(before)
    assert sorted(os.listdir(tmp_path)) == ["upper", "work"]
    assert os.stat(tmp_path / "upper").st_mode & 0o7777 == 0o755
    assert os.stat(tmp_path / "work").st_mode & 0o7777 == 0o700
    os.mkdir(tmp_path / "work/work", 0)  # as overlayfs does
    (tmp_path / "upper/file").write_text("x")
    overlay.remove(str(tmp_path))
    assert os.listdir(tmp_path) == []
    overlay.remove(str(tmp_path))
