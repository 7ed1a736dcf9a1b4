"""Waiting for a process of ours: signals go through to it, its terminal is served, its end is our exit status.

Owns: the loop of a foreground `run` and `exec`. Leaves to others: making the process (process, create, exec).
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

# Not ours to pass on: the kernel's word about ourselves, and what nobody can catch.
_OURS = {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGURG, signal.SIGTTIN, signal.SIGTTOU}


def wait(pid: int, terminal: int = -1) -> int:
    """Wait for a child (or an orphan that came to us) and give its exit status, 128 + n for signal n. Blocks.

    Every signal that we get is sent on to it. `terminal`, its pty master, is connected with our stdin and stdout.
    """
    previous: dict[int, Any] = {}
    number: int

    def forward(number: int, _: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    for number in signal.valid_signals() - _OURS:
        if number != signal.SIGWINCH or terminal < 0:
            with suppress(OSError, ValueError):
                previous[number] = signal.signal(number, forward)
    try:
        if terminal >= 0:
            _serve(pid, terminal)
        _, status = os.waitpid(pid, 0)
    finally:
        for number, handler in previous.items():
            with suppress(OSError, ValueError, TypeError):
                signal.signal(number, handler)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _serve(pid: int, terminal: int) -> None:
    """Move bytes until the process has ended and what it wrote is out."""
    import termios

    before = None
    if os.isatty(0):
        before = termios.tcgetattr(0)
        _raw(before)
        _resize(terminal)
        signal.signal(signal.SIGWINCH, lambda *_: _resize(terminal))
    pidfd = os.pidfd_open(pid)
    try:
        _move(terminal, pidfd)
    finally:
        os.close(pidfd)
        os.close(terminal)
        if before is not None:
            signal.signal(signal.SIGWINCH, signal.SIG_DFL)
            termios.tcsetattr(0, termios.TCSADRAIN, before)


def _raw(before: list[Any]) -> None:
    """As cfmakeraw(3), keeping the output as it is; nothing that was typed ahead is lost."""
    import termios

    mode = [*before]
    mode[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON)
    mode[2] |= termios.CS8
    mode[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    termios.tcsetattr(0, termios.TCSADRAIN, mode)


def _resize(terminal: int) -> None:
    import fcntl
    import termios

    with suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))


def _move(terminal: int, pidfd: int) -> None:
    poll = select.poll()
    for descriptor in (terminal, pidfd, 0):
        poll.register(descriptor, select.POLLIN)
    ended = False
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(0 if ended else None)}
        if terminal in ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # EIO: nobody has the other side open any more
                return
            if not data:
                return
            _write_all(1, data)
        elif ended:
            return
        elif pidfd in ready:
            ended = True
            poll.unregister(pidfd)
        if 0 in ready:
            data = os.read(0, 65536)
            if data:
                _write_all(terminal, data)
            else:
                poll.unregister(0)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
