"""Pieces that a thread makes ahead: in order, with the error where its piece would have come, and no thread left behind."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from itertools import islice

import pytest

from minirun.images.ahead import BATCH, DEPTH, ahead
from minirun.images.digest import PIECE, digest_of
from minirun.images.layers import read_layer


def running() -> int:
    return sum(thread.name == "ahead" for thread in threading.enumerate())


def numbers(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield str(number).encode()


@pytest.mark.parametrize("count", [0, 1, BATCH, BATCH + 1, BATCH * DEPTH * 3])
def test_pieces_come_in_order(count: int) -> None:
    with ahead(numbers(count), bool) as pieces:
        assert [int(piece) for piece in pieces] == list(range(count))
    assert running() == 0


def test_an_error_comes_after_the_pieces_before_it() -> None:
    def failing() -> Iterator[bytes]:
        yield from numbers(BATCH)
        raise ValueError("broken")

    with ahead(failing(), bool) as pieces:
        assert len(list(islice(pieces, BATCH))) == BATCH
        with pytest.raises(ValueError, match="broken"):
            next(pieces)
    assert running() == 0


def test_who_stops_early_leaves_no_thread_and_the_source_runs_a_little_ahead_at_most() -> None:
    made = []

    def endless() -> Iterator[bytes]:
        while True:
            made.append(1)
            yield b"x"

    with ahead(endless(), bool) as pieces:
        next(pieces)
    assert running() == 0
    assert len(made) <= BATCH * (DEPTH + 3)


def test_a_read_that_blocks_is_interrupted() -> None:
    wake = threading.Event()

    def blocking() -> Iterator[bytes]:
        yield from numbers(BATCH)
        wake.wait()
        raise OSError("given up")

    with ahead(blocking(), wake.set) as pieces:
        next(pieces)
    assert wake.is_set()
    assert running() == 0


def test_a_layer_that_is_still_coming_is_read_by_a_second_thread_too() -> None:
    """It gives little at first, and that must not make the whole of a large one unpack in one thread."""
    content = io.BytesIO(bytes(4 * PIECE))
    readers = []

    def trickle(size: int) -> bytes:
        readers.append(threading.current_thread().name)
        return content.read(min(size, 1000 if content.tell() < PIECE else size))

    layer = read_layer(trickle, "layer", interrupt=bool)
    assert (layer.size, layer.digest, layer.diff_id) == (4 * PIECE, digest_of(content.getvalue()), layer.digest)
    assert readers[0] != "ahead"
    assert set(readers[-3:]) == {"ahead"}


@pytest.mark.parametrize("size", [0, 1, 511, 1000, PIECE - 1])
def test_a_small_layer_has_no_thread(size: int) -> None:
    readers = []

    def read(wanted: int) -> bytes:
        readers.append(threading.current_thread().name)
        return content.read(min(wanted, 700))

    content = io.BytesIO(bytes(size))
    assert read_layer(read, "layer", interrupt=bool).size == size
    assert set(readers) == {threading.current_thread().name}
