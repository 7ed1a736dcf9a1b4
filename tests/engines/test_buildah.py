"""buildah runs the steps of a build through minirun-oci."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.engines.conftest import RUNTIME

pytestmark = pytest.mark.no_census  # the engines keep things of their own; conftest looks for ours
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]


def test_a_step_of_a_build_runs_and_its_failure_is_the_builds(place: Path, archive: Path, tmp_path: Path) -> None:
    words = ["buildah", "--root", f"{place}/buildah/data", "--runroot", f"{place}/buildah/run"]

    def build(step: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "Containerfile").write_text(f"FROM scratch\nADD rootfs.tar /\nRUN {step}\n")
        (tmp_path / "rootfs.tar").write_bytes(archive.read_bytes())
        options = ["--runtime", str(RUNTIME), "--isolation", "oci", "--network", "none", *LIMITS]
        command = [*words, "bud", *options, "-t", "built", str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    done = build("echo from the step; id -u > /made")
    assert done.returncode == 0, done.stderr
    assert "from the step" in done.stdout
    failed = build("exit 3")
    assert failed.returncode != 0
    assert "3" in failed.stderr
