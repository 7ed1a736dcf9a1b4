"""Control groups of a real kernel: freezing, killing, removing, the device filter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun.errors import NotSupported
from minirun.runtime import devices
from minirun.runtime.cgroups import Hierarchy, files, members
from minirun.runtime.cgroups import hierarchy as hierarchy_module
from minirun.runtime.cgroups.hierarchy import make
from minirun.runtime.spec import Cpu, DeviceRule, Memory, Resources
from tests.waiting import until


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


def test_one_that_can_not_be_made_says_where_and_why(hierarchy: Hierarchy) -> None:
    limit = Path(hierarchy.confined, "cgroup.max.descendants")
    make(hierarchy.confined)
    limit.write_text("0")
    with pytest.raises(NotSupported, match=r"make the cgroup .*/confined/x: .*; cgroup\.max\.descendants"):
        make(f"{hierarchy.confined}/x")


def test_a_monitor_that_is_kept_for_later_does_not_keep_the_directory(
    hierarchy: Hierarchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some process has it ready for its next container: it waits for as long as that lives."""
    monkeypatch.setattr(hierarchy_module, "_SECONDS_TO_LEAVE", 0.1)
    with subprocess.Popen(["sleep", "60"]) as spare:
        Path(hierarchy.monitors, "cgroup.procs").write_text(str(spare.pid))
        begin = time.monotonic()
        hierarchy.destroy()
        assert time.monotonic() - begin < 5
        assert spare.wait(10) == -9
    assert not os.path.exists(hierarchy.root)


def test_a_container_that_runs_keeps_it(hierarchy: Hierarchy, sleeper: subprocess.Popen[bytes]) -> None:
    with pytest.raises(OSError, match="containers run"):
        hierarchy.destroy(0.1)
    assert sleeper.poll() is None


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


