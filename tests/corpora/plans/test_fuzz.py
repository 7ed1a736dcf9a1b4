"""The plan decoder against hostile bytes, under the address and undefined behaviour sanitizers.

MINIRUN_FUZZ_SECONDS makes it longer.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from minirun.linux import plan as p
from tests.corpora import fuzzing

SOURCES = ("plan.c", "tests/fuzz_plan.c")
FLAGS = ("-Wconversion",)
LIMITS = ("-max_len=8192", "-rss_limit_mb=1024")


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    """One plan per operation, and one with all of them."""
    directory = tmp_path / "seeds"
    directory.mkdir()
    everything = p.Plan()
    values = {"u": 7, "s": "some text", "b": b"\0bytes\xff", "v": ("a", "", "a longer string")}
    for code, (name, signature, _) in p.OPERATIONS.items():
        plan = p.Plan()
        operation = p.Operation(code=code, arguments=tuple(values[kind] for kind in signature))
        for one in (plan, everything):
            (one.monitor if code < p.FIRST_ACTION else one.child).append(operation)
        (directory / name).write_bytes(plan.encode())
    (directory / "everything").write_bytes(everything.encode())
    return directory


def test_the_decoder_survives_mutated_plans(seeds: Path, tmp_path: Path) -> None:
    for done in fuzzing.fuzz(seeds, tmp_path, *SOURCES, limits=LIMITS, flags=FLAGS):
        assert done.returncode == 0, done.stderr[-4000:]


def test_the_mutations_without_libfuzzer_run_too(seeds: Path, tmp_path: Path) -> None:
    target = tmp_path / "fuzz"
    fuzzing.build_own(target, *SOURCES, flags=FLAGS)
    command: list[str | Path] = [target, "2", "0", *sorted(seeds.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert int(done.stdout.split()[0]) > 10_000
