"""Handing a command to the spare worker."""

from __future__ import annotations

import os

import pytest

from minirun.warm import caller, spare


def test_a_number_that_is_a_strangers_by_now_gets_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = spare.Spare()
    os.set_blocking(ahead.socket.fileno(), True)
    worker = int.from_bytes(ahead.socket.recv(8), "little")
    monkeypatch.setattr(
        ahead, "_worker", os.getppid
    )  # as when it was killed, and waited for, and its memory is still there
    reader, writer = os.pipe()
    try:
        with pytest.raises(ChildProcessError):
            ahead.begin([reader], caller.facts_of(os.getpid()))
    finally:
        os.close(reader)
        os.close(writer)
        for pid in (ahead.pid, worker):
            os.waitpid(pid, 0)
