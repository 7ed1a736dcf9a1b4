"""The caller's terminal is raw inside, and as it was outside."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Iterator

import pytest

from minirun.cli import terminal


@pytest.fixture
def pty() -> Iterator[int]:
    ours, theirs = os.openpty()
    try:
        yield theirs
    finally:
        os.close(ours)
        os.close(theirs)


def test_raw_mode_lasts_as_long_as_the_block(pty: int) -> None:
    before = termios.tcgetattr(pty)
    with terminal.raw(pty):
        local = termios.tcgetattr(pty)[3]
        assert not local & (termios.ECHO | termios.ICANON | termios.ISIG)
    assert termios.tcgetattr(pty) == before


def test_raw_mode_ends_with_an_error_too(pty: int) -> None:
    before = termios.tcgetattr(pty)
    with pytest.raises(ZeroDivisionError), terminal.raw(pty):
        raise ZeroDivisionError
    assert termios.tcgetattr(pty) == before


def test_what_is_no_terminal_is_left_alone() -> None:
    reading, writing = os.pipe()
    try:
        with terminal.raw(reading):
            pass
    finally:
        os.close(reading)
        os.close(writing)


def test_the_size_is_that_of_the_first_terminal(pty: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl.ioctl(pty, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
    known = os.get_terminal_size(pty)
    sizes = {2: known}

    def size(descriptor: int) -> os.terminal_size:
        if descriptor not in sizes:
            raise OSError
        return sizes[descriptor]

    monkeypatch.setattr(os, "get_terminal_size", size)
    assert terminal.size() == (50, 132)
    sizes.clear()
    assert terminal.size() == (0, 0)
