"""Personality, scheduling, I/O priority, CPU affinity, memory policy: as the program itself sees them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from minirun.linux import plan as p
from tests.integration.linux.conftest import Walk

Container = Callable[..., p.Plan]
SCHED_OTHER, SCHED_FIFO, SCHED_BATCH, SCHED_IDLE = 0, 1, 3, 5
IDLE_CLASS, BEST_EFFORT = 3, 2
MPOL_DEFAULT, MPOL_BIND, MPOL_INTERLEAVE, MPOL_LOCAL = 0, 2, 3, 4
PER_LINUX32, ADDR_NO_RANDOMIZE = 0x0008, 0x0040000


def _failure(walk: Walk, container: Container, operation: p.Operation) -> int:
    plan = container("true", tail=(operation,))
    outcome = walk(plan)
    if outcome.failed is None:
        return 0
    assert plan.operations()[outcome.failed[0]][1] == operation
    return outcome.failed[1]


def _stat(text: str, field: int) -> int:
    """Give a field of /proc/PID/stat by its number in proc(5)."""
    return int(text.rpartition(")")[2].split()[field - 3])


def test_the_personality(walk: Walk, container: Container) -> None:
    persona = PER_LINUX32 | ADDR_NO_RANDOMIZE
    outcome = walk(container("cat", "/proc/self/personality", tail=(p.personality(persona),)))
    assert int(outcome.output, 16) == persona


@pytest.mark.parametrize(("policy", "nice"), [(SCHED_OTHER, 7), (SCHED_BATCH, 3), (SCHED_IDLE, 0)])
def test_a_policy_and_its_nice_value(walk: Walk, container: Container, policy: int, nice: int) -> None:
    outcome = walk(container("cat", "/proc/self/stat", tail=(p.scheduler(policy, 0, nice, 0, 0, 0, 0),)))
    assert (_stat(outcome.output, 41), _stat(outcome.output, 19)) == (policy, nice)


def test_a_negative_nice_value(walk: Walk, container: Container) -> None:
    outcome = walk(container("cat", "/proc/self/stat", tail=(p.scheduler(SCHED_OTHER, 0, -5, 0, 0, 0, 0),)))
    assert _stat(outcome.output, 19) == -5


def test_a_real_time_priority_needs_its_capability(walk: Walk, container: Container) -> None:
    plan = container(
        "true", tail=(p.capabilities(0, 0, 0), p.rlimit(14, 0, 0), p.scheduler(SCHED_FIFO, 0, 0, 10, 0, 0, 0))
    )
    assert walk(plan).failed == (len(plan.operations()) - 5, errno.EPERM)


@pytest.mark.parametrize(
    "operation",
    [
        p.scheduler(99, 0, 0, 0, 0, 0, 0),
        p.scheduler(SCHED_FIFO, 0, 0, 100, 0, 0, 0),
        p.scheduler(SCHED_OTHER, 0, 0, 1, 0, 0, 0),
        p.scheduler(SCHED_OTHER, 1 << 40, 0, 0, 0, 0, 0),
        p.scheduler(6, 0, 0, 0, 3_000_000, 2_000_000, 1_000_000),  # SCHED_DEADLINE: runtime above deadline above period
        p.scheduler(1 << 32, 0, 0, 0, 0, 0, 0),
        p.scheduler(SCHED_FIFO, 0, 0, 1 << 32 | 5, 0, 0, 0),
        p.io_priority(4, 0),
        p.io_priority(BEST_EFFORT, 8),
        p.io_priority(1 << 19 | BEST_EFFORT, 0),
        p.cpu_affinity(bytes(8)),
        p.cpu_affinity(b""),
        p.memory_policy(99, b""),
        p.memory_policy(MPOL_BIND, b""),
        p.memory_policy(MPOL_BIND, bytes(8)),
        p.memory_policy(1 << 32 | MPOL_BIND, b"\1" + bytes(7)),
        p.memory_policy(MPOL_BIND, bytes(1 << 16)),
        p.personality(1 << 32),
        p.personality(0xFFFFFFFF),
    ],
    ids=lambda operation: f"{operation.name}-{str(operation.arguments)[:40]}",
)
def test_what_the_kernel_cannot_do_is_refused_never_cut_to_what_it_can(
    walk: Walk, container: Container, operation: p.Operation
) -> None:
    assert _failure(walk, container, operation) == errno.EINVAL


@pytest.mark.parametrize(
    ("io_class", "priority", "shown"), [(BEST_EFFORT, 6, "best-effort: prio 6"), (IDLE_CLASS, 0, "idle")]
)
def test_the_io_priority(walk: Walk, container: Container, io_class: int, priority: int, shown: str) -> None:
    outcome = walk(container("/bin/busybox", "ionice", "-p", "0", tail=(p.io_priority(io_class, priority),)))
    assert outcome.output.strip() == shown


def test_the_cpus_of_the_program(walk: Walk, container: Container) -> None:
    last = max(os.sched_getaffinity(0))
    mask = (1 << last).to_bytes(last // 8 + 1, "little")
    outcome = walk(container("grep", "Cpus_allowed_list", "/proc/self/status", tail=(p.cpu_affinity(mask),)))
    assert outcome.output.split() == ["Cpus_allowed_list:", str(last)]


def test_cpus_that_the_machine_does_not_have_are_left_out(walk: Walk, container: Container) -> None:
    first = min(os.sched_getaffinity(0))
    mask = (1 << first | 0xFF << 20_000).to_bytes(2_502, "little")
    outcome = walk(container("grep", "Cpus_allowed_list", "/proc/self/status", tail=(p.cpu_affinity(mask),)))
    assert outcome.output.split() == ["Cpus_allowed_list:", str(first)]


@pytest.mark.parametrize(
    ("mode", "nodes", "shown"),
    [
        (MPOL_BIND, b"\1", "bind:0"),
        (MPOL_INTERLEAVE, b"\1" + bytes(7), "interleave:0"),
        (MPOL_LOCAL, b"", "local"),
        (MPOL_DEFAULT, b"", "default"),
    ],
)
def test_the_memory_policy(walk: Walk, container: Container, mode: int, nodes: bytes, shown: str) -> None:
    """What /proc/self/numa_maps says of memory that the program has asked for itself."""
    outcome = walk(container("grep", "heap", "/proc/self/numa_maps", tail=(p.memory_policy(mode, nodes),)))
    assert outcome.output.split()[1] == shown
