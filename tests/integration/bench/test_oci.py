"""The benchmark of the runtimes: they stand side by side, and nothing of them stays, whatever fails on the way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import oci
from bench.measure import BenchError, Subject
from bench.peers import Peers
from bench.setting import Setting


@pytest.fixture
def setting(tmp_path: Path, fixture_archive: Callable[[str], Path]) -> Setting:
    """One round, with runc as the only peer."""
    peers = Peers()
    peers.runtimes.append(Subject("runc", ["runc"]))
    return Setting(tmp_path, peers, fixture_archive("busybox"), rounds=1)


def test_idle_containers_of_two_runtimes_stand_side_by_side(setting: Setting) -> None:
    rows = oci.rows(setting)
    assert [row.what for row in rows] == [f"minirun-oci {verb}" for verb in ("run", *oci.VERBS)]


def test_a_verb_that_fails_leaves_no_container_of_any_runtime(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oci, "VERBS", ("create", "no-such-verb"))
    with pytest.raises(BenchError, match="no-such-verb"):
        oci.rows(setting)
    ours = str(Path(sys.executable).parent / "minirun-oci")
    for name, program in (("minirun", ours), ("runc", "runc")):
        state = setting.directory / "oci" / name / "state"
        assert subprocess.check_output([program, "--root", state, "list", "-q"], text=True) == ""
