"""Kill -9 at any point: the next command tells the truth, and nothing is left.

Three victims: the command line, the monitor, the container's first process. Each is killed after a random delay within the
time that a start (or a run's whole life) takes. After each kill, `ps` must agree with /proc; after `rm -f`, the census of
conftest finds nothing.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until

ROUNDS = int(os.environ.get("MINIRUN_KILL_ROUNDS", "60"))
SEED = int(os.environ.get("MINIRUN_KILL_SEED", str(time.time_ns() % 1_000_000)))


def monitors_of(run_root: Path) -> list[int]:
    """Give the monitors of our run root: processes of that name that hold something below it."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if not Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"minirun-monitor\0"):
                continue
            held = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            continue
        if any(path.startswith(str(run_root)) for path in held):
            found.append(int(pid))
    return found


def kill(pid: int) -> None:
    """Kill a process that may have ended already."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def state_of(minirun, container_id: str) -> dict[str, Any] | None:
    """Give what `inspect` says of a container's state, None when it has gone."""
    details = minirun("inspect", container_id, check=False)
    return json.loads(details.stdout)[0]["State"] if details.returncode == 0 else None


def is_at_rest(minirun, container_id: str) -> bool:
    """Say whether a container doesn't run any more, as far as minirun knows, or has gone."""
    state = state_of(minirun, container_id)
    return state is None or not state["Running"]


def assert_ps_tells_the_truth(minirun) -> list[str]:
    """Compare what `ps -a` says of each container with what the kernel says; gives the ids."""
    listed = [json.loads(line) for line in minirun("ps", "-a", "--no-trunc", "--format", "json").stdout.splitlines()]
    for container in listed:
        state = state_of(minirun, container["ID"])
        if state is None:
            continue  # it was started with --rm and ended between the two commands
        if state["Running"] and not Path(f"/proc/{state['Pid']}").exists():
            # It ended while we looked. Its monitor has read its exit code, but on a busy machine may take its time to record it.
            short = container["ID"][:12]
            until(
                f"{short}, said to run as {state['Pid']} which is gone, to have ended",
                partial(is_at_rest, minirun, short),
            )
        elif not state["Running"]:
            assert state["Status"] in ("created", "exited", "removing"), state
    return [container["ID"] for container in listed]


def clean(minirun) -> None:
    """Remove what a round left; the census does the rest."""
    for _ in range(3):
        ids = minirun("ps", "-a", "-q", "--no-trunc").stdout.split()
        if not ids:
            return
        minirun("rm", "-f", *ids, check=False)
    assert not minirun("ps", "-a", "-q").stdout.split()


@pytest.mark.parametrize("victim", ["command", "monitor", "container"])
def test_killing_anything_at_any_moment_leaves_nothing(minirun, busybox, roots, victim):
    chance = random.Random(f"{SEED} {victim}")
    print(f"seed {SEED}")  # shown when the test fails
    minirun("run", "--rm", busybox, "true")  # what is made once is made now
    for number in range(ROUNDS // 3 + 1):
        detached = chance.random() < 0.3
        options = ["-d"] if detached else []
        if chance.random() < 0.5:
            options.append("--rm")
        if chance.random() < 0.3:
            options += ["-p", "127.0.0.1:0:80"]
        if chance.random() < 0.3:
            options += ["--userns", "auto"]
        command = minirun.start(
            "run", *options, "--name", f"victim{number}", busybox, "sleep", chance.choice(["0", "0.05", "60"]),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(chance.random() * 0.15)
        if victim == "command":
            kill(command.pid)
        elif victim == "monitor":
            for pid in monitors_of(roots.run_root):
                kill(pid)
        else:
            found = minirun("inspect", "-f", "{{.State.Pid}}", f"victim{number}", check=False).stdout.strip()
            if found.isdecimal() and int(found) > 1:
                kill(int(found))
        if victim == "command":
            command.wait(timeout=30)
        ids = assert_ps_tells_the_truth(minirun)
        assert len(ids) <= 1
        clean(minirun)
        if victim != "command":
            command.kill() if command.poll() is None and not ids else None
            command.wait(timeout=30)
