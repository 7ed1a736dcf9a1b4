"""A monitor without a container: it waits, runs the hook, and leaves at once when its run directory goes."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun.monitor import delay, exits
from minirun.monitor import launch as monitor_program
from minirun.monitor.connection import LaunchFailed
from minirun.monitor.launch import Launcher
from tests.integration.monitor.conftest import holder_of, until, wait_for_process


@pytest.fixture
def launcher(program: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launcher]:
    monkeypatch.setattr(monitor_program, "PROGRAM", program)
    made = Launcher(keep=False)
    yield made
    made.close()


def begin(launcher: Launcher, directory: Path, milliseconds: int) -> int:
    """Begin a delay whose hook writes `done`; gives the process that waits."""
    delay.launch(
        launcher, str(directory), milliseconds, ("/bin/sh", "-c", f"echo $WHO > {directory}/done"), ("WHO=hook",)
    )
    return holder_of(f"{directory}/waiting")


def test_the_hook_comes_after_the_time_and_not_before(launcher: Launcher, tmp_path: Path) -> None:
    began = time.monotonic()
    waiting = begin(launcher, tmp_path, 300)
    assert exits.is_waiting(str(tmp_path))
    assert not exits.is_alive(str(tmp_path))
    delay.wait_for_end(str(tmp_path))
    assert time.monotonic() - began >= 0.3
    assert (tmp_path / "done").read_text() == "hook\n"
    wait_for_process(waiting)
    assert not exits.is_waiting(str(tmp_path))


def test_a_directory_that_goes_ends_the_wait_without_the_hook(launcher: Launcher, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    waiting = begin(launcher, directory, 3_600_000)
    shutil.rmtree(directory)
    directory.mkdir()
    wait_for_process(waiting)
    assert os.listdir(directory) == []


def test_only_one_waits_in_a_directory(launcher: Launcher, tmp_path: Path) -> None:
    waiting = begin(launcher, tmp_path, 3_600_000)
    with pytest.raises(LaunchFailed) as failure:
        begin(launcher, tmp_path, 1)
    assert failure.value.errno == errno.EWOULDBLOCK
    assert exits.is_waiting(str(tmp_path))
    (tmp_path / "waiting").unlink()
    wait_for_process(waiting)
    assert not (tmp_path / "done").exists()


def test_it_holds_nothing_of_its_owner(launcher: Launcher, tmp_path: Path) -> None:
    waiting = begin(launcher, tmp_path, 3_600_000)
    until(lambda: len(os.listdir(f"/proc/{waiting}/fd")) <= 9)
    held = [os.readlink(f"/proc/{waiting}/fd/{number}") for number in "012"]
    assert held == ["/dev/null"] * 3
    (tmp_path / "waiting").unlink()
    wait_for_process(waiting)


def test_waiting_for_nobody_ends_at_once(tmp_path: Path) -> None:
    delay.wait_for_end(str(tmp_path))
    delay.wait_for_end(str(tmp_path / "none"))
