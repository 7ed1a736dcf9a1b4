"""The plan decoder against hostile bytes, under the address and undefined behaviour sanitizers.

With clang it is libFuzzer, guided by coverage; without it our own mutations of the same seeds. MINIRUN_FUZZ_SECONDS makes
it longer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from minirun.linux import plan as p

NATIVE = Path(__file__).resolve().parents[3] / "native"
SECONDS = int(os.environ.get("MINIRUN_FUZZ_SECONDS", "20"))
FLAGS = [
    "-std=gnu11",
    "-O1",
    "-g",
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wconversion",
    "-Werror",
    "-fno-sanitize-recover=all",
]


def _clang() -> str | None:
    names = ("clang", *(f"clang-{version}" for version in range(22, 13, -1)))
    return next((path for path in map(shutil.which, names) if path), None)


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


def _build(compiler: str, target: Path, sanitizers: str, *sources: str) -> None:
    files = [NATIVE / source for source in ("plan.c", "tests/fuzz_plan.c", *sources)]
    subprocess.run([compiler, *FLAGS, f"-fsanitize={sanitizers}", "-I", NATIVE, "-o", target, *files], check=True)


def test_the_decoder_survives_mutated_plans(seeds: Path, tmp_path: Path) -> None:
    target = tmp_path / "fuzz"
    clang = _clang()
    if clang is not None:
        try:
            _build(clang, target, "fuzzer,address,undefined")
        except subprocess.CalledProcessError:
            clang = None  # a clang without its run-time library
    if clang is not None:
        command: list[str | Path] = [
            target,
            f"-max_total_time={SECONDS}",
            "-max_len=8192",
            "-rss_limit_mb=1024",
            "-seed=1",
            seeds,
        ]
    else:
        _build("gcc", target, "address,undefined", "tests/fuzz_main.c")
        command = [target, str(SECONDS), *sorted(seeds.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=SECONDS + 120, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def test_the_mutations_without_libfuzzer_run_too(seeds: Path, tmp_path: Path) -> None:
    target = tmp_path / "fuzz"
    _build("gcc", target, "address,undefined", "tests/fuzz_main.c")
    command: list[str | Path] = [target, "2", *sorted(seeds.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert int(done.stdout.split()[0]) > 10_000
