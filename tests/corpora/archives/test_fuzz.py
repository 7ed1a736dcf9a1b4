"""The archive reader and the applier against hostile bytes, under the address and undefined behaviour sanitizers.

The corpus is the seed. MINIRUN_FUZZ_SECONDS makes it longer.
"""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from tests import missing
from tests.corpora import fuzzing
from tests.corpora.archives.cases import CASES

SOURCES = (
    "untar.c",
    "layer.c",
    "layer_path.c",
    "layer_copy.c",
    "layer_files.c",
    "tree.c",
    "path.c",
    "tests/fuzz_untar.c",
)
LIMITS = ("-max_len=16384", "-rss_limit_mb=1024", "-timeout=20")


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


def check(done: subprocess.CompletedProcess[str]) -> None:
    if os.strerror(errno.ENOSYS) in done.stderr:
        missing.note()
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_applier_survives_mutated_archives(seeds, tmp_path):
    for done in fuzzing.fuzz(seeds, tmp_path, *SOURCES, limits=LIMITS):
        check(done)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_corpus_under_the_sanitizers(seeds, tmp_path):
    target = tmp_path / "fuzz"
    fuzzing.build_own(target, *SOURCES)
    command: list[str | Path] = [target, "0", "0", *sorted(seeds.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    check(done)
