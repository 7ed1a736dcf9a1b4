"""What the hot commands import with a real engine under them: names, not times.

An import is paid for by every start. Who adds one adds it here knowingly, in the storey's line of the command.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from minirun.freeze import script
from minirun.warm import preload
from tests.hosts import has
from tests.unit.cli.test_import_budget import FORBIDDEN

# What `json` and `sqlite3` bring along: minirun/jsontext and minirun/database take their C parts alone.
NEVER_HERE = {"re", "enum", "json", "sqlite3", "contextlib", "functools", "collections"}

CLI = "commands invocation main options parse values values.scalars"
STORE = "config container engine layout reconcile store"
LEAVES = "command_line database errors files frozen jsontext light output program record units"
PLAN = "flags plan syscalls"
CGROUPS = "cgroups cgroups.hierarchy"
EXEC_RUNTIME = f"capabilities {CGROUPS} compile compile.context compile.process devices seccomp seccomp_profile spec"
# Where processes can be counted, each container has a limit of them.
LIMITS = "cgroups.controllers cgroups.files cgroups.limits" if has("pids") else ""
RUN_RUNTIME = f"{EXEC_RUNTIME} compile.mounts compile.namespaces compile.network {LIMITS}"

EXPECTED = {
    ("run", "--rm", "busybox", "true"): {
        "cli": f"{CLI} commands.run foreground preferences request terminal values.keys",
        "engine": f"{STORE} borrow create etc exit_hook life names remove session spec spec_limits spec_mounts start surroundings",
        "images": "image reference store",
        "linux": f"{PLAN} trees",
        "monitor": "connection exits launch",
        "network": "addresses bridge firewall names netlink networks ports",
        "runtime": RUN_RUNTIME,
        "storage": "overlay snapshots",
        "": f"_native {LEAVES}",
    },
    ("exec", "pinned", "true"): {
        "cli": f"{CLI} commands.exec preferences request terminal",
        "engine": f"{STORE} exec exit_hook session spec spec_limits spec_mounts surroundings",
        "images": "image reference store",
        "linux": PLAN,
        "monitor": "connection exits launch",
        "runtime": EXEC_RUNTIME,
        "storage": "snapshots",
        "": f"_native {LEAVES}",
    },
    ("ps",): {
        "cli": f"{CLI} commands.ps preferences present table",
        "engine": f"{STORE} query",
        "monitor": "exits",
        "": LEAVES,
    },
    ("logs", "pinned"): {
        "cli": f"{CLI} commands.logs",
        "engine": STORE,
        "monitor": "exits logs records",
        "": LEAVES,
    },
}


@pytest.fixture
def pinned(minirun, busybox):
    minirun("run", "-d", "--name", "pinned", busybox, "sleep", "600")
    yield
    minirun("rm", "-f", "pinned")


def imported(minirun, words: tuple[str, ...]) -> set[str]:
    """Run a command and give the names of all modules that it imported."""
    command, *roots = minirun.words
    program = script(os.path.basename(command))  # what the launcher runs cold
    done = subprocess.run(
        [sys.executable, "-IS", "-X", "importtime", program, "minirun", *roots, *words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def expected_of(words: tuple[str, ...]) -> set[str]:
    """Give the full names of what is pinned for a command."""
    expected = set()
    for storey, modules in EXPECTED[words].items():
        prefix = f"minirun.{storey}." if storey else "minirun."
        expected |= {prefix + module for module in modules.split()} | ({f"minirun.{storey}"} if storey else set())
    return expected


@pytest.mark.parametrize("words", EXPECTED, ids=" ".join)
def test_a_hot_command_imports_only_what_it_needs(minirun, pinned, words):
    minirun(*words)  # what is made once is made now
    names = imported(minirun, words)
    assert {name for name in names if name.startswith("minirun.")} == expected_of(words)
    assert not names & (FORBIDDEN | NEVER_HERE)


def test_the_preloaded_process_imports_first_what_they_need():
    used = set().union(*(expected_of(words) for words in EXPECTED if words[0] in ("run", "exec", "ps")))
    limits = {f"minirun.runtime.{module}" for module in LIMITS.split()}
    packages = {name for name in used if any(other.startswith(f"{name}.") for other in used)}
    assert set(preload.first()) - packages == used - packages - limits
