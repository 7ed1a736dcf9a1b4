"""Archives that a command writes into a file: in a directory that others may write to, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun.cli import archive_output
from minirun.errors import MinirunError


@pytest.fixture(params=["without a name", "with a name"])
def output(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in a directory, on a file system that has files without a name (open(2), O_TMPFILE) and on one that hasn't."""
    if request.param == "with a name":
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)  # to write to a directory is refused with EISDIR, as there
    return tmp_path / "out.tar"


def test_what_is_there_before_is_replaced(output: Path) -> None:
    output.write_text("old")
    archive_output.write_archive([b"new", b"er"], str(output), "save image")
    assert output.read_text() == "newer"
    assert list(output.parent.iterdir()) == [output]
    assert output.stat().st_mode & 0o777 == 0o600


def test_a_file_that_somebody_put_in_the_way_is_not_taken_for_ours(output: Path) -> None:
    foreign = output.with_name(f"out.tar.{os.getpid()}.tmp")
    foreign.write_text("somebody's")
    archive_output.write_archive([b"ours"], str(output), "save image")
    assert output.read_text() == "ours"
    assert foreign.read_text() == "somebody's"


def test_a_failure_leaves_what_was_there(output: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"begun"
        raise MinirunError("and broken off")

    output.write_text("old")
    with pytest.raises(MinirunError, match="broken off"):
        archive_output.write_archive(pieces(), str(output), "save image")
    assert output.read_text() == "old"
    assert list(output.parent.iterdir()) == [output]
