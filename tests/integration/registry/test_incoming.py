"""Files of layers on their way here, as two pulls share them. A descriptor of its own is as good as a process: flock(2)."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from minirun.errors import MinirunError
from minirun.images.incoming import Incoming, Part

DIGEST = "sha256:" + "ab" * 32


def part(root: Path, size: int = 4, blob: str = "none") -> Part:
    return Incoming(str(root)).part(DIGEST, str(root / blob), size)


def take(taken: Part) -> Part:
    """Take it at once: whoever would have to wait fails."""
    stopped = threading.Event()
    stopped.set()
    taken.take(lambda: None, stopped)
    return taken


def fetched(root: Path) -> Part:
    mine = take(part(root))
    mine.write(b"data")
    mine.finish()
    return mine


def test_who_writes_is_alone(tmp_path: Path) -> None:
    mine = take(part(tmp_path))
    mine.write(b"da")
    other = part(tmp_path)
    with pytest.raises(MinirunError, match="given up"):
        take(other)
    mine.close()
    assert take(other).written == 2
    other.close()


def test_one_that_is_whole_is_shared_by_pulls_that_each_still_hold_another(tmp_path: Path) -> None:
    """Both would wait for ever, did each want the other's for itself."""
    mine = fetched(tmp_path)
    others = [take(part(tmp_path)), take(part(tmp_path))]
    assert [other.written for other in others] == [4, 4]
    assert [other.read(10) for other in others] == [b"data", b"data"]
    mine.discard()  # others read: it stays for the last of them
    assert os.listdir(tmp_path / "incoming") == [DIGEST[7:]]
    mine.close()
    others[0].close()
    others[1].discard()
    others[1].close()
    assert os.listdir(tmp_path / "incoming") == []


def test_one_that_has_become_a_blob_is_read_from_there(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"data")
    late = take(part(tmp_path, blob="blob"))
    assert (late.written, late.read(10)) == (4, b"data")
    late.finish()
    late.discard()
    late.close()
    assert os.listdir(tmp_path / "incoming") == []
    assert (tmp_path / "blob").read_bytes() == b"data"


def test_one_that_is_longer_than_it_is_to_be_begins_again(tmp_path: Path) -> None:
    fetched(tmp_path).close()
    shorter = take(part(tmp_path, size=2))
    assert shorter.written == 0
    shorter.close()
