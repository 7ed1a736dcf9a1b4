"""Paused containers: frozen by the kernel, said so everywhere, and what each verb does with one."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from minirun.engine import commit, pause
from tests.integration.engine.test_lifecycle import state, wait_for_log
from tests.waiting import until

COUNTING = "trap 'exit 7' TERM; while :; do echo x >>/ticks; sleep 0.02; done"


@pytest.fixture
def counter(minirun, busybox, run_container):
    """A container that makes a file grow as long as it isn't frozen, and ends with 7 on SIGTERM."""
    name = run_container(busybox, "sh", "-c", COUNTING)
    until("the container counts", lambda: ticks(minirun, name) > 0)
    return name


def ticks(minirun, name: str) -> int:
    upper = json.loads(minirun("inspect", name).stdout)[0]["GraphDriver"]["Data"]["UpperDir"]
    file = Path(upper, "ticks")
    return file.stat().st_size if file.exists() else 0


def full_id(minirun, name: str) -> str:
    return minirun("inspect", "-f", "{{.Id}}", name).stdout.strip()


def test_a_paused_container_stands_still_and_goes_on(minirun, counter):
    assert minirun("pause", counter).stdout == f"{counter}\n"
    before = ticks(minirun, counter)
    time.sleep(0.2)  # nothing to wait for: that nothing happens is the point
    assert ticks(minirun, counter) == before
    assert minirun("container", "unpause", counter).stdout == f"{counter}\n"
    until("the container counts again", lambda: ticks(minirun, counter) > before)


def test_every_view_says_paused(minirun, counter):
    minirun("pause", counter)
    assert state(minirun, counter)["Status"] == "paused"
    assert state(minirun, counter)["Paused"] is True
    assert state(minirun, counter)["Running"] is True
    shown = json.loads(minirun("ps", "--format", "json").stdout)
    assert shown["State"] == "paused"
    assert shown["Status"].endswith(" (Paused)")
    assert minirun("ps", "-q", "-f", "status=paused").stdout
    assert minirun("ps", "-q", "-f", "status=running").stdout == ""
    assert json.loads(minirun("info", "-f", "json").stdout)["ContainersPaused"] == 1


def test_what_a_paused_container_refuses_in_dockers_words(minirun, counter):
    minirun("pause", counter)
    identifier = full_id(minirun, counter)
    for words, sentence in (
        (("exec", counter, "true"), f"container {counter} is paused, unpause the container before exec"),
        (("attach", counter), "You cannot attach to a paused container, unpause it first"),
        (("start", counter), "cannot start a paused container, try unpause instead"),
        (("pause", counter), f"container {identifier} is already paused"),
        (("rm", counter), f'cannot remove container "/{counter}": container is paused and must be unpaused first'),
    ):
        done = minirun(*words, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.strip().removeprefix("Error: ").removeprefix("minirun: ") == sentence
    assert state(minirun, counter)["Status"] == "paused"


def test_pausing_goes_on_after_an_error_and_says_one_for_each(minirun, counter, busybox):
    minirun("create", "--name", "resting", busybox, "true")
    try:
        done = minirun("pause", "no-such", "resting", counter, check=False)
        assert (done.returncode, done.stdout) == (1, f"{counter}\n")
        identifier = full_id(minirun, "resting")
        assert done.stderr == f"Error: No such container: no-such\nError: container {identifier} is not running\n"
        done = minirun("unpause", "resting", counter, check=False)
        assert (done.returncode, done.stdout) == (1, f"{counter}\n")
        assert done.stderr == f"Error: container {identifier} is not paused\n"
    finally:
        minirun("rm", "resting")


def test_stop_wakes_a_paused_container_and_it_ends_by_itself(minirun, counter):
    minirun("pause", counter)
    assert minirun("stop", counter).stdout == f"{counter}\n"
    assert (state(minirun, counter)["Status"], state(minirun, counter)["ExitCode"]) == ("exited", 7)


def test_restart_of_a_paused_container_gives_a_running_one(minirun, counter):
    minirun("pause", counter)
    minirun("restart", counter)
    assert state(minirun, counter)["Status"] == "running"
    minirun("exec", counter, "true")


def test_rm_with_force_removes_a_paused_container(minirun, counter):
    minirun("pause", counter)
    minirun("rm", "-f", counter)
    assert minirun("ps", "-aq").stdout == ""


def test_a_signal_wakes_a_paused_container(minirun, counter):
    minirun("pause", counter)
    minirun("kill", "-s", "WINCH", counter)
    assert state(minirun, counter)["Status"] == "running"
    minirun("pause", counter)
    minirun("kill", counter)
    assert (state(minirun, counter)["Status"], state(minirun, counter)["ExitCode"]) == ("exited", 137)


def test_with_a_stop_signal_of_its_own_only_that_one_wakes_it(minirun, busybox, run_container):
    script = "trap 'echo usr1' USR1; trap 'exit 5' INT; echo up; while :; do sleep 0.05; done"
    name = run_container("--stop-signal", "INT", busybox, "sh", "-c", script)
    wait_for_log(minirun, name, "up")
    minirun("pause", name)
    minirun("kill", "-s", "USR1", name)
    assert state(minirun, name)["Status"] == "paused"
    minirun("kill", "-s", "INT", name)
    assert minirun("wait", name).stdout == "5\n"


def test_wait_sees_the_end_of_a_container_that_was_paused(minirun, counter):
    waiting = minirun.start("wait", counter, stdout=subprocess.PIPE, text=True)
    minirun("pause", counter)
    minirun("kill", counter)
    assert waiting.communicate(timeout=30)[0] == "137\n"


def test_the_death_of_a_paused_containers_monitor_is_noticed(minirun, engine, counter):
    minirun("pause", counter)
    identifier = full_id(minirun, counter)
    engine.hierarchy.kill(identifier)
    until("the end is recorded", lambda: state(minirun, counter)["Status"] == "exited")


@pytest.mark.parametrize("frozen", [False, True], ids=["before it froze", "after it thawed"])
def test_a_pause_that_was_killed_half_way_is_put_right(minirun, engine, counter, frozen):
    """The row says paused and the freezer is open: what a kill leaves of `pause`, and of `unpause`."""
    identifier = full_id(minirun, counter)
    if frozen:
        minirun("pause", counter)
        engine.hierarchy.freeze(identifier, False)
    else:
        engine.rows.update(identifier, status="paused")
    assert state(minirun, counter)["Status"] == "running"
    minirun("exec", counter, "true")


def test_a_pause_during_a_commit_outlasts_it(minirun, engine, counter):
    container = engine.container(counter)
    with commit.frozen(engine, container):
        engine.pause(counter)
    before = ticks(minirun, counter)
    assert state(minirun, counter)["Status"] == "paused"
    assert pause.is_frozen(engine, container)
    engine.unpause(counter)
    until("the container counts again", lambda: ticks(minirun, counter) > before)


def test_an_image_of_a_paused_container_is_in_use(minirun, busybox, counter):
    minirun("pause", counter)
    image = minirun("inspect", "-f", "{{.Image}}", counter).stdout.strip()
    done = minirun("rmi", image, check=False)
    assert done.returncode == 1
    assert "is being used by running container" in done.stderr
