"""What is written to a cgroup, and what is refused before anything is."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from minirun.errors import InvalidInput, NotFound, NotSupported
from minirun.runtime.cgroups import (
    Hierarchy,
    check_cpus,
    controllers,
    files,
    members,
    parse_cpu_list,
    settings_of,
    weight_of,
)
from minirun.runtime.cgroups.limits import completed
from minirun.runtime.spec import BlockIo, Cpu, DeviceLimit, Memory, RdmaLimit, Resources

MIB = 1 << 20


def written(resources: Resources) -> dict[str, str]:
    return {file: value for file, value, _ in settings_of(resources)}


def test_nothing_asked_writes_nothing() -> None:
    assert written(Resources()) == {}


def test_swap_is_counted_without_memory() -> None:
    assert written(Resources(memory=Memory(limit=64 * MIB, swap=96 * MIB))) == {
        "memory.swap.max": str(32 * MIB),
        "memory.max": str(64 * MIB),
    }
    assert written(Resources(memory=Memory(limit=64 * MIB, swap=64 * MIB)))["memory.swap.max"] == "0"
    assert written(Resources(memory=Memory(limit=64 * MIB, swap=-1)))["memory.swap.max"] == "max"
    assert written(Resources(memory=Memory(limit=-1, swap=MIB))) == {"memory.swap.max": str(MIB), "memory.max": "max"}


def test_swap_below_memory_is_refused() -> None:
    with pytest.raises(InvalidInput, match="less than"):
        written(Resources(memory=Memory(limit=64 * MIB, swap=MIB)))


def test_only_an_unasked_swap_limit_may_be_missing_from_the_kernel() -> None:
    resources = Resources(memory=Memory(limit=MIB, swap=2 * MIB, swap_required=False), pids_limit=5)
    assert {file: optional for file, _, optional in settings_of(resources)} == {
        "memory.swap.max": True,
        "memory.max": False,
        "pids.max": False,
    }


def test_cpu_time_and_processes() -> None:
    assert written(Resources(cpu=Cpu(quota=150_000, period=100_000), pids_limit=-1)) == {
        "cpu.max": "150000 100000",
        "pids.max": "max",
    }
    assert written(Resources(cpu=Cpu(quota=-1)))["cpu.max"] == "max 100000"


@pytest.mark.parametrize(("shares", "weight"), [(1, 1), (2, 1), (1024, 100), (262144, 10000), (10**9, 10000)])
def test_shares_become_weights_that_mean_the_same(shares: int, weight: int) -> None:
    assert weight_of(shares) == weight


def test_more_shares_never_weigh_less() -> None:
    weights = [weight_of(shares) for shares in range(2, 262145, 97)]
    assert weights == sorted(weights)
    assert weights[0] >= 1
    assert weights[-1] <= 10000


@pytest.mark.parametrize(
    ("text", "numbers"), [("0", {0}), ("0-3,7", {0, 1, 2, 3, 7}), ("1,1", {1}), ("8190-8191", {8190, 8191})]
)
def test_cpu_lists_are_read(text: str, numbers: set[int]) -> None:
    assert parse_cpu_list(text) == numbers


@pytest.mark.parametrize("text", ["", ",", "a", "1-", "-1", "3-1", "0-8192", "1;2", "0x1", "٣", "1 ", "0\n1"])
def test_other_cpu_lists_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_cpu_list(text)


def test_cve_2018_20699_a_huge_range_costs_nothing() -> None:
    with pytest.raises(InvalidInput):
        parse_cpu_list("0-2147483647")
    with pytest.raises(InvalidInput, match="isn't a range of memory nodes"):
        list(settings_of(Resources(cpu=Cpu(mems="99999"))))


def test_cpus_that_the_host_has_not_are_refused_in_dockers_words(tmp_path: Path) -> None:
    online = tmp_path / "online"
    online.write_text("0-1\n")
    check_cpus("1", str(online))
    with pytest.raises(InvalidInput, match="Requested CPUs are not available - requested 0-2, available: 0-1"):
        check_cpus("0-2", str(online))


# ---- the specification's resources in files of version 2; crun(1) "CGROUP v2", config-linux.md


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (Resources(memory=Memory(limit=-1)), {"memory.swap.max": "max", "memory.max": "max"}),
        (Resources(memory=Memory(swap=-1)), {"memory.swap.max": "max"}),
        (Resources(memory=Memory(limit=MIB, swap=MIB)), {"memory.swap.max": "0", "memory.max": str(MIB)}),
        (Resources(memory=Memory(reservation=MIB)), {"memory.low": str(MIB)}),
        (Resources(memory=Memory(reservation=-1)), {"memory.low": "max"}),
        (Resources(cpu=Cpu(shares=1024)), {"cpu.weight": "100"}),
        (Resources(cpu=Cpu(quota=50_000)), {"cpu.max": "50000 100000"}),
        (Resources(cpu=Cpu(period=20_000)), {"cpu.max": "max 20000"}),
        (Resources(cpu=Cpu(quota=-1, period=20_000)), {"cpu.max": "max 20000"}),
        (Resources(cpu=Cpu(burst=1000)), {"cpu.max.burst": "1000"}),
        (Resources(cpu=Cpu(idle=1)), {"cpu.idle": "1"}),
        (Resources(cpu=Cpu(cpus="0", mems="0-3,7")), {"cpuset.cpus": "0", "cpuset.mems": "0-3,7"}),
        (Resources(pids_limit=17), {"pids.max": "17"}),
        (Resources(pids_limit=-1), {"pids.max": "max"}),
        (Resources(pids_limit=0), {"pids.max": "max"}),
        (Resources(block_io=BlockIo(weight=10)), {"io.bfq.weight": "default 10", "io.weight": "default 1"}),
        (Resources(block_io=BlockIo(weight=1000)), {"io.bfq.weight": "default 1000", "io.weight": "default 10000"}),
        (
            Resources(block_io=BlockIo(device_weights=(DeviceLimit(major=8, minor=16, value=500),))),
            {"io.bfq.weight": "8:16 500", "io.weight": "8:16 4950"},
        ),
        (
            Resources(
                block_io=BlockIo(
                    read_bytes=(DeviceLimit(major=8, minor=0, value=600),),
                    write_operations=(DeviceLimit(major=8, minor=0, value=300),),
                )
            ),
            {"io.max": "8:0 rbps=600 wiops=300"},
        ),
        (
            Resources(block_io=BlockIo(write_bytes=(DeviceLimit(major=8, minor=0, value=0),))),
            {"io.max": "8:0 wbps=max"},
        ),
        (
            Resources(huge_pages={"2MB": 209715200}),
            {"hugetlb.2MB.max": "209715200", "hugetlb.2MB.rsvd.max": "209715200"},
        ),
        (
            Resources(rdma=(RdmaLimit(device="mlx5_1", handles=3, objects=10000),)),
            {"rdma.max": "mlx5_1 hca_handle=3 hca_object=10000"},
        ),
        (Resources(rdma=(RdmaLimit(device="rxe3", objects=0),)), {"rdma.max": "rxe3 hca_object=0"}),
        (Resources(unified={"memory.high": "max"}), {"memory.high": "max"}),
    ],
    ids=lambda value: " ".join(f"{key}={text}" for key, text in value.items()) if isinstance(value, dict) else "",
)
def test_each_resource_becomes_its_files(resources: Resources, expected: dict[str, str]) -> None:
    assert written(resources) == expected


def test_two_disks_are_two_lines_of_io_max() -> None:
    limits = BlockIo(
        read_bytes=(DeviceLimit(major=8, minor=0, value=1), DeviceLimit(major=8, minor=16, value=2)),
        read_operations=(DeviceLimit(major=8, minor=16, value=3),),
    )
    assert list(settings_of(Resources(block_io=limits))) == [
        ("io.max", "8:0 rbps=1", False),
        ("io.max", "8:16 rbps=2 riops=3", False),
    ]


def test_a_new_burst_is_order_when_the_quota_allows_it() -> None:
    order = [(file, value) for file, value, _ in settings_of(Resources(cpu=Cpu(quota=9000, burst=5000)))]
    assert order == [("cpu.max.burst", "0"), ("cpu.max", "9000 100000"), ("cpu.max.burst", "5000")]


def test_a_group_gets_its_weight_while_it_is_awake() -> None:
    def order(idle: int) -> list[str]:
        return [file for file, _, _ in settings_of(Resources(cpu=Cpu(shares=2, idle=idle)))]

    assert (order(0), order(1)) == (["cpu.idle", "cpu.weight"], ["cpu.weight", "cpu.idle"])


def test_what_limits_nothing_may_be_missing_from_the_kernel() -> None:
    nothing = Resources(
        memory=Memory(limit=-1, swap=-1, reservation=0), cpu=Cpu(quota=-1, idle=0, burst=0), pids_limit=-1
    )
    assert {file for file, _, optional in settings_of(nothing) if not optional} == set()
    something = Resources(memory=Memory(limit=MIB, swap=MIB, reservation=1), cpu=Cpu(quota=9000), pids_limit=1)
    assert {file for file, _, optional in settings_of(something) if optional} == set()


@pytest.mark.parametrize(
    "resources",
    [
        Resources(memory=Memory(swap=MIB)),
        Resources(block_io=BlockIo(weight=9)),
        Resources(block_io=BlockIo(weight=1001)),
        Resources(huge_pages={"2MB/..": 1}),
        Resources(huge_pages={"": 1}),
        Resources(rdma=(RdmaLimit(device="a b", handles=1),)),
        Resources(rdma=(RdmaLimit(device="", handles=1),)),
        Resources(cpu=Cpu(cpus="0-")),
        Resources(cpu=Cpu(mems="x")),
        Resources(unified={"memory.max": "1\0"}),
    ],
)
def test_nonsense_is_refused(resources: Resources) -> None:
    with pytest.raises(InvalidInput):
        written(resources)


@pytest.mark.parametrize(
    "file",
    [
        *[
            "cgroup.procs",
            "cgroup.kill",
            "cgroup.freeze",
            "cgroup.subtree_control",
            "cgroup.type",
            "../x.max",
            "memory",
            "a/b.max",
        ],
        *["", ".", "..", ".max", "memory.", "memory.max\0", "memory.max\n", "m\u00e9mory.max"],
    ],
)
def test_only_files_of_controllers_are_written_by_name(file: str) -> None:
    with pytest.raises(InvalidInput):
        written(Resources(unified={file: "1"}))


def test_a_change_is_completed_by_what_is_in_force() -> None:
    now = {"memory.max": str(64 * MIB), "cpu.max": "50000 20000"}

    def change(resources: Resources) -> dict[str, str]:
        return written(completed(resources, now))

    assert change(Resources(memory=Memory(swap=96 * MIB)))["memory.swap.max"] == str(32 * MIB)
    assert change(Resources(cpu=Cpu(period=10_000))) == {"cpu.max": "50000 10000"}
    assert change(Resources(cpu=Cpu(quota=9_000))) == {"cpu.max": "9000 20000"}
    assert change(Resources(pids_limit=3)) == {"pids.max": "3"}
    with pytest.raises(InvalidInput, match="set it too"):
        written(completed(Resources(memory=Memory(swap=96 * MIB)), {"memory.max": "max"}))


# ---- writing them


@pytest.fixture
def tree(tmp_path: Path) -> Hierarchy:
    """Directories that look like a tree with two controllers; they don't behave like one."""
    (tmp_path / "cgroup.controllers").write_text("io pids\n")
    for directory in (tmp_path, tmp_path / "minirun", tmp_path / "minirun" / "x"):
        directory.mkdir(exist_ok=True)
        (directory / "cgroup.subtree_control").touch()
    return Hierarchy(str(tmp_path))


