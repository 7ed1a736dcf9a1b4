"""A person at a terminal: starts a command on a pseudo terminal of its own, types, reads, changes the window's size.

Owns: `Terminal`. Leaves to others: what is typed. pty(7), tty_ioctl(4).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence

CTRL_C = b"\x03"
CTRL_D = b"\x04"
DETACH = b"\x10\x11"  # ctrl-p ctrl-q


class Terminal:
    """One command on one terminal; a context manager that ends both."""

    def __init__(self, words: Sequence[str], *, rows: int = 24, columns: int = 80) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                os.execvp(words[0], list(words))
            finally:
                os._exit(127)
        self.resize(rows, columns)
        self.text = b""
        self.status: int | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)

    def resize(self, rows: int, columns: int) -> None:
        """Change the window's size, as a window manager does."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, keys: str | bytes) -> None:
        """Type."""
        os.write(self.master, keys.encode() if isinstance(keys, str) else keys)

    def expect(self, pattern: str, *, seconds: float = 20.0) -> re.Match[str]:
        """Read until the pattern shows up in what came since the last match. Fails with what came instead."""
        end = time.monotonic() + seconds
        while True:
            text = self.text.decode(errors="replace")
            match = re.search(pattern, text)
            if match:
                self.text = text[match.end() :].encode()
                return match
            if not self._read(end):
                raise AssertionError(f"waited for {pattern!r} on the terminal; there is:\n{text}")

    def wait(self, *, seconds: float = 20.0) -> int:
        """Wait for the command's end and give its exit code."""
        end = time.monotonic() + seconds
        while self._read(end):
            pass
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                raise AssertionError(
                    f"the command has not ended; on the terminal:\n{self.text.decode(errors='replace')}"
                )
            else:
                time.sleep(0.01)
        return self.status

    def is_raw(self) -> bool:
        """Say whether the terminal passes keys on unread: no line editing, no signals from ctrl-C."""
        flags: int = termios.tcgetattr(self.master)[3]
        return not flags & (termios.ICANON | termios.ISIG)

    def _read(self, end: float) -> bool:
        """Read what is there; False at the end of the terminal or of the time."""
        ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the last process with the terminal open has ended
            return False
        self.text += data
        return bool(data)
