"""The cgroup of a bundle's container, on a real kernel."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun.errors import Conflict, InvalidInput, NotFound, NotSupported
from minirun.runtime import devices
from minirun.runtime.cgroups import ContainerCgroup, Hierarchy
from minirun.runtime.spec import BlockIo, Cpu, DeviceLimit, DeviceRule, Memory, Resources
from tests.waiting import until

MIB = 1 << 20
KMSG = DeviceRule(allow=True, kind="c", major=1, minor=11, access="r")


@pytest.fixture
def cgroup(hierarchy: Hierarchy) -> Iterator[ContainerCgroup]:
    """Where a container's cgroup will be; gone afterwards, with what lies above it."""
    placed = ContainerCgroup.place(hierarchy, f"/{os.path.basename(hierarchy.root)}/pod/one", "one")
    yield placed
    placed.remove()
    for directory in (os.path.dirname(placed.path), hierarchy.root):
        if os.path.isdir(directory):
            os.rmdir(directory)


@pytest.fixture
def inhabitant(cgroup: ContainerCgroup) -> Iterator[subprocess.Popen[bytes]]:
    """A process in it, which writes a line when it may open /dev/kmsg."""
    cgroup.create(Resources())
    with subprocess.Popen(["sleep", "60"]) as process:
        cgroup.join(process.pid)
        yield process
        process.kill()


def opens_kmsg(cgroup: ContainerCgroup) -> bool:
    script = f"echo $$ >{cgroup.path}/cgroup.procs; exec 3</dev/kmsg"
    return subprocess.run(["sh", "-c", script], stderr=subprocess.DEVNULL, check=False).returncode == 0


def content(cgroup: ContainerCgroup, file: str) -> str:
    return Path(cgroup.path, file).read_text().strip()


def test_it_is_made_with_all_above_and_its_filter_and_goes_alone(cgroup: ContainerCgroup) -> None:
    assert not cgroup.exists()
    assert cgroup.create(Resources()) == ""
    assert cgroup.exists()
    assert devices.is_attached(cgroup.path)
    assert not opens_kmsg(cgroup)
    cgroup.remove()
    assert not cgroup.exists()
    assert os.path.isdir(os.path.dirname(cgroup.path))
    cgroup.remove()


def test_a_failure_takes_all_directories_with_it(cgroup: ContainerCgroup, hierarchy: Hierarchy) -> None:
    with pytest.raises(NotSupported, match="'nothing'"):
        cgroup.create(Resources(unified={"nothing.max": "1"}))
    assert not os.path.exists(hierarchy.root)
    with pytest.raises(InvalidInput, match="invalid argument"):
        cgroup.create(Resources(unified={"hugetlb.2MB.max": "a lot"}))
    assert not os.path.exists(hierarchy.root)


def test_a_limit_without_a_controller_is_refused_by_name_and_no_limit_is_not(
    cgroup: ContainerCgroup, hierarchy: Hierarchy
) -> None:
    cgroup.create(Resources(pids_limit=-1, memory=Memory(limit=-1, swap=-1), cpu=Cpu(quota=-1)))
    cgroup.remove()
    for name, resources in (
        ("memory", Resources(memory=Memory(limit=64 * MIB))),
        ("pids", Resources(pids_limit=17)),
        ("cpu", Resources(cpu=Cpu(shares=512))),
        ("io", Resources(block_io=BlockIo(weight=100))),
    ):
        if name in hierarchy.controllers():
            continue
        with pytest.raises(NotSupported, match=f"no '{name}' controller"):
            cgroup.create(resources)
        assert not cgroup.exists()


@pytest.mark.needs("hugetlb")
def test_huge_pages_are_limited_reserved_and_counted(cgroup: ContainerCgroup) -> None:
    cgroup.create(Resources(huge_pages={"2MB": 4 * MIB}))
    assert content(cgroup, "hugetlb.2MB.max") == str(4 * MIB)
    assert content(cgroup, "hugetlb.2MB.rsvd.max") == str(4 * MIB)
    cgroup.update(Resources(huge_pages={"2MB": 2 * MIB}))
    assert content(cgroup, "hugetlb.2MB.max") == str(2 * MIB)
    assert cgroup.stats()["hugetlb"]["2MB"] == {"usage": 0, "failcnt": 0}
    with pytest.raises(NotSupported, match=r"hugetlb\.3MB\.max"):
        cgroup.update(Resources(huge_pages={"3MB": MIB}))


@pytest.mark.needs("hugetlb")
def test_a_change_that_fails_leaves_what_was(cgroup: ContainerCgroup) -> None:
    cgroup.create(Resources(huge_pages={"2MB": 4 * MIB}))
    with pytest.raises(InvalidInput, match="invalid argument"):
        cgroup.update(Resources(huge_pages={"2MB": 2 * MIB}, unified={"hugetlb.1GB.max": "a lot"}))
    assert content(cgroup, "hugetlb.2MB.max") == str(4 * MIB)


