"""User namespaces without processes, and mounts whose owners they change: USER_NAMESPACE, ID_MAPPED."""

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
TREE, NAMESPACE, OTHER = 2, 3, 4
SHIFTED = "0 1000 10"  # what belongs to 0 on the disk is seen as 1000's


def _index(plan: p.Plan, name: str) -> int:
    return next(i for i, (_, operation) in enumerate(plan.operations()) if operation.name == name)


def _mapped(canary: Path) -> tuple[p.Operation, ...]:
    return (
        p.tree(TREE, p.HOST, str(canary), True),
        p.user_namespace(NAMESPACE, SHIFTED, "0 2000 10"),
        p.id_mapped(TREE, NAMESPACE, False),
    )


@pytest.fixture(params=["prepare", "child"])
def mapped(request: pytest.FixtureRequest, container: Container, canary: Path) -> Callable[..., p.Plan]:
    """Give a function that makes the plan of a container with an ID-mapped mount on /data, mapped on either side."""

    def build(*command: str, tail: tuple[p.Operation, ...] = ()) -> p.Plan:
        operations = _mapped(canary)
        steps = () if request.param == "prepare" else operations
        plan = container(*command, steps=(*steps, p.attach(TREE, 0, "/data")), tail=tail)
        if request.param == "prepare":
            plan.prepare += operations
        return plan

    return build


def test_owners_are_seen_as_the_namespace_maps_them(walk: Walk, mapped: Callable[..., p.Plan], canary: Path) -> None:
    for name, owner in (("zero", 0), ("nine", 9), ("beyond", 10)):
        (canary / name).touch()
        os.chown(canary / name, owner, owner)
    outcome = walk(mapped("stat", "-c", "%u:%g", "/data/zero", "/data/nine", "/data/beyond"))
    assert outcome.failed is None
    assert outcome.output.split() == ["1000:2000", "1009:2009", "65534:65534"]


def test_what_is_made_there_belongs_to_the_owner_on_the_disk(
    walk: Walk, mapped: Callable[..., p.Plan], canary: Path
) -> None:
    """And who has no number there can't make anything."""
    canary.chmod(0o777)
    assert walk(mapped("touch", "/data/made", tail=(p.identity(1005, 2007),))).exit_code == 0
    status = os.stat(canary / "made")
    assert (status.st_uid, status.st_gid) == (5, 7)
    assert walk(mapped("touch", "/data/other", tail=(p.identity(500, 500),))).exit_code == 1
    assert not (canary / "other").exists()


@pytest.mark.parametrize(("recursive", "expected"), [(False, ["1000", "0"]), (True, ["1000", "1000"])])
def test_mounts_beneath_are_mapped_when_asked(
    walk: Walk, container: Container, canary: Path, recursive: bool, expected: list[str]
) -> None:
    steps = (
        p.tree(OTHER, p.HOST, str(canary), False),
        p.attach(OTHER, 0, "/tmp"),
        p.filesystem(OTHER, "tmpfs", "tmpfs"),
        p.attach(OTHER, 0, "/tmp/below", p.CREATE_DIRECTORY),
        p.tree(TREE, 0, "/tmp", True),
        p.user_namespace(NAMESPACE, SHIFTED, SHIFTED),
        p.id_mapped(TREE, NAMESPACE, recursive),
        p.attach(TREE, 0, "/data"),
    )
    outcome = walk(container("stat", "-c", "%u", "/data", "/data/below", steps=steps))
    assert outcome.failed is None
    assert outcome.output.split() == expected


@pytest.mark.parametrize(
    ("uids", "gids", "number"),
    [
        ("nonsense", SHIFTED, errno.EINVAL),
        (SHIFTED, "0 0", errno.EINVAL),
        ("0 0 10\n5 100 10", SHIFTED, errno.EINVAL),
        ("0 0 0", SHIFTED, errno.EINVAL),
        ("\n".join(f"{number} {number} 1" for number in range(0, 800, 2)), SHIFTED, errno.EINVAL),
        ("", SHIFTED, errno.EINVAL),
    ],
    ids=["nonsense", "cut", "overlapping", "empty-range", "more-lines-than-the-kernel-takes", "none"],
)
def test_a_map_that_the_kernel_refuses_makes_no_namespace(
    walk: Walk, container: Container, uids: str, gids: str, number: int
) -> None:
    plan = container("true")
    plan.prepare.append(p.user_namespace(NAMESPACE, uids, gids))
    assert walk(plan).failed == (_index(plan, "USER_NAMESPACE"), number)


def test_a_namespace_lives_without_a_process(walk: Walk, container: Container) -> None:
    """What it was made with is gone: the container sees nobody but itself."""
    steps = (p.user_namespace(NAMESPACE, SHIFTED, SHIFTED),)
    outcome = walk(container("sh", "-c", "echo /proc/[0-9]*", steps=steps))
    assert outcome.output == "/proc/1\n"


def test_only_what_nobody_has_seen_is_mapped(walk: Walk, container: Container) -> None:
    plan = container("true", steps=(p.user_namespace(NAMESPACE, SHIFTED, SHIFTED), p.id_mapped(0, NAMESPACE, False)))
    assert walk(plan).failed == (_index(plan, "ID_MAPPED"), errno.EINVAL)


def test_a_mount_is_mapped_by_a_user_namespace_and_nothing_else(walk: Walk, container: Container, canary: Path) -> None:
    for path, number in (("/proc/self/ns/uts", errno.EINVAL), ("/etc/passwd", errno.EINVAL), ("", errno.EBADF)):
        steps = (p.open_(NAMESPACE, p.HOST, path, os.O_RDONLY),) if path else ()
        plan = container(
            "true", steps=(p.tree(TREE, p.HOST, str(canary), True), *steps, p.id_mapped(TREE, NAMESPACE, False))
        )
        assert walk(plan).failed == (_index(plan, "ID_MAPPED"), number)


def test_the_childs_own_maps(walk: Walk, container: Container, rootfs: Path) -> None:
    namespaces = flags.CLONE_NEWNS | flags.CLONE_NEWPID | flags.CLONE_NEWUSER
    plan = container("cat", "/proc/self/uid_map", "/proc/self/gid_map", namespaces=namespaces)
    plan.prepare.append(p.tree(0, p.HOST, str(rootfs), True))
    plan.parent += [p.id_map("0 100000 10\n10 200000 5", "0 300000 1"), p.sync(1)]
    plan.child[:2] = [p.sync(1), p.identity(0, 0), plan.child[0], p.root_bind(0, "/dev", "")]
    outcome = walk(plan)
    assert outcome.failed is None
    assert outcome.output.split() == ["0", "100000", "10", "10", "200000", "5", "0", "300000", "1"]
