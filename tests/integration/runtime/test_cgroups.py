"""Control groups of a real kernel: freezing, killing, removing, the device filter."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun.errors import NotSupported
from minirun.runtime import devices
from minirun.runtime.cgroups import Hierarchy
from minirun.runtime.spec import Cpu, DeviceRule, Memory, Resources


@pytest.fixture
def sleeper(hierarchy: Hierarchy) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the cgroup `x`."""
    made = hierarchy.create("x", Resources())
    with subprocess.Popen(["sleep", "60"]) as process:
        Path(made.path, "cgroup.procs").write_text(str(process.pid))
        yield process
        process.kill()
    hierarchy.remove("x")


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_cgroup_is_made_found_and_removed(hierarchy: Hierarchy) -> None:
    made = hierarchy.create("x", Resources())
    assert made.path == hierarchy.path("x")
    assert os.path.isdir(made.path)
    assert not hierarchy.is_populated("x")
    hierarchy.remove("x")
    assert not os.path.exists(made.path)
    hierarchy.remove("x")


def test_processes_are_listed_frozen_and_killed(hierarchy: Hierarchy, sleeper: subprocess.Popen[bytes]) -> None:
    assert hierarchy.processes("x") == [sleeper.pid]
    assert hierarchy.is_populated("x")
    hierarchy.freeze("x")
    assert Path(hierarchy.path("x"), "cgroup.events").read_text().split()[-1] == "1"
    hierarchy.freeze("x", False)
    hierarchy.kill("x")
    assert sleeper.wait(10) == -9
    hierarchy.kill("x")


def test_a_frozen_cgroup_is_killed_too(hierarchy: Hierarchy, sleeper: subprocess.Popen[bytes]) -> None:
    hierarchy.freeze("x")
    hierarchy.remove("x")
    assert sleeper.wait(10) == -9


def test_removal_takes_what_was_made_beneath(hierarchy: Hierarchy, sleeper: subprocess.Popen[bytes]) -> None:
    below = Path(hierarchy.path("x"), "a", "b")
    below.mkdir(parents=True)
    (below / "cgroup.procs").write_text(str(sleeper.pid))
    assert hierarchy.processes("x") == [sleeper.pid]
    hierarchy.remove("x")
    assert not os.path.exists(hierarchy.path("x"))
    assert sleeper.wait(10) == -9


def test_killing_and_removing_what_is_gone_is_no_error(hierarchy: Hierarchy) -> None:
    hierarchy.kill("x")
    hierarchy.remove("x")
    assert hierarchy.processes("x") == []
    assert not hierarchy.is_populated("x")


def test_a_refused_limit_leaves_nothing_behind(hierarchy: Hierarchy) -> None:
    if "memory" in hierarchy.controllers():
        assert hierarchy.create("x", Resources(memory=Memory(limit=64 << 20))).path
        assert Path(hierarchy.path("x"), "memory.max").read_text() == f"{64 << 20}\n"
        hierarchy.remove("x")
        return
    with pytest.raises(NotSupported, match="'memory'"):
        hierarchy.create("x", Resources(memory=Memory(limit=64 << 20)))
    assert not os.path.exists(hierarchy.path("x"))


def opened(path: str, cgroup: str, *, writing: bool = False) -> bool:
    """Try to open a device from inside a cgroup."""
    redirection = ">" if writing else "<"
    script = f"echo $$ > {cgroup}/cgroup.procs; exec 3{redirection}{path}"
    return subprocess.run(["sh", "-c", script], stderr=subprocess.DEVNULL, check=False).returncode == 0


def test_the_usual_filter_counts_for_all_in_one_directory(hierarchy: Hierarchy) -> None:
    made = [hierarchy.create(name, Resources(devices=devices.DEFAULT)) for name in ("x", "y")]
    assert {os.path.dirname(cgroup.path) for cgroup in made} == {hierarchy.confined}
    assert [cgroup.device_filter_refused for cgroup in made] == ["", ""]
    assert devices.is_attached(hierarchy.confined)
    assert not devices.is_attached(made[0].path)
    for cgroup in made:
        assert opened("/dev/null", cgroup.path)
        assert opened("/dev/full", cgroup.path, writing=True)
        assert not opened("/dev/kmsg", cgroup.path)
    for name in ("x", "y"):
        hierarchy.remove(name)
    assert hierarchy.why_no_device_filter() == ""


def test_a_device_that_was_asked_for_opens_with_its_rights_only(hierarchy: Hierarchy) -> None:
    kmsg = DeviceRule(allow=True, kind="c", major=1, minor=11, access="r")
    made = hierarchy.create("x", Resources(devices=(*devices.DEFAULT, kmsg)))
    assert os.path.dirname(made.path) == hierarchy.root
    assert devices.is_attached(made.path)
    assert opened("/dev/kmsg", made.path)
    assert not opened("/dev/kmsg", made.path, writing=True)
    assert opened("/dev/null", made.path, writing=True)
    hierarchy.remove("x")


def test_no_filter_for_those_who_may_everything(hierarchy: Hierarchy) -> None:
    made = hierarchy.create("x", Resources(devices=devices.EVERYTHING))
    assert not devices.is_attached(made.path)
    assert opened("/dev/kmsg", made.path)
    hierarchy.remove("x")


def test_a_host_that_refuses_the_filter_says_why(hierarchy: Hierarchy, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "bpf: device filter: Operation not permitted")

    monkeypatch.setattr(devices, "attach", refuse)
    made = hierarchy.create("x", Resources(devices=devices.DEFAULT))
    assert "not permitted" in made.device_filter_refused
    assert os.path.dirname(made.path) == hierarchy.root
    hierarchy.remove("x")


def test_the_cgroup_of_monitors_is_beside_the_containers(hierarchy: Hierarchy) -> None:
    assert hierarchy.monitors == f"{hierarchy.root}/monitors"
    assert os.path.isdir(hierarchy.monitors)


@pytest.mark.needs("memory")
@pytest.mark.needs("cpu")
@pytest.mark.needs("pids")
@pytest.mark.needs("cpuset")
def test_every_limit_is_written_and_read_back(hierarchy: Hierarchy) -> None:
    limits = Resources(
        memory=Memory(limit=64 << 20, swap=96 << 20),
        cpu=Cpu(shares=1024, quota=50_000, period=100_000, cpus="0"),
        pids_limit=17,
        devices=devices.DEFAULT,
    )
    made = hierarchy.create("x", limits)
    found = {
        file: Path(made.path, file).read_text().strip()
        for file in ("memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "cpuset.cpus", "pids.max")
    }
    assert found == {
        "memory.max": str(64 << 20),
        "memory.swap.max": str(32 << 20),
        "cpu.max": "50000 100000",
        "cpu.weight": "100",
        "cpuset.cpus": "0",
        "pids.max": "17",
    }
    hierarchy.update("x", Resources(pids_limit=-1))
    assert Path(made.path, "pids.max").read_text() == "max\n"
    hierarchy.remove("x")
