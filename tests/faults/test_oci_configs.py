"""Configurations in the schema's shape, right and wrong, really run: an error or a container, never a crash, nothing left.

What would change this host if it were obeyed is replaced: namespaces are new, devices of the host's network stay, cgroups have
our name. tests/corpora/configs holds what becomes of the text alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.corpora.configs.documents import documents
from tests.integration.oci.conftest import Oci

ASKED = os.environ.get("MINIRUN_FUZZ_EXAMPLES", "")
EXAMPLES = int(ASKED or "100")  # always the same ones, unless they are asked for
ID = f"fuzz-{os.getpid()}"


@pytest.fixture(scope="module")
def oci(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oci]:
    """A runtime of this module's own, with a bundle, and a file beside the root file system that nobody may touch."""
    runtime = Oci(tmp_path_factory.mktemp("fuzz"))
    (runtime.top / "canary").write_text("canary")
    yield runtime
    for container_id in runtime.containers():
        runtime("delete", "--force", container_id)


def harmless(document: Any) -> Any:
    """Give the document without what it could do to this host."""
    if not isinstance(document, dict):
        return document
    linux = document.get("linux")
    linux = {**linux} if isinstance(linux, dict) else {}
    kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup", *(["user"] if linux.get("uidMappings") else [])]
    linux |= {"namespaces": [{"type": kind} for kind in kinds], "cgroupsPath": f"/{ID}"}
    for key in ("netDevices", "resources"):
        linux.pop(key, None)
    seccomp = linux.get("seccomp")
    if isinstance(seccomp, dict):
        linux["seccomp"] = seccomp | {"defaultAction": "SCMP_ACT_ALLOW"}
    return {**document, "linux": linux, "root": {"path": "rootfs"}}


def snapshot(top: Path) -> list[str]:
    """Give what lies beside the root file system."""
    return sorted(str(path) for path in top.rglob("*") if not {"rootfs", "state", "stdout", "stderr"} & set(path.parts))


ran: list[int] = []
refused: set[str] = set()


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=not ASKED
)
@given(document=documents())
def test_any_configuration_is_run_or_refused(oci: Oci, document: Any) -> None:
    (oci.bundle / "config.json").write_text(json.dumps(harmless(document)))
    before = snapshot(oci.top)
    done = oci("run", ID, check=False, timeout=60)
    if "level=error" in done.stderr:
        assert done.returncode == 1
        assert done.stderr.count("level=error") == 1
        refused.add(done.stderr)
    else:
        ran.append(done.returncode)
    oci.assert_nothing_is_left()
    assert snapshot(oci.top) == before
    assert (oci.top / "canary").read_text() == "canary"
    oci.ids.clear()


def test_some_of_them_were_run() -> None:
    """A generator whose documents are all refused would find nothing."""
    assert len(ran) >= EXAMPLES // 50, "".join(refused)


def test_a_plan_too_large_for_the_kernel_or_for_us_is_refused(oci: Oci) -> None:
    for environment in (["A=" + "x" * (5 << 20)], [f"A{number}=" + "x" * 100_000 for number in range(30)]):
        oci.config("true", process={"env": ["PATH=/bin", *environment]})
        done = oci("run", ID, check=False, timeout=60)
        assert done.returncode == 1
        assert "level=error" in done.stderr
        oci.assert_nothing_is_left()
