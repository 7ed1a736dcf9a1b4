"""CHROOT: a root without pivot_root(2), for hosts that run from a ramdisk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from minirun.linux import flags
from minirun.linux import plan as p
from tests.integration.linux.conftest import Walk

Container = Callable[..., p.Plan]


@pytest.fixture
def moved(container: Container) -> Callable[..., p.Plan]:
    """Give a function that makes the plan of a container whose root is moved over the host's."""

    def build(*command: str, steps: tuple[p.Operation, ...] = (), tail: tuple[p.Operation, ...] = ()) -> p.Plan:
        plan = container(*command, steps=steps, tail=tail)
        at = next(i for i, operation in enumerate(plan.child) if operation.name == "PIVOT")
        plan.child[at] = p.chroot(0)
        return plan

    return build


def test_the_root_is_the_containers(walk: Walk, moved: Callable[..., p.Plan], canary: Path) -> None:
    script = f"pwd; ls /; ls {canary}; ls -d /../../data"
    outcome = walk(moved("sh", "-c", script))
    assert outcome.failed is None
    assert outcome.output.split() == ["/", "bin", "data", "dev", "etc", "proc", "sys", "tmp", "/../../data"]
    assert "No such file" in outcome.diagnostics


def test_no_mount_of_the_host_is_seen(walk: Walk, moved: Callable[..., p.Plan]) -> None:
    outcome = walk(moved("cat", "/proc/mounts"))
    assert [line.split()[1] for line in outcome.output.splitlines()] == ["/", "/proc"]


def test_a_working_directory_outside_of_the_root_is_refused(
    walk: Walk, moved: Callable[..., p.Plan], canary: Path
) -> None:
    steps = (p.open_(9, p.HOST, str(canary), os.O_RDONLY | os.O_DIRECTORY),)
    for descriptor in range(3, 12):
        plan = moved("ls", steps=steps, tail=(p.directory_change(f"/proc/self/fd/{descriptor}"),))
        failed = walk(plan).failed
        assert failed is not None
        assert failed[1] in (errno.ELOOP, errno.ENOENT)


def _mounts_anew(kind: str) -> tuple[str, ...]:
    """A command that mounts procfs or sysfs as root of a new user namespace, and shows a byte of what is masked in /proc."""
    return ("unshare", "-U", "-r", "-p", "-f", "-m", "-n", "sh", "-c", f"mount -t {kind} x /tmp && echo mounted")


MASKS = (p.filesystem(5, "tmpfs", "tmpfs"), p.attach(5, 0, "/proc/irq"))


@pytest.mark.parametrize("kind", ["proc", "sysfs"])
@pytest.mark.parametrize("in_user_namespace", [False, True])
def test_the_hosts_file_systems_do_not_vouch_for_new_ones(
    walk: Walk, moved: Callable[..., p.Plan], rootfs: Path, kind: str, in_user_namespace: bool
) -> None:
    """The kernel lets a user namespace mount procfs and sysfs as long as its mounts show one with nothing laid over: one of the
    host's that is hidden beneath the root would count, and what is masked in the container's own be readable again.
    """
    (rootfs / "bin/unshare").symlink_to("busybox")
    plan = moved(*_mounts_anew(kind), steps=MASKS)
    if in_user_namespace:
        flag = flags.CLONE_NEWUSER
        plan.monitor[:] = [p.clone(flag | flags.CLONE_NEWNS | flags.CLONE_NEWPID)]
        plan.prepare.append(p.tree(0, p.HOST, str(rootfs), True))
        plan.parent += [p.id_map("0 100000 1000", "0 100000 1000"), p.sync(1)]
        plan.child[:2] = [p.sync(1), p.identity(0, 0), plan.child[0], p.root_bind(0, "/dev", "")]
    outcome = walk(plan)
    assert (outcome.failed, outcome.output) == (None, "")
    assert "mount" in outcome.diagnostics


def test_a_host_with_many_mounts_and_odd_names_is_no_different(
    walk: Walk, moved: Callable[..., p.Plan], rootfs: Path, tmp_path: Path
) -> None:
    """A table of more than one read, names with what has to be escaped, procfs under something else and under procfs."""
    (rootfs / "bin/unshare").symlink_to("busybox")
    names = [f"{number:03}" + "x" * 200 for number in range(300)] + ["proc/a b", "new\nline", "back\\slash", "t\tab"]
    view = tmp_path / "view"
    for name in names:
        (view / name).mkdir(parents=True)
    more: list[p.Operation] = [p.open_(7, p.HOST, str(view), os.O_PATH)]
    for name in names:
        more += [p.filesystem(6, "proc", "proc"), p.attach(6, 7, name)]
    more += [p.filesystem(6, "tmpfs", "tmpfs"), p.attach(6, 7, "proc/a b")]
    more += [p.filesystem(6, "proc", "proc"), p.attach(6, 7, "proc")]  # over both
    outcome = walk(moved(*_mounts_anew("proc"), steps=(*MASKS, *more)))
    assert (outcome.failed, outcome.output) == (None, "")


def test_the_hosts_own_mounts_stay(walk: Walk, moved: Callable[..., p.Plan]) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    assert walk(moved("true")).failed is None
    assert Path("/proc/self/mountinfo").read_text() == before
