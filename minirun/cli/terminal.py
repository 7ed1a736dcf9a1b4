"""The caller's terminal: raw while a container has it, and as it was afterwards.

Owns: raw mode, the window's size, "the input device is not a TTY". Leaves to others: bytes (monitor's pump).
"""

from __future__ import annotations

import os

from ..errors import BadCall
from ..light import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def require(interactive: bool, terminal: bool) -> None:
    """Refuse `-it` when standard input is no terminal: a script would wait for ever, or garble what it pipes in."""
    if interactive and terminal and not os.isatty(0):
        raise BadCall("the input device is not a TTY")


@contextmanager
def raw(descriptor: int) -> Iterator[None]:
    """Make a terminal raw, as cfmakeraw(3) has it, and restore it however the block ends. No terminal: nothing
    happens."""
    import termios

    try:
        before: list[Any] = termios.tcgetattr(descriptor)
    except (termios.error, OSError):
        yield
        return
    mode: list[Any] = [list(part) if isinstance(part, list) else part for part in before]
    mode[0] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    mode[1] &= ~termios.OPOST
    mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    try:
        termios.tcsetattr(descriptor, termios.TCSANOW, mode)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def size() -> tuple[int, int]:
    """Give rows and columns of the caller's terminal, (0, 0) when there is none or it doesn't know."""
    for descriptor in (0, 1, 2):
        try:
            found = os.get_terminal_size(descriptor)
        except OSError:
            continue
        if found.lines and found.columns:
            return found.lines, found.columns
    return 0, 0
