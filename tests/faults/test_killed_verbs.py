"""Kill -9 of a verb at a random moment: what is said afterwards is what is, and the next call of the verb does its work.

Owns: pause, unpause, rename, update, the prunes, check. Leaves to others: starts and ends (test_kills).
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.engine.conftest import made as made
from tests.integration.engine.conftest import store as store
from tests.integration.engine.test_check import WHOLE, snapshot
from tests.integration.engine.test_disk import root_of

ROUNDS = int(os.environ.get("MINIRUN_KILL_ROUNDS", "60")) // 12
SEED = int(os.environ.get("MINIRUN_KILL_SEED", str(time.time_ns() % 1_000_000)))


@pytest.fixture
def chance(request):
    print(f"seed {SEED}")  # shown when the test fails
    return random.Random(f"{SEED} {request.node.name}")


def cut_short(command, chance: random.Random, *words: str) -> None:
    """Start a command and kill it within the time that such a command takes, or soon after."""
    victim = command.start(*words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(chance.random() * 0.12)
    victim.kill()
    victim.wait()


def test_a_pause_that_is_killed_leaves_what_ps_says(minirun, engine, busybox, run_container, chance):
    name = run_container(busybox, "sleep", "600")
    identifier = minirun("inspect", "-f", "{{.Id}}", name).stdout.strip()
    freezer = Path(engine.hierarchy.path(identifier), "cgroup.freeze")
    for _ in range(ROUNDS * 2):
        cut_short(minirun, chance, chance.choice(["pause", "unpause"]), name)
        said = minirun("inspect", "-f", "{{.State.Status}}", name).stdout.strip()
        assert said == {"0": "running", "1": "paused"}[freezer.read_text().strip()]
    minirun("pause", name, check=False)
    minirun("unpause", name)
    minirun("exec", name, "true")


def test_a_rename_or_an_update_that_is_killed_has_happened_or_not(minirun, busybox, run_container, chance):
    name = run_container(busybox, "sleep", "600")
    identifier = minirun("inspect", "-f", "{{.Id}}", name).stdout.strip()
    for number in range(ROUNDS):
        before = minirun("inspect", "-f", "{{.Name}}", identifier).stdout.strip()
        cut_short(minirun, chance, "rename", identifier, f"other-{number}")
        cut_short(minirun, chance, "update", "--pids-limit", "-1", identifier)
        found = json.loads(minirun("inspect", identifier).stdout)[0]
        assert found["Name"] in (before, f"/other-{number}")
        assert found["HostConfig"]["PidsLimit"] in (None, -1)
        minirun("inspect", found["Name"].removeprefix("/"))
    minirun("rename", identifier, name)


def test_prunes_and_repairs_that_are_killed_are_finished_by_the_next(store, fixture_archive, chance):
    archive = str(fixture_archive("busybox"))
    for number in range(ROUNDS // 2):
        store("create", "busybox", "true")
        store("import", "-m", str(number), archive, "spare")  # leaves the one before without a name
        layer = snapshot(store)
        (layer / "etc/extra").write_text("")
        for words in (("container", "prune", "-f"), ("image", "prune", "-f"), ("system", "check", "--repair")):
            cut_short(store, chance, *words)
        store("system", "prune", "-f")
        store("system", "check", "--repair")
        assert store("system", "check").stdout == WHOLE
        assert not (layer / "etc/extra").exists()
        assert os.listdir(root_of(store) / "snapshots/staging") == []
        assert store("ps", "-aq").stdout == ""
        store("run", "--rm", "busybox", "true")