def test_device_rules_change_while_it_lives(cgroup: ContainerCgroup) -> None:
    cgroup.create(Resources())
    cgroup.update(Resources(devices=(DeviceRule(allow=False), KMSG)))
    assert opens_kmsg(cgroup)
    cgroup.update(Resources(pids_limit=-1))
    assert opens_kmsg(cgroup)
    cgroup.update(Resources(devices=(DeviceRule(allow=False),)))
    assert not opens_kmsg(cgroup)
    cgroup.update(Resources(devices=(DeviceRule(allow=True),)))
    assert not devices.is_attached(cgroup.path)


def test_a_cgroup_with_inhabitants_is_refused(cgroup: ContainerCgroup, inhabitant: subprocess.Popen[bytes]) -> None:
    with pytest.raises(Conflict, match="container's cgroup is not empty: 1 process"):
        cgroup.create(Resources())
    assert inhabitant.poll() is None
    assert cgroup.processes() == [inhabitant.pid]


def test_a_frozen_cgroup_is_refused(cgroup: ContainerCgroup) -> None:
    cgroup.create(Resources())
    cgroup.freeze()
    with pytest.raises(Conflict, match="container's cgroup unexpectedly frozen"):
        cgroup.create(Resources())
    assert cgroup.exists()


def test_an_empty_cgroup_that_was_there_is_taken_and_survives_a_failure(cgroup: ContainerCgroup) -> None:
    os.makedirs(cgroup.path)
    with pytest.raises(NotSupported):
        cgroup.create(Resources(unified={"nothing.max": "1"}))
    assert cgroup.exists()
    assert cgroup.create(Resources()) == ""


def test_a_path_through_a_file_is_refused(hierarchy: Hierarchy) -> None:
    os.makedirs(hierarchy.root)
    placed = ContainerCgroup.place(hierarchy, f"/{os.path.basename(hierarchy.root)}/cgroup.procs", "one")
    with pytest.raises(InvalidInput, match="is a file"):
        placed.create(Resources())


def test_it_is_frozen_and_killed(cgroup: ContainerCgroup, inhabitant: subprocess.Popen[bytes]) -> None:
    assert (cgroup.is_frozen(), cgroup.is_populated()) == (False, True)
    cgroup.freeze()
    assert cgroup.is_frozen()
    cgroup.kill(signal.SIGKILL)
    assert inhabitant.wait(10) == -signal.SIGKILL
    until("nobody is left", lambda: not cgroup.is_populated())
    cgroup.freeze(False)
    assert not cgroup.is_frozen()


def test_one_more_process_goes_where_it_can_live(cgroup: ContainerCgroup, hierarchy: Hierarchy) -> None:
    cgroup.create(Resources())
    assert cgroup.entrance() == cgroup.path
    inner = Path(cgroup.path, "init.scope")
    (inner / "deep").mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as first:
        (inner / "cgroup.procs").write_text(str(first.pid))
        assert cgroup.entrance(first_pid=first.pid) == cgroup.path
        # As an init in the container does; nobody may live in the outermost then (cgroup-v2.rst, "No Internal Process Constraint").
        controller = hierarchy.controllers()[0]
        Path(cgroup.path, "cgroup.subtree_control").write_text(f"+{controller}")
        assert cgroup.entrance(first_pid=first.pid) == str(inner)
        assert cgroup.entrance("init.scope/deep", first.pid) == str(inner / "deep")
        assert cgroup.entrance("/") == cgroup.path
        first.kill()
    with pytest.raises(NotFound):
        cgroup.entrance("nowhere")
    for way_out in ("..", "init.scope/../..", "a\0"):
        with pytest.raises(InvalidInput):
            cgroup.entrance(way_out)


def test_what_has_gone_says_so(cgroup: ContainerCgroup) -> None:
    for look in (cgroup.stats, cgroup.entrance, lambda: cgroup.join(0)):
        with pytest.raises(NotFound, match="there is no cgroup"):
            look()
    with pytest.raises(NotFound, match="there is no cgroup"):
        cgroup.update(Resources(unified={"hugetlb.2MB.max": "0"}))
    cgroup.kill()
    assert (cgroup.processes(), cgroup.is_populated(), cgroup.is_frozen(), cgroup.oom_kills()) == ([], False, False, 0)


