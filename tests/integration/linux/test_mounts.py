"""Mounts and files of a root file system whose content is hostile."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from minirun.linux import flags
from minirun.linux import plan as p
from tests import missing
from tests.integration.linux.conftest import Outcome, Walk

Container = Callable[..., p.Plan]
O_PATH = os.O_PATH

SAFE = flags.MOUNT_ATTR_NOSUID | flags.MOUNT_ATTR_NODEV | flags.MOUNT_ATTR_NOEXEC


def _index(plan: p.Plan, name: str) -> int:
    return next(i for i, (_, operation) in enumerate(plan.operations()) if operation.name == name)


def _with(plan: p.Plan, root: p.Operation) -> p.Plan:
    plan.child[1] = root
    return plan


def test_an_overlay_shows_its_layers_and_keeps_changes_in_the_upper(
    walk: Walk, container: Container, overlay: Callable[..., p.Operation], tmp_path: Path, rootfs: Path
) -> None:
    outcome = walk(_with(container("sh", "-c", "cat /marker; echo new > /etc/new"), overlay("index=off")))
    assert (outcome.failed, outcome.output) == (None, "top")
    assert (tmp_path / "upper/etc/new").read_text() == "new\n"
    assert not (rootfs / "etc/new").exists()


def test_an_overlay_without_upper_is_read_only(
    walk: Walk, container: Container, overlay: Callable[..., p.Operation]
) -> None:
    outcome = walk(_with(container("touch", "/x"), overlay(upper=False)))
    assert outcome.exit_code == 1
    assert "Read-only" in outcome.diagnostics


def test_two_hundred_layers_are_mounted(
    walk: Walk, container: Container, overlay: Callable[..., p.Operation], tmp_path: Path
) -> None:
    lowers = []
    for number in range(200):
        name = f"layer-with-a-name-of-some-length-{number}"
        (tmp_path / name).mkdir()
        (tmp_path / name / f"file{number}").touch()
        lowers.append(name)
    outcome = walk(_with(container("sh", "-c", "ls /file* | grep -c ."), overlay(lowers=(*lowers, "rootfs"))))
    assert (outcome.failed, outcome.output) == (None, "200\n"), outcome


def test_an_overlay_of_a_missing_layer_fails(
    walk: Walk, container: Container, overlay: Callable[..., p.Operation]
) -> None:
    plan = _with(container("true"), overlay(lowers=("missing", "rootfs")))
    assert walk(plan).failed == (_index(plan, "OVERLAY"), errno.ENOENT)


@pytest.mark.parametrize("character", ["x", " ", "%"])
def test_an_overlay_whose_paths_are_too_long_for_a_parameter_is_mounted_by_a_string(
    walk: Walk, container: Container, tmp_path: Path, rootfs: Path, character: str
) -> None:
    """It is also what kernels before 6.5 get."""
    deep = tmp_path / (character * 150) / (character * 150)
    for name in ("upper", "work"):
        (deep / name).mkdir(parents=True)
    (tmp_path / "mountpoint").mkdir(exist_ok=True)
    root = p.overlay(0, str(tmp_path / "mountpoint"), str(tmp_path), ("rootfs",), f"{deep}/upper", f"{deep}/work")
    outcome = walk(_with(container("sh", "-c", "echo new > /etc/new"), root))
    assert outcome.failed is None
    assert (deep / "upper/etc/new").read_text() == "new\n"


@pytest.mark.parametrize("path", ["a,b", "a\\b", "x" * 200 + "," + "y" * 50])
def test_characters_that_mean_something_in_a_string_mount_the_right_directory_or_nothing(
    walk: Walk, container: Container, tmp_path: Path, rootfs: Path, path: str
) -> None:
    for name in ("upper", "work"):
        (tmp_path / path / name).mkdir(parents=True)
    (tmp_path / "mountpoint").mkdir(exist_ok=True)
    upper, work = (str(tmp_path / path / name) for name in ("upper", "work"))
    root = p.overlay(0, str(tmp_path / "mountpoint"), str(tmp_path), ("rootfs",), upper, work)
    plan = _with(container("sh", "-c", "echo new > /etc/new"), root)
    outcome = walk(plan)
    if outcome.failed:
        assert outcome.failed[0] == _index(plan, "OVERLAY")
    else:
        assert (tmp_path / path / "upper/etc/new").read_text() == "new\n"


def _dev(*more: p.Operation) -> tuple[p.Operation, ...]:
    return (p.filesystem(2, "tmpfs", "tmpfs", ("mode=755", "size=65536k")), p.attach(2, 0, "/dev"), *more)


def test_devices_links_and_directories(walk: Walk, container: Container) -> None:
    steps = _dev(
        p.device(2, "null", stat.S_IFCHR | 0o666, os.makedev(1, 3)),
        p.device(2, "owned", stat.S_IFCHR | 0o620, os.makedev(5, 0), 1000, 5),
        p.symlink(2, "stdin", "/proc/self/fd/0"),
        p.symlink(2, "stdin", "/proc/self/fd/0"),
        p.directory(2, "shm/deep", 0o1777),
    )
    script = (
        "echo x > /dev/null; stat -c '%a %u %g %t:%T' /dev/null /dev/owned; stat -c '%a' /dev/shm /dev/shm/deep; cat"
    )
    outcome = walk(container("sh", "-c", script + " /dev/stdin", steps=steps), stdin=b"through")
    assert outcome.output == "666 0 0 1:3\n620 1000 5 5:0\n755\n1777\nthrough"


def test_another_thing_under_the_name_of_a_device_is_refused(walk: Walk, container: Container, rootfs: Path) -> None:
    (rootfs / "dev/null").symlink_to("/data")
    plan = container("true", steps=(p.device(0, "/dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3)),))
    assert walk(plan).failed == (_index(plan, "DEVICE"), errno.EEXIST)


def test_a_bind_mount_is_read_only_when_asked(walk: Walk, container: Container, canary: Path) -> None:
    steps = (
        p.tree(2, p.HOST, str(canary), True),
        p.attributes(2, flags.MOUNT_ATTR_RDONLY, 0, flags.MS_PRIVATE | flags.MS_REC, True),
        p.attach(2, 0, "/made/on/the/way", p.CREATE_DIRECTORY),
    )
    outcome = walk(container("sh", "-c", "cat /made/on/the/way/secret; touch /made/on/the/way/x", steps=steps))
    assert outcome.output == "secret"
    assert "Read-only" in outcome.diagnostics


def _mount_of(walk: Walk, container: Container, canary: Path, path: str, create: int = p.CREATE_FILE) -> Outcome:
    steps = (p.tree(2, p.HOST, str(canary / "secret"), False), p.attach(2, 0, path, create))
    return walk(container("cat", path, steps=steps))


@pytest.mark.parametrize("target", ["/run/resolve/stub", "../run/resolve/stub", "../../../../run/stub", "b"])
def test_a_file_is_mounted_through_a_dangling_link_of_the_image(
    walk: Walk, container: Container, rootfs: Path, canary: Path, target: str
) -> None:
    """Many images have /etc/resolv.conf as a link into /run, where nothing is yet."""
    (rootfs / "etc/a").symlink_to(target)
    (rootfs / "etc/b").symlink_to("/etc/c/d")
    outcome = _mount_of(walk, container, canary, "/etc/a")
    assert outcome.output == "secret"
    assert sorted(path.name for path in canary.iterdir()) == ["secret"]


def test_links_of_the_image_that_lead_in_a_circle_end(
    walk: Walk, container: Container, rootfs: Path, canary: Path
) -> None:
    (rootfs / "a").symlink_to("b")
    (rootfs / "b").symlink_to("a")
    failed = _mount_of(walk, container, canary, "/a/c").failed
    assert failed is not None
    assert failed[1] == errno.ELOOP


def test_a_chain_of_dangling_links_ends(walk: Walk, container: Container, rootfs: Path, canary: Path) -> None:
    for number in range(60):
        (rootfs / f"l{number}").symlink_to(f"x/../l{number + 1}")
    failed = _mount_of(walk, container, canary, "/l0").failed
    assert failed is None or failed[1] == errno.ELOOP


@pytest.mark.parametrize("link", ["{canary}", "../../../../../../../../../../../../..{canary}"])
def test_a_link_of_the_image_leads_nowhere_on_the_host(
    walk: Walk, container: Container, rootfs: Path, canary: Path, link: str
) -> None:
    (rootfs / "out").symlink_to(link.format(canary=canary))
    outcome = walk(container("true", steps=(p.directory(0, "/out/made"), p.symlink(0, "/out/link", "x"))))
    assert outcome.failed is None
    assert sorted(path.name for path in canary.iterdir()) == ["secret"]
    assert (rootfs / str(canary).lstrip("/") / "made").is_dir()


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_a_link_in_place_of_proc_is_refused(walk: Walk, container: Container, rootfs: Path, name: str) -> None:
    (rootfs / name).rmdir()
    (rootfs / name).symlink_to("data")
    steps = (
        p.filesystem(2, "tmpfs", "tmpfs"),
        p.attach(2, 0, "/" + name, p.CREATE_DIRECTORY | p.CREATE_NO_SYMLINKS),
    )
    plan = container("true", steps=steps, procfs=False)
    assert walk(plan).failed == (_index(plan, "ATTACH"), errno.ELOOP)


def test_a_volume_is_not_laid_over_procfs_by_a_link(
    walk: Walk, container: Container, rootfs: Path, canary: Path
) -> None:
    (rootfs / "volume").symlink_to("proc/sys")
    steps = (p.tree(2, p.HOST, str(canary), True), p.attach(2, 0, "/volume", p.CREATE_DIRECTORY))
    failed = walk(container("true", steps=steps)).failed
    assert failed is not None
    assert failed[1] == errno.ELOOP


def _exchange(one: Path, other: Path, stop: threading.Event) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    count = 0
    while not stop.is_set():
        if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) == 0:
            count += 1
    return count


def test_a_target_that_is_swapped_for_a_link_while_it_is_mounted_on_stays_inside(
    walk: Walk, container: Container, rootfs: Path, canary: Path, tmp_path: Path
) -> None:
    """CVE-2021-30465: another container shares the volume and swaps directory and link all the time."""
    volume = tmp_path / "volume"
    (volume / "target").mkdir(parents=True)
    (volume / "link").symlink_to(canary)
    source = tmp_path / "source"
    source.mkdir()
    (source / "mark").write_text("mounted")
    steps = (
        p.tree(2, p.HOST, str(volume), True),
        p.attach(2, 0, "/data"),
        p.tree(3, p.HOST, str(source), True),
        p.attach(3, 0, "/data/target/deep/er", p.CREATE_DIRECTORY),
    )
    stop = threading.Event()
    racer = threading.Thread(target=_exchange, args=(volume / "target", volume / "link", stop))
    racer.start()
    try:
        for _ in range(60):
            outcome = walk(container("true", steps=steps))
            if outcome.failed:  # the kernel gave up on the race, or made half of it: never outside
                assert outcome.failed[1] in (errno.ENOENT, errno.EEXIST, errno.EAGAIN, errno.ELOOP, errno.ENOTDIR)
    finally:
        stop.set()
        racer.join()
    assert sorted(path.name for path in canary.iterdir()) == ["secret"]


def test_masked_and_read_only_paths(walk: Walk, container: Container) -> None:
    steps = (
        p.open_(3, p.HOST, "/dev/null", O_PATH),
        p.mask(0, "/proc/timer_list", 3),
        p.mask(0, "/proc/acpi-that-is-absent", 3),
        p.mask(0, "/proc/fs", 3),
        p.mask(0, "/proc/irq", 3),
        p.read_only(0, "/proc/sys"),
        p.read_only(0, "/proc/absent"),
    )
    script = (
        "cat /proc/timer_list | grep -c .; ls /proc/fs /proc/irq | grep -c :; ls -A /proc/fs /proc/irq | grep -c [a-z0-9]$;"
        "echo x > /proc/sys/kernel/hostname; touch /proc/fs/x"
    )
    outcome = walk(container("sh", "-c", script, steps=steps))
    assert outcome.failed is None
    assert outcome.output == "0\n2\n0\n"
    assert outcome.diagnostics.count("Read-only") == 2


def test_only_the_null_device_masks(walk: Walk, container: Container, rootfs: Path) -> None:
    """What calls itself /dev/null in the image is a link to something writable (CVE-2025-31133)."""
    (rootfs / "dev/null").write_text("writable")
    steps = (p.open_(3, 0, "/dev/null", O_PATH), p.mask(0, "/proc/timer_list", 3))
    plan = container("true", steps=steps)
    assert walk(plan).failed == (_index(plan, "MASK"), errno.ENODEV)


def test_a_kernel_parameter_is_written_through_a_private_procfs(walk: Walk, container: Container) -> None:
    steps = (p.filesystem(4, "proc", "proc"), p.write(4, "sys/net/ipv4/ip_default_ttl", "77"), p.close(4))
    namespaces = flags.CLONE_NEWNS | flags.CLONE_NEWPID | flags.CLONE_NEWNET
    outcome = walk(container("cat", "/proc/sys/net/ipv4/ip_default_ttl", steps=steps, namespaces=namespaces))
    assert outcome.output == "77\n"


def test_the_hosts_mounts_are_gone_after_the_pivot(walk: Walk, container: Container, canary: Path) -> None:
    outcome = walk(container("ls", str(canary)))
    assert outcome.exit_code == 1


@pytest.mark.parametrize("descriptor", range(3, 12))
def test_a_working_directory_outside_of_the_root_is_refused(
    walk: Walk, container: Container, canary: Path, descriptor: int
) -> None:
    """CVE-2024-21626: WORKDIR /proc/self/fd/7."""
    steps = (p.open_(9, p.HOST, str(canary), os.O_RDONLY | os.O_DIRECTORY),)
    plan = container("ls", steps=steps, tail=(p.directory_change(f"/proc/self/fd/{descriptor}"),))
    failed = walk(plan).failed
    assert failed is not None
    assert failed[0] == _index(plan, "DIRECTORY_CHANGE")
    assert failed[1] in (errno.ELOOP, errno.ENOENT)


def test_a_link_to_such_a_directory_is_refused_too(
    walk: Walk, container: Container, canary: Path, rootfs: Path
) -> None:
    (rootfs / "work").symlink_to("/proc/self/cwd")
    plan = container("ls", tail=(p.directory_change("/work"),))
    assert walk(plan).failed == (_index(plan, "DIRECTORY_CHANGE"), errno.ELOOP)


def test_the_working_directory(walk: Walk, container: Container) -> None:
    assert walk(container("sh", "-c", "pwd", tail=(p.directory_change("/data"),))).output == "/data\n"


def test_what_others_make_meanwhile_is_there(driver: Path, container: Container, tmp_path: Path, rootfs: Path) -> None:
    """Two containers of one volume need the same directory in it, and are started at the same time."""
    deep = "/data/" + "/".join("abcdefghijklmnopqrstuvwxyz")
    (tmp_path / "plan").write_bytes(container("true", steps=(p.directory(0, deep, 0o755),)).encode())
    for _ in range(5):
        reader, writer = os.pipe()
        started = [subprocess.Popen([driver, tmp_path / "plan", str(writer)], pass_fds=(writer,)) for _ in range(4)]
        os.close(writer)
        for process in started:
            process.wait(30)
        with os.fdopen(reader) as file:
            failed = [line for line in file if line.startswith("failed")]
        if any(line.endswith(f" {errno.ENOSYS}\n") for line in failed):
            missing.note()
        assert failed == []
        shutil.rmtree(rootfs / "data/a")
