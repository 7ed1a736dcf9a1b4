"""Limits hold: by what the kernel does, not by what a file says alone. Runs where cgroup v2 has the controllers."""

from __future__ import annotations

import pytest

from tests.conftest import MinirunCommand, RunContainer

MEBIBYTE = 1024 * 1024
EAT_MEMORY = "tail /dev/zero"  # keeps the last line, and /dev/zero has one that never ends


def setting(minirun: MinirunCommand, container: str, file: str) -> str:
    """Read a file of the container's own cgroup, from inside."""
    return minirun("exec", container, "cat", f"/sys/fs/cgroup/{file}").stdout.strip()


@pytest.mark.needs("memory")
def test_memory_limit_kills_only_the_offender(
    busybox: str, run_container: RunContainer, minirun: MinirunCommand
) -> None:
    neighbour = run_container("--memory", "32m", busybox, "sleep", "1000")
    done = minirun("run", "--rm", "--memory", "32m", busybox, "sh", "-c", f"{EAT_MEMORY}; echo survived $?")
    assert done.stdout == "survived 137\n"
    assert minirun("inspect", "-f", "{{.State.Running}}", neighbour).stdout == "true\n"


@pytest.mark.needs("memory")
def test_an_out_of_memory_kill_of_the_first_process_is_reported(
    busybox: str, run_container: RunContainer, minirun: MinirunCommand
) -> None:
    name = run_container("--memory", "32m", busybox, *EAT_MEMORY.split())
    assert minirun("wait", name).stdout == "137\n"
    assert minirun("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", name).stdout == "true 137\n"


@pytest.mark.needs("memory")
def test_who_waits_at_the_terminal_reads_that_memory_ran_out(busybox: str, minirun: MinirunCommand) -> None:
    done = minirun("run", "--rm", "--memory", "32m", busybox, *EAT_MEMORY.split(), check=False)
    assert done.returncode == 137
    assert "memory" in done.stderr


@pytest.mark.needs("memory")
def test_memory_and_swap_arrive_in_the_kernel(
    busybox: str, run_container: RunContainer, minirun: MinirunCommand
) -> None:
    name = run_container("--memory", "64m", "--memory-swap", "96m", busybox, "sleep", "1000")
    assert setting(minirun, name, "memory.max") == str(64 * MEBIBYTE)
    assert setting(minirun, name, "memory.swap.max") == str(32 * MEBIBYTE)


@pytest.mark.needs("cpu")
def test_cpu_time_and_weight_arrive_in_the_kernel(
    busybox: str, run_container: RunContainer, minirun: MinirunCommand
) -> None:
    name = run_container("--cpus", "0.5", "--cpu-shares", "512", busybox, "sleep", "1000")
    quota, period = setting(minirun, name, "cpu.max").split()
    assert int(quota) * 2 == int(period)
    assert 1 < int(setting(minirun, name, "cpu.weight")) < 100


@pytest.mark.needs("cpuset")
def test_a_set_of_cpus_holds(busybox: str, run_container: RunContainer, minirun: MinirunCommand) -> None:
    name = run_container("--cpuset-cpus", "0", busybox, "sleep", "1000")
    assert setting(minirun, name, "cpuset.cpus") == "0"
    assert minirun("exec", name, "nproc").stdout == "1\n"


@pytest.mark.needs("pids")
def test_a_fork_bomb_stops_at_the_limit(busybox: str, minirun: MinirunCommand) -> None:
    bomb = "cat /sys/fs/cgroup/pids.max; for i in $(seq 50); do sleep 1000 & done; echo all started"
    done = minirun("run", "--rm", "--pids-limit", "20", busybox, "sh", "-c", bomb, check=False)
    assert done.stdout == "20\n"
    assert "can't fork" in done.stderr


@pytest.mark.needs("pids")
def test_a_fork_bomb_stops_without_a_limit_that_was_asked_for(busybox: str, minirun: MinirunCommand) -> None:
    assert minirun("run", "--rm", busybox, "cat", "/sys/fs/cgroup/pids.max").stdout == "4096\n"
    assert minirun("run", "--rm", "--pids-limit", "-1", busybox, "cat", "/sys/fs/cgroup/pids.max").stdout == "max\n"


@pytest.mark.needs("memory")
def test_a_container_cannot_raise_its_own_limit(busybox: str, minirun: MinirunCommand) -> None:
    script = "echo max >/sys/fs/cgroup/memory.max; cat /sys/fs/cgroup/memory.max"
    done = minirun("run", "--rm", "--memory", "64m", busybox, "sh", "-c", script)
    assert done.stdout == f"{64 * MEBIBYTE}\n"
    assert "Read-only" in done.stderr
