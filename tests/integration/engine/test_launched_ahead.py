"""The monitor that a process has ready for its next container, once it has started two."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun import ContainerConfig, Engine
from tests.waiting import until


@pytest.fixture
def engine(roots, busybox) -> Iterator[Engine]:
    with Engine(str(roots.root), str(roots.run_root)) as engine:
        yield engine


def monitors(engine: Engine) -> list[int]:
    """Give the monitors of all containers, and those that have none yet."""
    return [int(pid) for pid in Path(engine.hierarchy.monitors, "cgroup.procs").read_text().split()]


def life(engine: Engine, network: str = "none") -> None:
    assert engine.run(ContainerConfig(image="busybox", command=("true",), network=network)).exit_code == 0


def ready(engine: Engine) -> int:
    """Start two containers, and give the monitor that waits for the third."""
    life(engine)
    until("an end without monitors", lambda: not monitors(engine))
    life(engine)
    return until("one monitor", lambda: len(monitors(engine)) == 1 and monitors(engine)[0])


def test_it_takes_the_next_container_and_holds_no_stream_of_ours_meanwhile(engine):
    spare = ready(engine)
    until("its streams", lambda: {os.readlink(f"/proc/{spare}/fd/{number}") for number in range(3)} == {"/dev/null"})
    with engine.running(ContainerConfig(image="busybox", command=("sleep", "600"), network="none")) as box:
        assert os.stat(f"/proc/{box.container.pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino
        assert Path(f"/proc/{spare}/task/{spare}/children").read_text().split() == [str(box.container.pid)]


def test_it_waits_when_the_next_container_needs_another(engine):
    spare = ready(engine)
    life(engine, network="host")
    assert spare in monitors(engine)


def test_one_that_was_killed_is_not_missed(engine):
    spare = ready(engine)
    os.kill(spare, signal.SIGKILL)
    until("its end", lambda: spare not in monitors(engine))
    life(engine)


def test_it_ends_with_the_engine(roots, busybox):
    with Engine(str(roots.root), str(roots.run_root)) as engine:
        spare = ready(engine)
    until("its end", lambda: not Path(f"/proc/{spare}").exists())