def test_its_owner_may_divide_it_and_nothing_else(cgroup: ContainerCgroup) -> None:
    """config-linux.md, "Cgroup ownership"."""
    cgroup.create(Resources())
    cgroup.delegate(12345)
    listed = Path("/sys/kernel/cgroup/delegate").read_text().split()
    owned = {path.name for path in Path(cgroup.path).iterdir() if path.stat().st_uid == 12345}
    assert owned == {name for name in listed if Path(cgroup.path, name).exists()}
    assert {"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} <= owned
    assert not owned & {"cgroup.freeze", "cgroup.kill", "hugetlb.2MB.max", "memory.max", "pids.max"}
    assert os.stat(cgroup.path).st_uid == 12345
    assert os.stat(os.path.dirname(cgroup.path)).st_uid == 0


def test_numbers_have_the_shape_that_events_print(cgroup: ContainerCgroup, inhabitant: subprocess.Popen[bytes]) -> None:
    found = cgroup.stats()
    assert set(found) == {"cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "network_interfaces"}
    usage = found["cpu"]["usage"]
    assert usage["total"] >= usage["user"] >= 0
    assert usage["total"] % 1000 == 0  # the kernel counts microseconds, runc prints nanoseconds
    assert set(found["cpu"]["throttling"]) == {"periods", "throttledPeriods", "throttledTime"}
    assert found["pids"]["current"] == 1
    assert set(found["memory"]["usage"]) >= {"limit", "usage", "failcnt"}
    if Path(cgroup.path, "cpu.pressure").exists():
        assert set(found["cpu"]["psi"]["some"]) == {"avg10", "avg60", "avg300", "total"}


# ---- where there are all controllers


@pytest.mark.needs("memory", "cpu", "cpuset", "pids", "io")
def test_each_resource_is_read_back_as_converted(cgroup: ContainerCgroup) -> None:
    disks = Path("/sys/class/block")
    if not any(disks.iterdir()):  # a virtual machine without any
        subprocess.run(["modprobe", "brd", "rd_nr=1", "rd_size=1024"], check=True)
    disk = next(path for path in sorted(disks.iterdir()) if not (path / "partition").exists())
    major, minor = map(int, (disk / "dev").read_text().split(":"))
    rate = DeviceLimit(major=major, minor=minor, value=MIB)
    cgroup.create(
        Resources(
            memory=Memory(limit=64 * MIB, swap=96 * MIB, reservation=32 * MIB),
            cpu=Cpu(shares=512, quota=50_000, period=20_000, burst=10_000, cpus="0", mems="0"),
            pids_limit=17,
            block_io=BlockIo(weight=500, read_bytes=(rate,)),
            unified={"memory.high": str(48 * MIB)},
        )
    )
    files = "memory.max memory.swap.max memory.low memory.high cpu.max cpu.max.burst cpuset.cpus cpuset.mems pids.max io.max"
    assert [content(cgroup, file) for file in files.split()] == [
        *(str(number * MIB) for number in (64, 32, 32, 48)),
        *("50000 20000", "10000", "0", "0", "17", f"{major}:{minor} rbps={MIB} wbps=max riops=max wiops=max"),
    ]
    weights = [
        content(cgroup, f"io.{kind}weight") for kind in ("", "bfq.") if Path(cgroup.path, f"io.{kind}weight").exists()
    ]
    assert weights
    assert set(weights) <= {"default 4950", "default 500"}

    cgroup.update(Resources(cpu=Cpu(period=40_000), memory=Memory(swap=64 * MIB)))
    assert [content(cgroup, file) for file in ("cpu.max", "memory.swap.max", "memory.max")] == [
        "50000 40000",
        "0",
        str(64 * MIB),
    ]
    cgroup.update(Resources(cpu=Cpu(quota=5_000, burst=1_000)))  # below the burst that was
    assert [content(cgroup, file) for file in ("cpu.max", "cpu.max.burst")] == ["5000 40000", "1000"]
    cgroup.update(Resources(cpu=Cpu(idle=1)))
    cgroup.update(Resources(cpu=Cpu(idle=0, shares=1024)))
    assert content(cgroup, "cpu.weight") == "100"
    with pytest.raises(InvalidInput, match=r"cpu\.max"):
        cgroup.update(Resources(pids_limit=5, cpu=Cpu(quota=1)))
    assert content(cgroup, "pids.max") == "17"
    with pytest.raises(InvalidInput, match=r"io\.max.*no such device"):
        cgroup.update(Resources(block_io=BlockIo(read_bytes=(DeviceLimit(major=99, minor=99, value=1),))))


@pytest.mark.needs("memory", "pids")
def test_want_of_memory_is_counted(cgroup: ContainerCgroup) -> None:
    cgroup.create(Resources(memory=Memory(limit=16 * MIB, swap=16 * MIB)))
    hog = f"open('{cgroup.path}/cgroup.procs', 'w').write('0')\nown = b'x' * {MIB}\ninput()\nb'x' * {64 * MIB}"
    with subprocess.Popen(["python3", "-c", hog], stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        until("it has memory there", lambda: cgroup.stats()["memory"]["usage"]["usage"] >= MIB)
        before = cgroup.stats()
        assert (before["memory"]["usage"]["limit"], before["memory"]["swap"]["limit"]) == (16 * MIB, 16 * MIB)
        assert "anon" in before["memory"]["raw"]
        assert before["pids"] == {"current": 1, "limit": 0}
        with pytest.raises(InvalidInput, match="unable to set memory limit to 4096"):
            cgroup.update(Resources(memory=Memory(limit=4096, check_before_update=True)))
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.wait(30) == -signal.SIGKILL
    assert cgroup.oom_kills() == 1
    assert cgroup.stats()["memory"]["event_count"]["oom_kill"] == 1
