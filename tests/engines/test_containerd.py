"""containerd runs, execs into, pauses, kills and removes containers through minirun-oci (`ctr run --runc-binary`)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engines.conftest import RUNTIME
from tests.waiting import until

pytestmark = pytest.mark.no_census  # the engines keep things of their own; conftest looks for ours
Ctr = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def task(ctr: Ctr, rootfs: Path) -> Iterator[str]:
    """A task that sleeps."""
    try:
        ctr("run", "-d", "--runc-binary", str(RUNTIME), "--rootfs", str(rootfs), "task", "sleep", "1000")
        yield "task"
        ctr("task", "kill", "-s", "KILL", "task", check=False)
        until("the task to be removed", lambda: ctr("task", "rm", "task", check=False).returncode == 0)
    finally:
        ctr("container", "rm", "task")


def status(ctr: Ctr, task: str) -> str:
    for line in ctr("task", "ls").stdout.splitlines():
        name, *_, state = line.split()
        if name == task:
            return state
    return ""


def test_output_and_exit_code(ctr: Ctr, rootfs: Path) -> None:
    words = ["run", "--rm", "--runc-binary", str(RUNTIME), "--rootfs", str(rootfs), "short"]
    # It stays a moment: containerd loses what a process writes at its very end once in some hundred times, with any
    # runtime (containerd's issue 5741).
    done = ctr(*words, "sh", "-c", "echo out; sleep 0.3; exit 6", check=False)
    assert (done.stdout, done.returncode) == ("out\n", 6)


def test_a_further_process_runs_in_the_task(ctr: Ctr, task: str) -> None:
    done = ctr("task", "exec", "--exec-id", "one", task, "sh", "-c", "cat /proc/1/comm; exit 4", check=False)
    assert (done.stdout, done.returncode) == ("sleep\n", 4)


def test_a_task_is_paused_resumed_and_killed(ctr: Ctr, task: str) -> None:
    assert status(ctr, task) == "RUNNING"
    ctr("task", "pause", task)
    assert status(ctr, task) == "PAUSED"
    ctr("task", "resume", task)
    assert status(ctr, task) == "RUNNING"
    ctr("task", "kill", "-s", "KILL", task)
    until("the task to have stopped", lambda: status(ctr, task) == "STOPPED")
