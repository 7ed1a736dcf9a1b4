"""The gate of a created container, when whoever waits at it ends at the wrong moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minirun.runtime import gate
from minirun.runtime.state import Directory


def test_a_process_that_ends_while_it_is_told_to_go_has_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = Directory(str(tmp_path), "one")
    os.mkdir(directory.path)
    directory.make_gate()
    reader, writer = os.pipe()
    os.close(reader)  # as the gate is when the process dies between the look and the word
    monkeypatch.setattr(Directory, "open_gate", lambda _: writer)
    gate.dismiss(directory)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writer)
