"""Waiting for something with a deadline, instead of sleeping and hoping.

Owns: `until`, `listening`, `catching`, `free_port`. Leaves to others: what is waited for.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


# Looks that say why what is waited for will hardly come (tests/missing); then nobody waits long for it.
doubts: list[Callable[[], bool]] = []
SECONDS_IN_DOUBT = 3.0


def until(what: str, look: Callable[[], T], *, seconds: float = 30.0) -> T:
    """Call `look` until it gives something true, and give that. Fails with what was waited for, and what was seen last."""
    begin = time.monotonic()
    while True:
        seen = look()
        if seen:
            return seen
        waited = time.monotonic() - begin
        if waited > seconds or (waited > SECONDS_IN_DOUBT and any(doubt() for doubt in doubts)):
            raise AssertionError(f"waited {waited:.3g} s for {what}; last seen: {seen!r}")
        time.sleep(min(max(waited / 10, 0.01), 0.3))  # no tenth longer than it takes


def catching(pid: int, signal: int) -> Callable[[], bool]:
    """Give a look at whether a process has a handler for a signal: a shell has its trap. proc_pid_status(5), SigCgt."""

    def look() -> bool:
        caught = re.search(r"^SigCgt:\t(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return caught is not None and bool(int(caught[1], 16) >> (signal - 1) & 1)

    return look


def listening(port: int, address: str = "127.0.0.1") -> Callable[[], bool]:
    """Give a look at whether something accepts TCP connections there."""

    def look() -> bool:
        try:
            socket.create_connection((address, port), timeout=2).close()
        except OSError:
            return False
        return True

    return look


def free_port(wanted: int = 0) -> int:
    """Give a TCP port that nobody listens on: `wanted` if it is free, else any."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("no free TCP port on this host")
