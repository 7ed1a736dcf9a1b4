"""The archive reader and the applier against hostile bytes, under the address and undefined behaviour sanitizers.

The corpus is the seed. With clang it is libFuzzer, guided by coverage; without it our own mutations. MINIRUN_FUZZ_SECONDS
makes it longer.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import missing
from tests.corpora.archives.cases import CASES

NATIVE = Path(__file__).resolve().parents[3] / "native"
SECONDS = int(os.environ.get("MINIRUN_FUZZ_SECONDS", "20"))
SOURCES = ("untar.c", "layer.c", "layer_path.c", "layer_copy.c", "tree.c", "path.c", "tests/fuzz_untar.c")
FLAGS = ("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-fno-sanitize-recover=all")


def clang() -> str | None:
    names = ("clang", *(f"clang-{version}" for version in range(22, 13, -1)))
    return next((path for path in map(shutil.which, names) if path), None)


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    """Each archive of the corpus that isn't large, in one piece, with no lower, one, or two."""
    directory = tmp_path / "seeds"
    directory.mkdir()
    for number, name in enumerate(CASES):
        data = CASES[name]().data
        if len(data) < 20_000:
            (directory / name).write_bytes(bytes([0x60 | (number % 3 + 1)]) + data)
    return directory


def build(compiler: str, target: Path, sanitizers: str, *more: str) -> None:
    files = [NATIVE / source for source in (*SOURCES, *more)]
    subprocess.run([compiler, *FLAGS, f"-fsanitize={sanitizers}", "-I", NATIVE, "-o", target, *files], check=True)


def check(done: subprocess.CompletedProcess[str]) -> None:
    if os.strerror(errno.ENOSYS) in done.stderr:
        missing.note()
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_applier_survives_mutated_archives(seeds, tmp_path):
    target = tmp_path / "fuzz"
    compiler = clang()
    if compiler is not None:
        try:
            build(compiler, target, "fuzzer,address,undefined")
        except subprocess.CalledProcessError:
            compiler = None  # a clang without its run-time library
    if compiler is not None:
        limits = (f"-max_total_time={SECONDS}", "-max_len=16384", "-rss_limit_mb=1024", "-seed=1", "-timeout=20")
        command: list[str | Path] = [target, *limits, seeds]
    else:
        build("gcc", target, "address,undefined", "tests/fuzz_main.c")
        command = [target, str(SECONDS), *sorted(seeds.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=SECONDS + 300, check=False)
    check(done)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_corpus_under_the_sanitizers(seeds, tmp_path):
    target = tmp_path / "fuzz"
    build("gcc", target, "address,undefined", "tests/fuzz_main.c")
    command: list[str | Path] = [target, "0", *sorted(seeds.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    check(done)
