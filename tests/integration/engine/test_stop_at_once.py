"""`stop` doesn't wait for a first process that can't hear it, and says so; it does wait for one that can."""

from __future__ import annotations

import time

import pytest

from tests.integration.engine.test_lifecycle import state, wait_for_log


def stopped_within(minirun, name: str, seconds: float, *options: str):
    began = time.monotonic()
    done = minirun("stop", *options, name)
    assert time.monotonic() - began < seconds
    assert done.stdout == f"{name}\n"
    return done


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exec sleep 600", "its first process has no handler for SIGTERM"),
        ("trap '' TERM; exec sleep 600", "its first process ignores SIGTERM"),
    ],
)
def test_who_cannot_hear_the_signal_is_killed_at_once(minirun, busybox, run_container, script, why):
    name = run_container(busybox, "sh", "-c", f"echo up; {script}")
    wait_for_log(minirun, name, "up")
    minirun("exec", name, "sh", "-c", "until grep -q sleep /proc/1/comm; do :; done")
    done = stopped_within(minirun, name, 8)
    assert done.stderr.startswith(f"{name}: killed without waiting: {why}")
    assert state(minirun, name)["ExitCode"] == 137


def test_a_handler_is_waited_for(minirun, busybox, run_container):
    name = run_container(busybox, "sh", "-c", "trap 'sleep 0.3; exit 4' TERM; echo up; while :; do sleep 0.05; done")
    wait_for_log(minirun, name, "up")
    assert stopped_within(minirun, name, 8).stderr == ""
    assert state(minirun, name)["ExitCode"] == 4


def test_the_init_hears_for_a_program_that_does_not(minirun, busybox, run_container):
    name = run_container("--init", busybox, "sleep", "600")
    minirun("exec", name, "sh", "-c", "until [ -n \"$(ps -o pid,comm | grep '[s]leep')\" ]; do :; done")
    assert stopped_within(minirun, name, 8).stderr == ""
    assert state(minirun, name)["ExitCode"] == 143


def test_a_signal_that_is_heard_takes_the_place_of_one_that_is_not(minirun, busybox, run_container):
    name = run_container(busybox, "sh", "-c", "trap 'exit 6' USR1; echo up; while :; do sleep 0.05; done")
    wait_for_log(minirun, name, "up")
    assert stopped_within(minirun, name, 8, "-s", "USR1").stderr == ""
    assert state(minirun, name)["ExitCode"] == 6


def test_who_asks_to_wait_for_ever_waits(minirun, busybox, run_container):
    name = run_container(busybox, "sleep", "1")
    assert stopped_within(minirun, name, 20, "-t", "-1").stderr == ""
    assert state(minirun, name)["ExitCode"] == 0


def test_restart_is_quick_too(minirun, busybox, run_container):
    name = run_container(busybox, "sleep", "600")
    began = time.monotonic()
    done = minirun("restart", name)
    assert time.monotonic() - began < 8
    assert done.stdout == f"{name}\n"
    assert "killed without waiting" in done.stderr
