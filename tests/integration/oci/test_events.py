"""`events` sleeps until the kernel says that something happened in the container's cgroup."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun.oci.commands.events import Changes
from minirun.runtime.cgroups import Hierarchy
from tests.integration.oci.conftest import Oci
from tests.waiting import until
from tests.warm import looked_into

LONG_NS = 20 * 10**9


@pytest.fixture
def directory() -> Iterator[Path]:
    path = Path(Hierarchy.detect().mountpoint, f"minirun-test-{os.getpid()}")
    path.mkdir()
    yield path
    if path.exists():
        path.rmdir()


def wakes_early(changes: Changes) -> bool:
    before = time.monotonic_ns()
    changes.wait(LONG_NS)
    return time.monotonic_ns() - before < LONG_NS // 2


def test_a_change_of_the_cgroup_ends_the_waiting(directory: Path) -> None:
    changes = Changes(str(directory))
    for value in ("1", "0"):
        (directory / "cgroup.freeze").write_text(value)
        assert wakes_early(changes)
    before = time.monotonic_ns()
    changes.wait(50_000_000)
    assert time.monotonic_ns() - before >= 50_000_000, "nothing had changed since"
    changes.close()


def test_a_removed_cgroup_ends_the_waiting_once(directory: Path) -> None:
    changes = Changes(str(directory))
    directory.rmdir()
    assert wakes_early(changes)
    before = time.monotonic_ns()
    changes.wait(50_000_000)
    assert time.monotonic_ns() - before >= 50_000_000, "what is gone doesn't change"
    changes.close()


def test_an_interval_longer_than_the_kernels_longest_wait_is_waited_for(oci: Oci, container: str) -> None:
    """poll(2) takes 24 days."""
    with (oci.top / "said").open("wb") as stream:
        events = oci.start_process(
            *("events", "--interval", "1000h", container),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=looked_into(),
        )
    held = Path(f"/proc/{events.pid}/fd")
    until(
        "it to watch",
        lambda: any(os.readlink(link).endswith("cgroup.events") for link in held.iterdir() if link.is_symlink()),
    )
    oci("delete", "--force", container)
    assert (events.wait(30), (oci.top / "said").read_text()) == (0, "")
