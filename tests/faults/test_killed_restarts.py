"""Kill -9 of whatever restarts a container, at any moment: the next command goes on with it, or `rm -f` leaves nothing.

Victims are what is there: the monitor, the delay, the exit hook, the command that starts it again, the container's own process.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

from tests.faults.test_kills import kill, monitors_of
from tests.waiting import until

ROUNDS = int(os.environ.get("MINIRUN_KILL_ROUNDS", "60")) // 10
SEED = int(os.environ.get("MINIRUN_KILL_SEED", str(time.time_ns() % 1_000_000)))


def hooks_of(root: Path) -> list[int]:
    """Give the exit hooks that were told of our root."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"minirun.engine.exit_hook" in words and str(root).encode() in words:
            found.append(int(pid))
    return found


def test_a_restart_that_is_killed_goes_on_with_the_next_command(minirun, busybox, roots):
    chance = random.Random(f"{SEED} restarts")
    print(f"seed {SEED}")  # shown when the test fails
    for number in range(ROUNDS):
        name = f"again{number}"
        network = chance.choice(["none", "bridge"])
        minirun("run", "-d", "--name", name, "--network", network, "--restart", "always", busybox, "sh", "-c", "exit 1")

        def count(name: str = name) -> int:
            container = json.loads(minirun("inspect", name).stdout)[0]
            assert container["State"]["Status"] in ("running", "restarting"), container["State"]
            return int(container["RestartCount"])

        for _ in range(4):
            end = time.monotonic() + chance.random() * 0.4
            while time.monotonic() < end:
                victims = hooks_of(roots.root)
                if victims and chance.random() < 0.3:
                    break
            for pid in victims or monitors_of(roots.run_root):
                kill(pid)
            count()  # the next command
        before = count()
        until("one more run", lambda before=before, count=count: count() > before)
        minirun("rm", "-f", name)
    assert minirun("system", "check").stdout.startswith("Everything is whole")
