"""Waiting for a process of ours: signals go through to it, its terminal is served, its end is our exit status.

Owns: signals and the loop of a foreground `run` and `exec`. Leaves to others: making the process (process, create, exec).
"""

from __future__ import annotations

import os
import select
import time

from ..light import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from types import FrameType
    from typing import Any

    from .spec import Process
else:
    import _signal as signal  # the C module: `signal` itself makes an enum of every constant, which costs 5 ms

# Not ours to pass on: the kernel's word about ourselves, and what nobody can catch.
_OURS = {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGURG, signal.SIGTTIN, signal.SIGTTOU}
_ENDS = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}
_PIECE = 65536
_FIRST_PAUSE_SECONDS, _LAST_PAUSE_SECONDS = 0.1, 3600.0


class Foreground:
    """From before a program starts to its end: a context, in which every signal that we get is sent on to it.

    What comes before the program runs is kept until then: else it would end us and leave the container. So is what comes
    after its end: nobody is left to get it, and what is still to be done is done. But whoever asks for the end a second time
    before the program runs gets it (KeyboardInterrupt): a container can hold up a process that comes in.
    """

    def __init__(self) -> None:
        self._is_starting = True
        self._pid = 0
        self._terminal = -1
        self._early: list[int] = []
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Foreground:
        for number in signal.valid_signals() - _OURS:
            with suppress(OSError, ValueError):
                self._previous[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            with suppress(OSError, ValueError, TypeError):
                signal.signal(number, handler)

    def _take(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGWINCH and self._terminal >= 0:
            _resize(self._terminal)
        elif not self._pid:
            self._early.append(number)
            if self._is_starting and sum(early in _ENDS for early in self._early) > 1:
                self._is_starting = False  # once: what is undone now is not to be interrupted
                raise KeyboardInterrupt
        else:
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def wait(self, pid: int, terminal: int = -1, *, fits: bool = True) -> int:
        """Wait for a child (or an orphan that came to us) and give its exit status, 128 + n for signal n. Blocks.

        `terminal`, its pty master, is connected with our stdin and stdout. One that `fits` is as large as ours from now on;
        another one, of a size that was asked for, not before the next change of ours.
        """
        self._pid, self._terminal, self._is_starting = pid, terminal, False
        while self._early:
            self._take(self._early.pop(0), None)
        if terminal >= 0:
            try:
                _serve(pid, terminal, fits)
            finally:
                self._terminal = -1
                os.close(terminal)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        self._pid = 0  # from now on nothing is sent there: once it is waited for, the number may be somebody else's
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code


def sized(process: Process) -> Process:
    """Give a process whose terminal is as large as ours from its beginning, unless a size is asked for."""
    if not process.terminal or has_size(process):
        return process
    with suppress(OSError):
        size = os.get_terminal_size(0)
        return process.replace(rows=size.lines, columns=size.columns)
    return process


def has_size(process: Process) -> bool:
    """Was a size asked for? config.md, "Process", consoleSize."""
    return bool(process.rows or process.columns)


def _serve(pid: int, terminal: int, fits: bool) -> None:
    """Move bytes until the process has ended and what it wrote is out."""
    import termios

    before = None
    with suppress(termios.error, OSError):
        before = termios.tcgetattr(0)
        _raw(before)
        if fits:
            _resize(terminal)  # it may have changed since the start
    try:
        pidfd = os.pidfd_open(pid)
        try:
            _Relay(terminal, pidfd).run()
        finally:
            os.close(pidfd)
    finally:
        if before is not None:
            with suppress(termios.error, OSError):
                termios.tcsetattr(0, termios.TCSADRAIN, before)


def _raw(before: list[Any]) -> None:
    """As cfmakeraw(3); nothing that was typed ahead is lost. What ends a line was written by the container's terminal already."""
    import termios

    mode = [*before]
    mode[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON)
    mode[1] &= ~termios.OPOST
    mode[2] |= termios.CS8
    mode[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
    termios.tcsetattr(0, termios.TCSADRAIN, mode)


def _resize(terminal: int) -> None:
    import fcntl
    import termios

    with suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))


class _Relay:
    """Our stdin to the terminal, the terminal to our stdout.

    A program that doesn't read what is typed must not keep us from reading what it writes, or both would wait for ever: input
    that the terminal doesn't take yet is kept here, and no more is read until it has gone.

    A terminal has no end as a pipe has: where our stdin ends, its end-of-file character is typed, as a person would, or a shell
    that reads it would wait for ever. It is typed again and again, each time after twice the pause: a first one only ends the line
    that was begun, and what was typed before a program changes how its terminal reads is lost. termios(3), VEOF and ICANON.
    """

    def __init__(self, terminal: int, pidfd: int) -> None:
        self.terminal, self.pidfd = terminal, pidfd
        self.input: bytes | None = b""  # None: there is none any more
        self.has_reader = True  # of our stdout
        self.end_due = 0.0  # when our stdin's end is typed next
        self.end_pause = _FIRST_PAUSE_SECONDS  # and how long after that again

    def run(self) -> None:
        """Go on until the process has ended and nothing more is to be read."""
        os.set_blocking(self.terminal, False)
        ended = False
        while True:
            ready = self._poll(ended)
            if ready.get(0):
                self._read_input()
            happened = ready.get(self.terminal, 0)
            if happened & select.POLLOUT and self.input:
                self._write_input()
            if self.input is None and not ended and time.monotonic() >= self.end_due:
                self._type_end()
            if happened & ~select.POLLOUT:
                if not self._copy_output():
                    return
            elif ended:
                return
            ended = ended or bool(ready.get(self.pidfd))

    def _poll(self, ended: bool) -> dict[int, int]:
        poll = select.poll()
        poll.register(self.terminal, select.POLLIN | (select.POLLOUT if self.input else 0))
        if not ended:
            poll.register(self.pidfd, select.POLLIN)
        if self.input == b"":
            poll.register(0, select.POLLIN)
        left = None if self.input is not None else max(0.0, self.end_due - time.monotonic()) * 1000
        return dict(poll.poll(0 if ended else left))

    def _read_input(self) -> None:
        try:
            self.input = os.read(0, _PIECE) or None
        except BlockingIOError:
            pass
        except OSError:  # closed, or a terminal that was hung up
            self.input = None

    def _write_input(self) -> None:
        with suppress(OSError):  # EAGAIN; EIO when nobody has the other side open
            assert self.input
            self.input = self.input[os.write(self.terminal, self.input) :]

    def _type_end(self) -> None:
        import termios

        with suppress(OSError, termios.error):  # full of what nobody reads; nobody has the other side open
            os.write(self.terminal, termios.tcgetattr(self.terminal)[6][termios.VEOF])
        self.end_due = time.monotonic() + self.end_pause
        self.end_pause = min(self.end_pause * 2, _LAST_PAUSE_SECONDS)

    def _copy_output(self) -> bool:
        """Say whether there can be more."""
        try:
            data = os.read(self.terminal, _PIECE)
        except BlockingIOError:
            return True
        except OSError:  # EIO: nobody has the other side open any more
            return False
        if data and self.has_reader:
            self.has_reader = _write_all(1, data)
        return bool(data)


def _write_all(descriptor: int, data: bytes) -> bool:
    """Write to our stdout, which may be non-blocking; say whether anybody reads it. The program goes on in any case."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
        except OSError:
            return False
    return True
