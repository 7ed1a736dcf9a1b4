"""Kill -9 of `minirun-oci` at any point of a creation: `delete --force` takes away what is left, and it's all of it.

Two victims: the command, and the program that walks the plan for it. The moments lie evenly over the time that a creation takes,
with chance between them. After each: no process, no cgroup, no mount, no directory.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import open_way
from tests.integration.oci.conftest import Oci, kill
from tests.waiting import until

ROUNDS = int(os.environ.get("MINIRUN_KILL_ROUNDS", "40"))
SEED = int(os.environ.get("MINIRUN_KILL_SEED", str(time.time_ns() % 1_000_000)))
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
HOOKS = {kind: [{"path": "/bin/true"}] for kind in ("createRuntime", "createContainer", "poststop")}


@pytest.fixture
def oci(tmp_path: Path) -> Iterator[Oci]:
    """A runtime of this test's own, with a bundle."""
    runtime = Oci(tmp_path)
    yield runtime
    for container_id in runtime.containers():
        runtime("delete", "--force", container_id)


def spawners_of(parent: int) -> list[int]:
    """Give the children of a process that walk a plan: every one there is."""
    found = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{parent}/task"):
            found += [int(pid) for pid in Path(f"/proc/{parent}/task/{task}/children").read_text().split()]
    return found


def seconds_of_a_creation(oci: Oci, words: tuple[str, ...]) -> float:
    """Measure, after one that has made what is made once."""
    longest = 0.0
    for _ in range(3):
        before = time.monotonic()
        oci(*words, "measured")
        longest = max(longest, time.monotonic() - before)
        oci("delete", "--force", "measured")
    return longest


def end_in_the_middle(oci: Oci, words: tuple[str, ...], name: str, victim: str, seconds: float) -> None:
    """Start a creation, kill the victim at that moment, and wait until the command has ended."""
    command = oci.start_process(*words, name, **QUIET)
    end = time.monotonic() + seconds
    if victim == "command":
        time.sleep(seconds)
        kill(command.pid)
    else:
        while not (found := spawners_of(command.pid)) and command.poll() is None:
            pass
        time.sleep(max(0.0, min(end - time.monotonic(), 0.02)))
        for pid in found:
            kill(pid)
    command.wait(60)
    oci.started.clear()


@pytest.mark.parametrize("victim", ["command", "spawner"])
@pytest.mark.parametrize("kind", ["plain", "hooks", "disabled", "user"])
def test_what_a_killed_creation_leaves_is_deleted_whole(oci: Oci, kind: str, victim: str) -> None:
    chance = random.Random(f"{SEED} {kind} {victim}")
    print(f"seed {SEED}")
    maps = [{"containerID": 0, "hostID": 100_000, "size": 1000}]
    more: dict[str, Any] = {"linux": {"uidMappings": maps, "gidMappings": maps}} if kind == "user" else {}
    namespaces = ("pid", "ipc", "uts", "mount", *(("user",) if kind == "user" else ()))
    oci.config("sleep", "1000", namespaces=namespaces, hooks=HOOKS if kind == "hooks" else {}, **more)
    open_way(oci.top)
    words = ("--cgroup-manager=disabled", "create") if kind == "disabled" else ("create",)
    whole = seconds_of_a_creation(oci, words) if victim == "command" else 0.015
    rounds = ROUNDS // 4
    for number in range(rounds):
        name = f"victim-{os.getpid()}-{number}"
        end_in_the_middle(oci, words, name, victim, whole * (number + chance.random()) / rounds)
        oci("delete", "--force", name)
        left = oci.left()
        if left:  # a killed process may take a moment to be gone
            with suppress(AssertionError):
                until("nothing to be left", lambda: not oci.left(), seconds=5)
        assert not oci.left(), (number, oci.left())
        oci.ids.clear()


def test_of_a_killed_start_too(oci: Oci) -> None:
    oci.config("sleep", "1000", hooks={"startContainer": [{"path": "/bin/true"}], "poststart": [{"path": "/bin/true"}]})
    for number in range(ROUNDS // 5):
        name = f"victim-{os.getpid()}-{number}"
        oci("create", name)
        start = oci.start_process("start", name, **QUIET)
        time.sleep(0.08 * number / (ROUNDS // 5))
        kill(start.pid)
        start.wait()
        oci.started.clear()
        assert oci.state(name)["status"] in ("created", "running", "stopped")
        oci("delete", "--force", name)
        oci.assert_nothing_is_left()
        oci.ids.clear()


def test_of_a_killed_deletion_too(oci: Oci) -> None:
    oci.config("sleep", "1000")
    for number in range(ROUNDS // 5):
        name = f"victim-{os.getpid()}-{number}"
        oci("run", "--detach", name)
        delete = oci.start_process("delete", "--force", name, **QUIET)
        time.sleep(0.1 * number / (ROUNDS // 5))
        kill(delete.pid)
        delete.wait()
        oci.started.clear()
        oci("delete", "--force", name)
        oci.assert_nothing_is_left()
        oci.ids.clear()
