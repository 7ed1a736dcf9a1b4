"""What a pull or push says while it goes on: docker's lines, one for each layer.

Owns: the two looks. On a terminal each layer has a line that changes; elsewhere a line is written for each step, and none for
bytes. Leaves to others: what happens (images/pulling, pushing).
"""

from __future__ import annotations

import os
import sys
import threading
import time

from ..units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

COUNTED = frozenset({"Downloading", "Extracting", "Pushing"})  # these come for every piece
REDRAW_SECONDS = 0.1
BAR = 50


class Layers:
    """Shows layers on one of our streams; may be called by several threads."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._moves = stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
        self._lines: dict[str, int] = {}
        self._drawn: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """Write a line that stays."""
        if not self._quiet:
            self._write(text + "\n")

    def __call__(self, layer: str, status: str, done: int, total: int) -> None:
        """Show what a layer is at; a line that is no layer's stays."""
        if self._quiet:
            return
        if not layer:
            self.say(status)
            return
        with self._lock:
            before, when = self._drawn.get(layer, ("", 0.0))
            now = time.monotonic()
            counted = status in COUNTED
            if status == before and (not counted or not self._moves or (now - when < REDRAW_SECONDS and done < total)):
                return
            self._drawn[layer] = (status, now)
            if self._moves:
                self._redraw(layer, f"{layer}: {status}{f' {_bar(done, total)}' if counted and total else ''}")
            elif not counted:
                self._write(f"{layer}: {status}\n")

    def _redraw(self, layer: str, text: str) -> None:
        place = self._lines.get(layer)
        if place is None:
            self._lines[layer] = len(self._lines)
            self._write(text + "\n")
            return
        up = len(self._lines) - place
        self._write(f"\x1b[{up}A\r\x1b[2K{text}\x1b[{up}B\r")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _bar(done: int, total: int) -> str:
    filled = min(done * BAR // total, BAR)
    arrow = "=" * (filled - 1) + ">" if filled else ""
    return f"[{arrow:<{BAR}}]  {human_size(done)}/{human_size(total)}"


def to_stdout(*, quiet: bool = False) -> Layers:
    """Show on standard output, as `pull` and `push` do."""
    return Layers(sys.stdout, quiet=quiet)


def to_stderr(*, quiet: bool = False) -> Layers:
    """Show on standard error, as `run` does: its output is the container's."""
    return Layers(sys.stderr, quiet=quiet)
