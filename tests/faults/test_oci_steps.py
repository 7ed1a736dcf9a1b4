"""Kill -9 at each operation of a plan: `minirun-oci create` is stopped at a system call of the C core, and a part is killed there.

An operation is one or several system calls: it is hit between any two of them. Three victims: the command, the program that walks
the plan for it, the process that is being made. Then `delete --force` takes away all that is left. The ordinary run takes
every MINIRUN_KILL_STRIDE-th call (1: all of them, some minutes), from a beginning that chance gives.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import open_way
from tests.integration.oci.conftest import Oci
from tests.waiting import until

STRIDE = int(os.environ.get("MINIRUN_KILL_STRIDE", "60"))
SEED = int(os.environ.get("MINIRUN_KILL_SEED", str(time.time_ns() % 1_000_000)))
STEPPER = str(Path(__file__).with_name("stepper.py"))
NEVER = 1_000_000
MAPS = [{"containerID": 0, "hostID": 100_000, "size": 1000}]
RICH: dict[str, Any] = {
    "hostname": "step",
    "hooks": {kind: [{"path": "/bin/true"}] for kind in ("createRuntime", "createContainer", "poststop")},
    "linux": {
        "devices": [{"path": "/dev/mine", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}],
        "maskedPaths": ["/proc/kcore", "/sys/firmware"],
        "readonlyPaths": ["/proc/sys"],
        "sysctl": {"net.ipv4.ip_forward": "1"},
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_ERRNO"}]},
    },
}


@pytest.fixture
def oci(tmp_path: Path) -> Iterator[Oci]:
    """A runtime of this test's own, with a bundle."""
    runtime = Oci(tmp_path)
    yield runtime
    for container_id in runtime.containers():
        runtime("delete", "--force", container_id)


def create_until(oci: Oci, count: int, victim: str, name: str) -> int:
    """Create a container up to a system call, kill the victim there, and give how many calls there were."""
    words = [sys.executable, STEPPER, str(count), victim, *oci.words("create", name)]
    oci.ids.append(name)
    with (oci.top / "steps").open("w+") as said:  # the container holds it: a pipe would have no end
        subprocess.run(words, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, timeout=60, check=True)
        said.seek(0)
        return next(int(line) for line in said if line.strip().isdigit())


@pytest.mark.parametrize("victim", ["command", "spawner", "made"])
@pytest.mark.parametrize("kind", ["rich", "user"])
def test_what_is_left_after_a_kill_at_any_operation_is_deleted_whole(oci: Oci, kind: str, victim: str) -> None:
    more = (
        {"linux": {**RICH["linux"], "uidMappings": MAPS, "gidMappings": MAPS, "devices": []}} if kind == "user" else {}
    )
    namespaces = ("pid", "ipc", "uts", "mount", "network", "cgroup", *(("user",) if kind == "user" else ()))
    oci.config("sleep", "1000", namespaces=namespaces, **{**RICH, **more})
    open_way(oci.top)

    whole = create_until(oci, NEVER, victim, "whole")
    assert oci.state("whole")["status"] == "created"
    oci("delete", "--force", "whole")
    assert whole > 100

    first = 1 + random.Random(f"{SEED} {kind} {victim}").randrange(STRIDE)
    print(f"seed {SEED}, {whole} calls, from {first} in steps of {STRIDE}")
    for call in range(first, whole + 1, STRIDE):
        name = f"victim-{os.getpid()}-{call}"
        create_until(oci, call, victim, name)
        oci("delete", "--force", name)
        if oci.left():  # a killed process may take a moment to be gone
            with suppress(AssertionError):
                until("nothing to be left", lambda: not oci.left(), seconds=5)
        assert not oci.left(), (call, oci.left())
        oci.ids.clear()
