"""A further process in a container: a monitor without a run directory and without a log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from minirun.linux import flags
from minirun.linux import plan as p
from minirun.monitor import exits
from minirun.monitor.exits import Exit
from minirun.monitor.launch import LaunchFailed, launch
from tests.integration.monitor.conftest import Running, Sink, Start, wait_for_process

MakeSink = Callable[[], Sink]
JOINED = int(flags.CLONE_NEWNS | flags.CLONE_NEWPID)


def exec_plan(running: Running, argv: tuple[str, ...], *, mode: int = p.STDIO_PIPES, stdin: bool = False) -> p.Plan:
    started = exits.read_started(running.run)
    assert started is not None
    plan = p.Plan()
    plan.monitor += [
        p.await_owner(),
        p.stdio(mode, stdin),
        p.enter(started.pid, started.start_time, JOINED),
    ]
    plan.child += [p.session(), p.signals(), p.exec_("/usr/bin:/bin", argv, ("PATH=/usr/bin:/bin",))]
    return plan


def test_it_runs_inside_and_reports_like_a_container(start: Start, sink: MakeSink) -> None:
    running = start(("sleep", "600"))
    inside = os.readlink(f"/proc/{running.started.pid}/ns/pid")
    out, err = sink(), sink()
    with launch(
        exec_plan(running, ("sh", "-c", "readlink /proc/self/ns/pid_for_children; echo err >&2; exit 6"))
    ) as connection:
        connection.attach(False, True, True)
        connection.wait_started()
        end = connection.pump(-1, out.descriptor, err.descriptor)
        connection.acknowledge()
    assert isinstance(end, Exit)
    assert end.exit_code == 6
    assert (out.rest().decode().strip(), err.rest()) == (inside, b"err\n")
    running.kill()


def test_stdin_goes_in_and_ends(start: Start, sink: MakeSink) -> None:
    running = start(("sleep", "600"))
    out = sink()
    read_end, write_end = os.pipe()
    os.write(write_end, b"hello\n")
    os.close(write_end)
    with launch(exec_plan(running, ("cat",), stdin=True)) as connection:
        connection.attach(True, True, False)
        connection.wait_started()
        end = connection.pump(read_end, out.descriptor, -1)
        connection.acknowledge()
    os.close(read_end)
    assert isinstance(end, Exit)
    assert out.rest() == b"hello\n"
    running.kill()


def test_it_may_inherit_pipes_of_its_caller(start: Start) -> None:
    """In a caller of its own, whose 0, 1, 2 it gets."""
    running = start(("sleep", "600"))
    started = exits.read_started(running.run)
    assert started is not None
    source = f"""
import sys; sys.path[:0] = {sys.path!r}
from minirun.linux import plan as p
from minirun.monitor.launch import launch
plan = p.Plan()
plan.monitor += [p.stdio(p.STDIO_INHERIT, True), p.enter({started.pid}, {started.start_time}, {JOINED:d})]
plan.child += [p.session(), p.signals(), p.exec_("/bin", ("cat",), ())]
with launch(plan) as connection:
    connection.attach(False, False, False)
    connection.wait_started()
    code = connection.wait_exited().exit_code
    connection.acknowledge()
sys.exit(code)
"""
    done = subprocess.run(
        [sys.executable, "-c", source], input=b"through\n", capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"through\n", b"")
    running.kill()


def test_it_ends_with_the_container(start: Start) -> None:
    running = start(("sleep", "600"))
    with launch(exec_plan(running, ("sleep", "600"))) as connection:
        connection.attach(False, False, False)
        connection.wait_started()
        running.kill()
        assert connection.wait_exited().exit_code == 137
        connection.acknowledge()


def test_a_killed_caller_does_not_end_it(start: Start) -> None:
    running = start(("sleep", "600"))
    connection = launch(exec_plan(running, ("sleep", "600")))
    connection.attach(False, False, False)
    started = connection.wait_started()
    connection.close()
    os.kill(started.pid, 0)
    os.kill(started.pid, signal.SIGKILL)
    wait_for_process(started.pid)
    running.kill()


def test_a_container_that_has_ended_cannot_be_entered(start: Start) -> None:
    running = start(("sleep", "600"))
    plan = exec_plan(running, ("true",))
    running.kill()
    running.connection.wait_exited()
    with launch(plan) as connection:
        connection.attach(False, False, False)
        with pytest.raises(LaunchFailed) as failure:
            connection.wait_started()
    assert failure.value.operation_index is not None
    assert plan.operations()[failure.value.operation_index][1].name == "ENTER"
    running.connection.acknowledge()