def test_who_comes_while_it_is_removed_is_killed_too(
    hierarchy: Hierarchy, sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an `exec` does that has seen the container alive: the kernel has said already that nobody lives there."""
    path = hierarchy.create("c", Resources()).path
    files.write(f"{path}/cgroup.procs", str(sleeper.pid))
    late = subprocess.Popen(["sleep", "600"])
    wait, waits = files.wait, list[object]()

    def wait_and_enter(*arguments):
        wait(*arguments)
        if not waits:
            files.write(f"{path}/cgroup.procs", str(late.pid))
        waits.append(arguments)

    monkeypatch.setattr(files, "wait", wait_and_enter)
    try:
        hierarchy.remove("c")
    finally:
        late.kill()
        assert late.wait(10) == -signal.SIGKILL
    assert len(waits) == 2
    assert not os.path.exists(path)
    assert sleeper.wait(10) == -signal.SIGKILL


def test_removal_gives_up_when_somebody_always_comes(hierarchy: Hierarchy, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hierarchy.create("c", Resources()).path
    os.mkdir(f"{path}/beneath")
    monkeypatch.setattr(members, "_walk", lambda _: iter(()))
    with pytest.raises(TimeoutError, match="as fast as they were killed"):
        hierarchy.remove("c", timeout_seconds=0.05)
    monkeypatch.undo()
    hierarchy.remove("c")
    assert not os.path.exists(path)


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


def test_a_device_that_was_asked_for_opens_with_its_rights_only(hierarchy: Hierarchy) -> None:
    kmsg = DeviceRule(allow=True, kind="c", major=1, minor=11, access="r")
    made = hierarchy.create("x", Resources(devices=(*devices.DEFAULT, kmsg)))
    assert os.path.dirname(made.path) == hierarchy.root
    assert devices.is_attached(made.path)
    assert opened("/dev/kmsg", made.path)
    assert not opened("/dev/kmsg", made.path, writing=True)
    assert opened("/dev/null", made.path, writing=True)
    hierarchy.remove("x")


def test_an_exchanged_filter_is_the_only_one(hierarchy: Hierarchy) -> None:
    made = hierarchy.create("x", Resources()).path
    kmsg = DeviceRule(allow=True, kind="c", major=1, minor=11)
    devices.replace(made, devices.DEFAULT)
    assert not opened("/dev/kmsg", made)
    devices.replace(made, devices.of_container([kmsg]))
    assert opened("/dev/kmsg", made)
    assert opened("/dev/null", made, writing=True)
    devices.replace(made, devices.of_container([]))
    assert not opened("/dev/kmsg", made)
    devices.replace(made, devices.EVERYTHING)
    assert not devices.is_attached(made)
    assert opened("/dev/kmsg", made)
    devices.replace(made, devices.EVERYTHING)
    hierarchy.remove("x")


def test_no_moment_is_without_a_filter_while_it_is_exchanged(hierarchy: Hierarchy) -> None:
    made = hierarchy.create("x", Resources(devices=devices.of_container([]))).path
    # It ends with the first success, or when the file `end` is there.
    end = Path(f"/tmp/minirun-end-{os.getpid()}")
    script = (
        f"open('{made}/cgroup.procs', 'w').write('0')\nprint(flush=True)\nimport os\n"
        f"while not os.path.exists('{end}'):\n  try: os.open('/dev/kmsg', os.O_RDONLY)\n  except PermissionError: continue\n"
        "  raise SystemExit(7)"
    )
    with subprocess.Popen(["python3", "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for turn in range(300):
            devices.replace(made, devices.DEFAULT if turn % 2 else devices.of_container([]))
        end.touch()
        try:
            assert process.wait(30) == 0
        finally:
            end.unlink()
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


# ---- what a container with a cgroup of its own can do to us


def test_no_depth_of_nesting_keeps_a_cgroup_from_being_removed(hierarchy: Hierarchy) -> None:
    made = hierarchy.create("x", Resources())
    directory = os.open(made.path, os.O_DIRECTORY)
    for _ in range(1100):  # beyond Python's recursion, and the path beyond PATH_MAX
        os.mkdir("below", dir_fd=directory)
        below = os.open("below", os.O_DIRECTORY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(directory)
    assert hierarchy.processes("x") == []
    hierarchy.remove("x")
    assert not os.path.exists(made.path)


def test_a_threaded_cgroup_hides_no_process(hierarchy: Hierarchy, sleeper: subprocess.Popen[bytes]) -> None:
    made = hierarchy.path("x")
    for name in ("a", "b", "c"):  # in whichever order they are read
        Path(made, name).mkdir()
        Path(made, name, "cgroup.type").write_text("threaded")
    with pytest.raises(OSError, match="not supported"):
        Path(made, "a", "cgroup.procs").read_text()
    assert hierarchy.processes("x") == [sleeper.pid]


def test_whoever_died_as_he_went_on_is_not_frozen(hierarchy: Hierarchy) -> None:
    """Linux loses count of some: then the empty cgroup's events say "frozen" for ever. One of fifty here."""
    hierarchy.create("x", Resources())
    path = hierarchy.path("x")
    Path(path, "below").mkdir()
    for _ in range(150):
        with subprocess.Popen(["sleep", "60"]) as one, subprocess.Popen(["sleep", "60"]) as other:
            Path(path, "cgroup.procs").write_text(str(one.pid))
            Path(path, "below", "cgroup.procs").write_text(str(other.pid))
            members.signal(path, signal.SIGTERM)
        assert not members.is_frozen(path)
    members.freeze(path, False, timeout_seconds=0.1)
    Path(path, "cgroup.freeze").write_text("1")
    assert members.is_frozen(path)
    assert members.is_frozen(f"{path}/below")
    members.freeze(path, False)
    hierarchy.remove("x")


def test_signals_reach_all_and_only_them(hierarchy: Hierarchy, sleeper: subprocess.Popen[bytes]) -> None:
    path = hierarchy.path("x")
    Path(path, "below").mkdir()
    with subprocess.Popen(["sleep", "60"]) as other, subprocess.Popen(["sleep", "60"]) as outside:
        Path(path, "below", "cgroup.procs").write_text(str(other.pid))
        members.signal(path, signal.SIGTERM)
        assert (sleeper.wait(10), other.wait(10)) == (-signal.SIGTERM, -signal.SIGTERM)
        assert outside.poll() is None
        outside.kill()
    assert not members.is_frozen(path)


def test_who_is_killed_while_it_signals_leaves_nobody_frozen(
    hierarchy: Hierarchy, sleeper: subprocess.Popen[bytes]
) -> None:
    path = hierarchy.path("x")
    script = (
        "import os, sys\n"
        "from minirun.runtime.cgroups import members\n"
        "members._send = lambda *_: (print(members.is_frozen(sys.argv[1])), sys.stdout.flush(), os.kill(os.getpid(), 9))\n"
        "members.signal(sys.argv[1], 15)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "True\n")
    until("them to go on", lambda: not members.is_frozen(path))
    assert sleeper.poll() is None


def test_a_kernel_without_cgroup_kill_kills_all_the_same(hierarchy: Hierarchy, monkeypatch: pytest.MonkeyPatch) -> None:
    made = hierarchy.create("x", Resources())
    real = files.write

    def without_kill(path: str, value: str) -> None:
        if path.endswith("/cgroup.kill"):
            raise FileNotFoundError(2, "No such file or directory", path)
        real(path, value)

    monkeypatch.setattr(files, "write", without_kill)
    # Each process forks on and on; none of a generation outlives it for long.
    bomb = "import os\nwhile True:\n  if os.fork(): os.wait()\n  elif os.fork(): os._exit(0)"
    script = f"open('{made.path}/cgroup.procs', 'w').write('0')\n{bomb}"
    with subprocess.Popen(["python3", "-c", script]) as process:
        until("it forks", lambda: len(members.processes(made.path)) > 1)
        members.kill(made.path)
        assert process.wait(10) == -signal.SIGKILL
    until("all are gone", lambda: not members.is_populated(made.path))
    hierarchy.remove("x")
