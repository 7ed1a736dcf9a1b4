"""User namespaces without processes, and mounts whose owners they change: USER_NAMESPACE, ID_MAPPED, OVERLAY_ID_MAPPED."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from minirun.linux import flags, syscalls
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


# ---- an overlay of mapped layers


@pytest.fixture
def mapped_root(container: Container, rootfs: Path, tmp_path: Path) -> Callable[..., p.Plan]:
    """Give a function that makes the plan of a container whose ids begin at 1000 and whose root is an overlay of mapped layers."""
    for name in ("top", "upper", "work", "mountpoint"):
        (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / "top/marker").write_text("top")
    os.chown(tmp_path / "top/marker", 7, 8)
    os.chown(tmp_path / "upper", 1000, 1000)

    def build(*command: str, lowers: tuple[str, ...] = ("top", "rootfs"), upper: str = "upper") -> p.Plan:
        namespaces = flags.CLONE_NEWNS | flags.CLONE_NEWPID | flags.CLONE_NEWUSER
        plan = container(*command, namespaces=namespaces)
        mountpoint = str(tmp_path / "mountpoint")
        plan.prepare += [
            p.user_namespace(NAMESPACE, SHIFTED, SHIFTED),
            p.overlay_id_mapped(0, NAMESPACE, mountpoint, str(tmp_path), lowers, upper, "work", ("index=off",)),
        ]
        plan.parent += [p.id_map(SHIFTED, SHIFTED), p.sync(1)]
        plan.child[:2] = [p.sync(1), p.identity(0, 0), plan.child[0], p.root_bind(0, "/dev", "")]
        return plan

    return build


def test_layers_are_seen_under_the_ids_of_the_namespace_and_stay_as_they_are(
    walk: Walk, mapped_root: Callable[..., p.Plan], tmp_path: Path, rootfs: Path
) -> None:
    script = "stat -c %u:%g /marker /etc/passwd; echo new > /etc/passwd; touch /made"
    outcome = walk(mapped_root("sh", "-c", script))
    assert outcome.failed is None
    assert (outcome.output.split(), outcome.exit_code) == (["7:8", "0:0"], 0)
    owners = {name: os.stat(tmp_path / "upper" / name).st_uid for name in ("made", "etc", "etc/passwd")}
    assert owners == {"made": 1000, "etc": 1000, "etc/passwd": 1000}
    assert (rootfs / "etc/passwd").read_text().startswith("root:")
    assert os.stat(rootfs / "etc/passwd").st_uid == 0


def test_the_host_never_sees_mapped_layers(walk: Walk, mapped_root: Callable[..., p.Plan]) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    assert walk(mapped_root("true")).exit_code == 0
    assert Path("/proc/self/mountinfo").read_text() == before


def test_two_hundred_mapped_layers(walk: Walk, mapped_root: Callable[..., p.Plan], tmp_path: Path) -> None:
    lowers = []
    for number in range(200):
        (tmp_path / f"layer{number}").mkdir()
        (tmp_path / f"layer{number}" / f"file{number}").touch()
        lowers.append(f"layer{number}")
    outcome = walk(mapped_root("sh", "-c", "ls /file* | grep -c .", lowers=(*lowers, "rootfs")))
    assert outcome.output == "200\n"


def test_mapped_layers_are_mounted_by_a_string_where_parameters_do_not_do(
    walk: Walk, mapped_root: Callable[..., p.Plan], tmp_path: Path
) -> None:
    """A path that is too long for a parameter takes the way of kernels before 6.5."""
    upper = "/".join(["directory-with-a-long-name"] * 12)
    (tmp_path / upper).mkdir(parents=True)
    os.chown(tmp_path / upper, 1000, 1000)
    outcome = walk(mapped_root("sh", "-c", "stat -c %u /marker; touch /made", upper=upper))
    assert (outcome.failed, outcome.output, outcome.exit_code) == (None, "7\n", 0)
    assert os.stat(tmp_path / upper / "made").st_uid == 1000


def test_a_mapped_layer_that_is_missing_says_so(walk: Walk, mapped_root: Callable[..., p.Plan]) -> None:
    plan = mapped_root("true", lowers=("missing", "rootfs"))
    assert walk(plan).failed == (_index(plan, "OVERLAY_ID_MAPPED"), errno.ENOENT)


def test_more_layers_than_the_kernel_takes(walk: Walk, mapped_root: Callable[..., p.Plan]) -> None:
    plan = mapped_root("true", lowers=("top",) * 501)
    assert walk(plan).failed == (_index(plan, "OVERLAY_ID_MAPPED"), errno.E2BIG)


def test_what_a_helper_makes_on_the_way_in_is_the_childs(walk: Walk, container: Container) -> None:
    plan = container("sh", "-c", "stat -f -c %T /data", steps=(p.attach(TREE, 0, "/data"),))
    plan.enter.append(p.filesystem(TREE, "tmpfs", "tmpfs"))
    outcome = walk(plan)
    assert (outcome.failed, outcome.output) == (None, "tmpfs\n")


def test_the_parent_sets_limits_of_a_child_in_a_user_namespace(walk: Walk, mapped_root: Callable[..., p.Plan]) -> None:
    """Fewer files than there are open: only what comes after it is bound by the limit."""
    outcome = walk(limited(mapped_root("sh", "-c", "ulimit -n; ulimit -Hn"), 5, 6))
    assert (outcome.failed, outcome.output) == (None, "5\n6\n")


def limited(plan: p.Plan, soft: int, hard: int) -> p.Plan:
    limit = p.rlimit(flags.RLIMITS.index("nofile"), soft, hard)
    plan.parent += [p.sync(2), limit, p.sync(3)]
    execute = next(number for number, item in enumerate(plan.child) if item.name == "EXEC")
    plan.child[execute:execute] = [p.sync(2), p.sync(3)]
    return plan


def test_threads_make_user_namespaces_at_the_same_time() -> None:
    """Each process that one is made with has a stack of its own, though it shares our memory."""

    def several(_: int) -> set[int]:
        descriptors = [syscalls.user_namespace("0 0 1\n") for _ in range(25)]
        found = {os.fstat(descriptor).st_ino for descriptor in descriptors}
        for descriptor in descriptors:
            os.close(descriptor)
        return found

    with ThreadPoolExecutor(4) as pool:
        assert [len(found) for found in pool.map(several, range(4))] == [25] * 4
