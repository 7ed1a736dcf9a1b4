"""`minirun-oci` that may open only so many files: it works, or ends in one line and leaves nothing, whatever the number.

Beside the number of files, the number of processes: a creation forks more than once.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.test_oci_steps import RICH
from tests.integration.oci.conftest import Oci

FEW = (4, 5, 6, 7, 8, 10, 12, 16, 18)
ENOUGH = 64
NAME = f"few-{os.getpid()}"


@pytest.fixture
def oci(tmp_path: Path) -> Iterator[Oci]:
    """A runtime of this test's own, with a bundle that takes many kinds of operations."""
    runtime = Oci(tmp_path)
    runtime.config("sleep", "1000", namespaces=("pid", "ipc", "uts", "mount", "network", "cgroup"), **RICH)
    yield runtime
    for container_id in runtime.containers():
        runtime("delete", "--force", container_id)
    runtime.assert_nothing_is_left()


def with_files(oci: Oci, count: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a verb that may have no descriptor from `count` on."""
    with (oci.top / "said").open("w+") as said:
        done = subprocess.run(
            ["prlimit", f"--nofile={count}", *oci.words(*words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            timeout=60,
            check=False,
        )
        said.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, "", said.read())


@pytest.mark.parametrize("verb", ["create", "run --detach"])
def test_a_creation_with_few_files_is_whole_or_nothing(oci: Oci, verb: str) -> None:
    counts = (*FEW, *range(20, ENOUGH, 3))
    outcomes = []
    for count in counts:
        oci.ids.append(NAME)
        done = with_files(oci, count, *verb.split(), NAME)
        outcomes.append(done.returncode)
        if done.returncode == 0:
            oci("delete", "--force", NAME)
        else:
            assert done.stderr.count("\n") == 1, (count, done.stderr)
            assert "too many open files" in done.stderr.lower(), (count, done.stderr)
        oci.assert_nothing_is_left()
    assert outcomes[0] == 1
    assert outcomes[-1] == 0


@pytest.mark.parametrize(
    "verb", ["state", "kill", "delete --force", "exec", "list", "ps", "update --pids-limit=9", "pause"]
)
def test_other_verbs_with_few_files_end_in_a_line_and_change_nothing(oci: Oci, verb: str) -> None:
    name = f"whole-{os.getpid()}"
    oci("run", "--detach", name)
    command = {"list": (), "exec": (name, "true")}.get(verb, (name,))
    for count in FEW:
        done = with_files(oci, count, *verb.split(), *command)
        assert done.returncode in (1, 255), (count, done.stderr)
        assert done.stderr.count("\n") == 1, (count, done.stderr)
        assert oci.state(name)["status"] == "running"
