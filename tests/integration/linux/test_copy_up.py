"""COPY_UP: a new file system that begins with what the root file system has in its place (tmpcopyup)."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import stat
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minirun.linux import flags
from minirun.linux import plan as p
from tests.integration.linux.conftest import Walk

Container = Callable[..., p.Plan]
Copy = Callable[..., int]
IN_2001 = 1_000_000_000
DEEPEST = 64


def _index(plan: p.Plan, name: str) -> int:
    return next(i for i, (_, operation) in enumerate(plan.operations()) if operation.name == name)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Stands for the new file system where the test looks at the copy from outside."""
    directory = tmp_path / "target"
    directory.mkdir()
    return directory


@pytest.fixture
def copy(walk: Walk, container: Container, target: Path) -> Copy:
    """Give a function that copies what lies at a path of the root to `target`; errno of the failure, or 0."""

    def run(path: str = "/data", *, before: tuple[p.Operation, ...] = ()) -> int:
        steps = (*before, p.tree(2, p.HOST, str(target), False), p.copy_up(2, 0, path))
        plan = container("true", steps=steps)
        outcome = walk(plan)
        if outcome.failed is None:
            return 0
        assert outcome.failed[0] == _index(plan, "COPY_UP")
        return outcome.failed[1]

    return run


@pytest.fixture
def exact_modes() -> Iterator[None]:
    """What the test makes has the mode that it asks for."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_tmpfs_has_what_was_there_and_changes_stay_in_it(walk: Walk, container: Container, rootfs: Path) -> None:
    (rootfs / "data/deep/er").mkdir(parents=True)
    (rootfs / "data/deep/er/file").write_text("text")
    (rootfs / "data").chmod(0o2750)
    steps = (p.filesystem(2, "tmpfs", "tmpfs", ("mode=755",)), p.copy_up(2, 0, "/data"), p.attach(2, 0, "/data"))
    script = "cd /data; cat deep/er/file; echo new > deep/er/file; touch made; stat -c %a ."
    assert walk(container("sh", "-c", script, steps=steps)).output == "text2750\n"
    assert (rootfs / "data/deep/er/file").read_text() == "text"
    assert not (rootfs / "data/made").exists()


@pytest.mark.usefixtures("exact_modes")
def test_owner_mode_and_times_of_everything_are_kept(copy: Copy, rootfs: Path, target: Path) -> None:
    data = rootfs / "data"
    (data / "directory").mkdir(0o1777)
    (data / "directory/inside").touch()
    (data / "file").write_text("text")
    os.mkfifo(data / "fifo", 0o666)
    os.mknod(data / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(data / "socket"))
    (data / "link").symlink_to("/etc/passwd")
    names = ("directory/inside", "directory", "file", "fifo", "device", "socket", "link", ".")
    for number, name in enumerate(names):
        os.chown(data / name, 1000 + number, 2000 + number, follow_symlinks=False)
    (data / "file").chmod(0o4751)  # a change of owner has cut the first bit
    (data / "fifo").chmod(0o2666)
    for number, name in enumerate(names):
        os.utime(data / name, (IN_2001, IN_2001 + number), follow_symlinks=False)

    assert copy() == 0
    for name in names:
        before, after = (os.lstat(place / name) for place in (data, target))
        for field in ("st_mode", "st_uid", "st_gid", "st_rdev", "st_mtime"):
            assert getattr(after, field) == getattr(before, field), (name, field)
    assert os.readlink(target / "link") == "/etc/passwd"
    assert (target / "file").read_text() == "text"


def test_reading_the_source_leaves_its_times_alone(copy: Copy, rootfs: Path) -> None:
    (rootfs / "data/file").write_text("text")
    for path in (rootfs / "data/file", rootfs / "data"):
        os.utime(path, (IN_2001, IN_2001))
    assert copy() == 0
    assert [os.stat(path).st_atime for path in (rootfs / "data/file", rootfs / "data")] == [IN_2001, IN_2001]


def test_file_capabilities_are_kept_though_a_change_of_owner_removes_them(
    copy: Copy, rootfs: Path, target: Path
) -> None:
    program = rootfs / "data/program"
    program.touch()
    os.chown(program, 1000, 1000)
    net_raw = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
    os.setxattr(program, "security.capability", net_raw)
    assert copy() == 0
    assert os.getxattr(target / "program", "security.capability") == net_raw


def test_extended_attributes_are_kept_but_not_those_of_overlayfs(copy: Copy, rootfs: Path, target: Path) -> None:
    for path in (rootfs / "data/directory", rootfs / "data"):
        path.mkdir(exist_ok=True)
        os.setxattr(path, "trusted.overlay.opaque", b"y")
        os.setxattr(path, "trusted.mine", b"\0kept")
    assert copy() == 0
    for path in (target / "directory", target):
        assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == {"trusted.mine": b"\0kept"}


def test_a_file_with_holes_takes_no_more_room_than_before(copy: Copy, rootfs: Path, target: Path) -> None:
    """/var/log/lastlog of a host with large user ids has hundreds of GiB, all but a few bytes of them holes."""
    size = 300 << 30
    with open(rootfs / "data/lastlog", "wb") as file:
        file.truncate(size)
        file.seek(200 << 30)
        file.write(b"last login")
    assert copy() == 0
    found = os.stat(target / "lastlog")
    assert found.st_size == size
    assert found.st_blocks * 512 < 1 << 20
    with open(target / "lastlog", "rb") as file:
        file.seek(200 << 30)
        assert file.read(10) == b"last login"


def test_a_file_larger_than_any_buffer_is_whole(copy: Copy, rootfs: Path, target: Path) -> None:
    content = os.urandom(1_000_003)
    (rootfs / "data/file").write_bytes(content)
    assert copy() == 0
    assert (target / "file").read_bytes() == content


def test_a_directory_of_many_entries_is_whole(copy: Copy, rootfs: Path, target: Path) -> None:
    names = {f"{number:04}-with-a-name-of-some-length" for number in range(2000)}
    for name in names:
        (rootfs / "data" / name).touch()
    assert copy() == 0
    assert set(os.listdir(target)) == names


@pytest.mark.parametrize("path", ["/absent", "/absent/deep", "/etc/passwd", "/etc/passwd/x"])
def test_nothing_is_copied_from_where_no_directory_is(copy: Copy, target: Path, path: str) -> None:
    assert copy(path) == 0
    assert os.listdir(target) == []


def test_mounts_below_are_copied_too(copy: Copy, rootfs: Path, canary: Path, target: Path) -> None:
    before = (p.tree(3, p.HOST, str(canary), True), p.attach(3, 0, "/data/mount", p.CREATE_DIRECTORY))
    assert copy(before=before) == 0
    assert (target / "mount/secret").read_text() == "secret"


# ---- A hostile root file system ------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["{canary}", "../../../../../../../../../../../../..{canary}", "/proc/self/cwd"])
def test_a_link_in_place_of_the_directory_leads_nowhere_on_the_host(
    copy: Copy, rootfs: Path, canary: Path, target: Path, link: str
) -> None:
    (rootfs / "data").rmdir()
    (rootfs / "data").symlink_to(link.format(canary=canary))
    assert copy() in (0, errno.ELOOP)
    assert os.listdir(target) == []


def test_links_in_the_tree_are_copied_and_not_followed(copy: Copy, rootfs: Path, canary: Path, target: Path) -> None:
    (rootfs / "data/directory").symlink_to(canary)
    (rootfs / "data/file").symlink_to(canary / "secret")
    assert copy() == 0
    assert [os.readlink(target / name) for name in ("directory", "file")] == [str(canary), str(canary / "secret")]


@pytest.mark.parametrize(("depth", "expected"), [(DEEPEST, 0), (DEEPEST + 1, errno.ELOOP), (2000, errno.ELOOP)])
def test_how_deep_a_tree_may_be_has_an_end(copy: Copy, rootfs: Path, target: Path, depth: int, expected: int) -> None:
    at = os.open(rootfs / "data", os.O_RDONLY)
    for _ in range(depth):  # deeper than a path can say
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    try:
        assert copy() == expected
    finally:
        subprocess.run(["rm", "-rf", rootfs / "data"], check=True)  # pytest would have to recurse
    copied = "/".join(["d"] * depth) if expected == 0 else "d"
    assert (target / copied).is_dir()


def test_the_deepest_tree_fits_on_a_small_stack(copy: Copy, rootfs: Path, target: Path) -> None:
    """The limit of whoever starts us is ours: 1 MiB is what some services get."""
    path = rootfs / "data" / "/".join(["d"] * DEEPEST)
    path.mkdir(parents=True)
    (path / "file").write_text("deep")
    limits = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, limits[1]))
    try:
        assert copy() == 0
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, limits)
    assert (target / path.relative_to(rootfs / "data") / "file").read_text() == "deep"


def test_what_does_not_fit_is_said(walk: Walk, container: Container, rootfs: Path) -> None:
    (rootfs / "data/file").write_bytes(bytes(1 << 20))
    steps = (p.filesystem(2, "tmpfs", "tmpfs", ("size=64k",)), p.copy_up(2, 0, "/data"))
    plan = container("true", steps=steps)
    assert walk(plan).failed == (_index(plan, "COPY_UP"), errno.ENOSPC)


def _exchange(one: Path, other: Path, stop: threading.Event) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    while not stop.is_set():
        libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2)


@pytest.mark.parametrize("kind", ["link", "device", "fifo", "directory"])
def test_a_file_that_is_swapped_while_it_is_copied_does_no_harm(
    walk: Walk, container: Container, rootfs: Path, canary: Path, target: Path, kind: str
) -> None:
    """Another container that shares the root file system swaps it for a link, for a device that never ends, for a FIFO that
    nobody writes to. To open a device is an act of its own (a watchdog, a tape): it isn't done at all.
    """
    other = rootfs / "other"
    if kind == "link":
        other.symlink_to(canary / "secret")
    elif kind == "device":
        os.mknod(other, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    elif kind == "fifo":
        os.mkfifo(other)
    else:
        other.mkdir()
    (rootfs / "data/file").write_text("harmless")
    steps = []
    for number in range(200):
        (target / str(number)).mkdir()
        steps += [p.tree(2, p.HOST, str(target / str(number)), False), p.optional(p.copy_up(2, 0, "/data"))]
    stop = threading.Event()
    racer = threading.Thread(target=_exchange, args=(rootfs / "data/file", other, stop))
    racer.start()
    try:
        outcome = walk(container("true", steps=tuple(steps)))
    finally:
        stop.set()
        racer.join()
    assert outcome.failed is None
    copies = [target / str(number) / "file" for number in range(200)]
    regular = [copy for copy in copies if copy.is_file() and not copy.is_symlink()]
    assert {copy.read_text() for copy in regular} <= {"harmless", ""}
    assert {error for _, _, error in outcome.traces} <= {0, errno.ELOOP, errno.EAGAIN, errno.EACCES, errno.EINVAL}


# ---- A user namespace ----------------------------------------------------------------------------------------------


def test_what_a_user_namespace_cannot_have_is_left_out(walk: Walk, container: Container, rootfs: Path) -> None:
    """Owners that it doesn't know, devices, attributes of the host."""
    data = rootfs / "data"
    (data / "file").write_text("text")
    os.chown(data / "file", 5000, 5000)
    (data / "file").chmod(0o4755)  # a program that acts as its owner; never as root of the namespace instead
    os.setxattr(data / "file", "trusted.mine", b"x")
    os.mknod(data / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    (data / "link").symlink_to("nowhere")
    os.chown(data / "link", 5000, 5000, follow_symlinks=False)
    namespaces = flags.CLONE_NEWNS | flags.CLONE_NEWPID | flags.CLONE_NEWUSER
    steps = (p.filesystem(2, "tmpfs", "tmpfs"), p.copy_up(2, 0, "/data"), p.attach(2, 0, "/data"))
    script = "cd /data; cat file; echo; stat -c %u:%g:%a file link; ls"
    plan = container("sh", "-c", script, steps=steps, namespaces=namespaces, procfs=False)
    plan.prepare.append(p.tree(0, p.HOST, str(rootfs), True))  # root in there may not enter our directories
    plan.parent += [p.id_map("0 100000 1000", "0 100000 1000"), p.sync(1)]
    plan.child[:2] = [p.sync(1), p.identity(0, 0), plan.child[0], p.root_bind(0, "/dev", "")]
    outcome = walk(plan)
    assert (outcome.failed, outcome.diagnostics) == (None, "")
    assert outcome.output.split() == ["text", "0:0:755", "0:0:777", "file", "link"]