def test_controllers_are_enabled_from_the_top_down_to_the_parent(tree: Hierarchy) -> None:
    path = Path(tree.path("x"))
    with pytest.raises(NotSupported, match=r"no pids\.max in the cgroup controller 'pids'"):
        controllers.apply(tree, str(path), [("pids.max", "1", False)])
    enabled = [(path / up / "cgroup.subtree_control").read_text() for up in ("../..", "..", ".")]
    assert enabled == ["+pids", "+pids", ""]


def test_of_two_files_for_a_weight_one_is_enough(tree: Hierarchy) -> None:
    path = Path(tree.path("x"))
    settings = list(settings_of(Resources(block_io=BlockIo(weight=10))))
    with pytest.raises(NotSupported, match=r"io\.weight"):
        controllers.apply(tree, str(path), settings)
    (path / "io.bfq.weight").touch()
    controllers.apply(tree, str(path), settings)
    assert (path / "io.bfq.weight").read_text() == "default 10"
    (path / "io.weight").touch()
    controllers.apply(tree, str(path), settings)
    assert (path / "io.weight").read_text() == "default 1"


def test_each_line_of_a_value_is_one_write(tree: Hierarchy, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(files, "write", lambda path, value: seen.append((os.path.basename(path), value)))
    controllers.apply(tree, tree.path("x"), [("io.max", "8:0 rbps=1\n8:16 wiops=2\n", False)])
    assert seen == [("io.max", "8:0 rbps=1"), ("io.max", "8:16 wiops=2")]


def test_what_the_kernel_says_decides_who_is_to_blame(tree: Hierarchy, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> Callable[[str, str], None]:
        def write(*_: str) -> None:
            raise OSError(number, os.strerror(number))

        return write

    for number, kind in (
        (errno.EINVAL, InvalidInput),
        (errno.ERANGE, InvalidInput),
        (errno.EACCES, NotSupported),
        (errno.EOPNOTSUPP, NotSupported),
    ):
        monkeypatch.setattr(files, "write", refuse(number))
        with pytest.raises(kind, match=os.strerror(number).lower()):
            controllers.apply(tree, tree.path("x"), [("pids.max", "1", False)])


def test_a_cgroup_that_has_gone_is_not_taken_for_an_old_kernel(tree: Hierarchy) -> None:
    with pytest.raises(NotFound):
        controllers.apply(tree, tree.path("y"), [("pids.max", "1", False)])


# ---- where the tree is


def test_a_unified_host_is_told_from_a_hybrid_one(tmp_path: Path) -> None:
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified" / "cgroup.controllers").touch()
    hybrid = Hierarchy.detect(base=str(tmp_path))
    assert (hybrid.mountpoint, hybrid.hybrid) == (f"{tmp_path}/unified", True)
    (tmp_path / "cgroup.controllers").touch()
    unified = Hierarchy.detect("mine", base=str(tmp_path))
    assert (unified.root, unified.hybrid) == (f"{tmp_path}/mine", False)


def test_a_tree_elsewhere_is_found_by_the_mount_table(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("proc /proc proc rw 0 0\ncgroup2 /else\\040where cgroup2 rw 0 0\n")
    assert Hierarchy.detect(base=str(tmp_path), mounts=str(mounts)).mountpoint == "/else where"


def test_a_host_without_the_tree_is_told_what_to_do(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("proc /proc proc rw 0 0\n")
    with pytest.raises(NotSupported, match="unified_cgroup_hierarchy"):
        Hierarchy.detect(base=str(tmp_path), mounts=str(mounts))


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\0", "monitors", "confined", "x" * 256])
def test_a_name_never_leads_out_of_our_directory(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        Hierarchy(str(tmp_path)).path(name)


def test_a_controller_that_is_bound_to_version_1_is_named(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("hugetlb\n")
    hierarchy = Hierarchy(str(tmp_path), hybrid=True)
    with pytest.raises(NotSupported, match=r"no 'memory' controller \(a hybrid host"):
        hierarchy.create("x", Resources(memory=Memory(limit=64 * MIB)))
    assert not (tmp_path / "minirun" / "x").exists()


@pytest.mark.parametrize("ask", [members.processes, members.threads, members.is_frozen, members.is_populated])
@pytest.mark.parametrize("number", [*files.GONE, errno.EMFILE, errno.EACCES])
def test_a_cgroup_that_can_not_be_read_is_not_an_empty_one(
    ask: Callable[[str], object], number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: str, directory: int | None = None) -> str:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(files, "read", read)
    if number in files.GONE:
        assert not ask(str(tmp_path))
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            ask(str(tmp_path))
