"""Operations that a container of the OCI runtime needs: hooks, gates, scheduling, namespaces ahead of the clone."""

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
STATE = ('{"pid":', "}")


def hook(script: str, timeout_ms: int = 0, state: tuple[str, str] = STATE) -> p.Operation:
    """Give a hook that runs in the container's root, after the pivot."""
    return p.hook("/bin/sh", ("sh", "-c", script), ("PATH=/bin",), *state, timeout_ms)


def test_a_hook_reads_the_state_with_the_process_id(walk: Walk, container: Container) -> None:
    assert walk(container("cat", "/data/state", tail=(hook("cat > /data/state"),))).output == '{"pid":1}'


@pytest.mark.parametrize(
    ("operation", "number"),
    [
        (hook("exit 1"), errno.ECANCELED),
        (hook("kill -9 $$"), errno.ECANCELED),
        (hook("sleep 1000", 200), errno.ETIMEDOUT),
        (hook("sleep 1000", 200, ("x" * 200_000, "")), errno.ETIMEDOUT),
        (p.hook("/nonexistent", ("x",), (), *STATE, 0), errno.ENOENT),
        (p.hook("/etc/passwd", ("x",), (), *STATE, 0), errno.EACCES),
    ],
)
def test_a_hook_that_fails_is_the_failing_operation(
    walk: Walk, container: Container, operation: p.Operation, number: int
) -> None:
    plan = container("true", tail=(operation,))
    index = next(place for place, (_, found) in enumerate(plan.operations()) if found.name == "HOOK")
    assert walk(plan).failed == (index, number)


@pytest.mark.parametrize("length", [0, 10, 65_536, 500_000])
def test_a_hook_may_read_all_or_nothing(walk: Walk, container: Container, length: int) -> None:
    state = ("x" * length, "y" * length)
    plan = container(
        "cat", "/data/count", tail=(hook("exit 0", 5000, state), hook("cat | wc -c > /data/count", 5000, state))
    )
    plan.child.insert(0, p.session())
    outcome = walk(plan)
    assert outcome.failed is None
    assert int(outcome.output) == 2 * length + 1


def test_a_hook_gets_no_descriptor_of_ours_and_writes_into_nothing_of_ours(walk: Walk, container: Container) -> None:
    outcome = walk(container("cat", "/data/list", tail=(hook("echo noise; ls /proc/self/fd > /data/list"),)))
    assert outcome.output.split() == ["0", "1", "2", "3"]


def test_a_program_is_looked_for_without_executing_it(walk: Walk, container: Container, rootfs: Path) -> None:
    (rootfs / "bin/plain").write_text("")
    for name, number in (("sh", 0), ("nonesuch", errno.ENOENT), ("plain", errno.EACCES), ("/etc", errno.EISDIR)):
        plan = container("echo", "on", tail=(p.executable("/bin", name),))
        index = next(place for place, (_, found) in enumerate(plan.operations()) if found.name == "EXECUTABLE")
        assert walk(plan).failed == ((index, number) if number else None)


@pytest.mark.parametrize(("byte", "output", "code"), [(b"\1", "on\n", 0), (b"\0", "", 1)])
def test_a_gate_opens_or_sends_away(
    walk: Walk, container: Container, tmp_path: Path, byte: bytes, output: str, code: int
) -> None:
    for name in ("gate", "verdict"):
        os.mkfifo(tmp_path / name)
    gate = os.open(tmp_path / "gate", os.O_RDWR)
    try:
        os.write(gate, byte)
        plan = container("echo", "on")
        plan.prepare += [p.open_(slot, p.HOST, str(tmp_path / name), os.O_RDWR) for slot, name in GATES]
        plan.child[-1:-1] = [p.ready(True), p.gate(8, 9)]
        outcome = walk(plan)
    finally:
        os.close(gate)
    assert (outcome.output, outcome.exit_code) == (output, code)


GATES = ((8, "gate"), (9, "verdict"))


def test_scheduling_affinity_and_personality(walk: Walk, container: Container) -> None:
    tail = (
        p.cpu_affinity((1).to_bytes(8, "little")),
        p.scheduler(3, 0, 5, 0, 0, 0, 0),  # SCHED_BATCH, nice 5
        p.io_priority(3, 0),
        p.personality(0x8),  # PER_LINUX32
    )
    script = "grep Cpus_allowed_list /proc/self/status; cut -d' ' -f19,41 /proc/self/stat; cat /proc/self/personality"
    words = walk(container("busybox", "sh", "-c", script, tail=tail)).output.split()
    assert words == ["Cpus_allowed_list:", "0", "5", "3", "00000008"]


@pytest.mark.parametrize(
    "operation",
    [p.cpu_affinity(b""), p.scheduler(99, 0, 0, 0, 0, 0, 0), p.io_priority(9, 0), p.memory_policy(1, bytes(256))],
)
def test_what_the_kernel_refuses_is_named(walk: Walk, container: Container, operation: p.Operation) -> None:
    plan = container("true", tail=(operation,))
    outcome = walk(plan)
    assert outcome.failed is not None
    assert plan.operations()[outcome.failed[0]][1].name == operation.name
    assert outcome.failed[1] == errno.EINVAL


def test_a_mount_is_mapped_by_a_namespace_made_ahead(walk: Walk, container: Container, canary: Path) -> None:
    plan = container("stat", "-c", "%u %g", "/data/secret", steps=(p.attach(2, 0, "/data"),))
    plan.prepare += [
        p.tree(2, p.HOST, str(canary), False),
        p.user_namespace(10, "0 1000 1\n", "0 2000 1\n"),
        p.id_mapped(2, 10, False),
    ]
    assert walk(plan).output == "1000 2000\n"


@pytest.mark.parametrize("lines", ["", "x", "0 0 0\n", "0 1 1\n0 2 1\n"])
def test_a_namespace_that_cannot_be_mapped_fails_and_leaves_nobody(
    walk: Walk, container: Container, lines: str
) -> None:
    plan = container("true")
    plan.prepare.append(p.user_namespace(10, lines, lines))
    outcome = walk(plan)
    assert outcome.failed is not None
    assert plan.operations()[outcome.failed[0]][1].name == "USER_NAMESPACE"


def test_a_helper_joins_what_holds_for_children_only(walk: Walk, container: Container) -> None:
    plan = container("readlink", "/proc/self/ns/pid", namespaces=flags.CLONE_NEWNS)
    plan.child[-1] = p.exec_("/bin", ("busybox", "readlink", "/proc/self/ns/pid"), ())
    plan.prepare.append(p.open_(11, p.HOST, "/proc/self/ns/pid", os.O_RDONLY))
    plan.enter.append(p.setns(11, flags.CLONE_NEWPID))
    assert walk(plan).output.strip() == os.readlink("/proc/self/ns/pid")


def test_a_helper_that_fails_is_named(walk: Walk, container: Container) -> None:
    plan = container("true", namespaces=flags.CLONE_NEWNS)
    plan.prepare.append(p.open_(11, p.HOST, "/proc/self/ns/uts", os.O_RDONLY))
    plan.enter.append(p.setns(11, flags.CLONE_NEWPID))
    outcome = walk(plan)
    assert outcome.failed is not None
    assert (plan.operations()[outcome.failed[0]][1].name, outcome.failed[1]) == ("SETNS", errno.EINVAL)
