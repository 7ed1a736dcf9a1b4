"""What the commands of `minirun-oci` import when containers really live: nothing that costs a millisecond by itself."""

from __future__ import annotations

import os
import subprocess
import sys

from minirun.freeze import script
from tests.integration.oci.conftest import Oci
from tests.unit.cli.test_import_budget import FORBIDDEN

ID = f"imports-{os.getpid()}"
NEVER = FORBIDDEN | {"enum", "importlib", "json", "re", "warnings"}


def imported(oci: Oci, *words: str) -> set[str]:
    """Run a command and give the names of all modules that it imported."""
    program, *rest = oci.words(*words)
    cold = script(os.path.basename(program))  # what the launcher runs
    log = oci.top / "imports"  # a file: a container that goes on would keep a pipe open
    with log.open("wb") as file:
        command = [sys.executable, "-IS", "-X", "importtime", cold, program, *rest]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file, check=True)
    lines = [line for line in log.read_text().splitlines() if line.startswith("import time:")]
    assert any(line.endswith("minirun.frozen") for line in lines)
    return {line.rpartition("|")[2].strip() for line in lines}


def test_no_command_of_a_containers_life_imports_what_is_dear(oci: Oci) -> None:
    oci.config("sleep", "1000")
    for words in (("create", ID), ("state", ID), ("start", ID), ("exec", ID, "true"), ("kill", ID, "KILL")):
        assert not imported(oci, *words) & NEVER, words
    oci.wait_until(ID, "stopped")
    assert not imported(oci, "delete", ID) & NEVER
    oci.config("true")
    assert not imported(oci, "run", ID) & NEVER
