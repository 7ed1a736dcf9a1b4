"""What is written to a cgroup, and what is refused before anything is."""

from __future__ import annotations

from pathlib import Path

import pytest

from minirun.errors import InvalidInput, NotSupported
from minirun.runtime.cgroups import Hierarchy, check_cpus, parse_cpu_list, settings_of, weight_of
from minirun.runtime.spec import Cpu, Memory, Resources

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


def test_cpus_that_the_host_has_not_are_refused_in_dockers_words(tmp_path: Path) -> None:
    online = tmp_path / "online"
    online.write_text("0-1\n")
    check_cpus("1", str(online))
    with pytest.raises(InvalidInput, match="Requested CPUs are not available - requested 0-2, available: 0-1"):
        check_cpus("0-2", str(online))


@pytest.mark.parametrize("file", ["cgroup.procs", "../x.max", "memory", "a/b.max"])
def test_only_files_of_controllers_are_written_by_name(file: str) -> None:
    with pytest.raises(InvalidInput):
        written(Resources(unified={file: "1"}))


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
