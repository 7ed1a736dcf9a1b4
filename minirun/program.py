"""The process of a command line: what it needs to have around it, its end, and the words for an error of the system.

Owns: `enter`, `ends_soon`, `reason_of`, `check_descriptors`, the environment that was given. Leaves to others: what the command
does, and the exit code.
"""

from __future__ import annotations

import _signal
import os
import sys

from .errors import Exhausted
from .light import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


_adopted: list[bytes] = []  # of a worker (warm/), whose process was born with another environment
_last_act: Callable[[], object] | None = None
_is_entered = False


def given_environment() -> list[bytes]:
    """Give the environment as our caller made it: without the LC_CTYPE that Python puts in for itself (PEP 538). proc(5)"""
    if _adopted:
        return list(_adopted)
    with open("/proc/self/environ", "rb") as file:
        return [entry for entry in file.read().split(b"\0") if entry]


def adopt_environment(entries: list[bytes]) -> None:
    """Say what the caller of this worker has given."""
    _adopted[:] = entries


def enter(main: Callable[[], int]) -> None:
    """Run the command line of this process and end it with the code that `main` gives. Never returns.

    The interpreter's own farewell (collecting modules) is left out: everything that has to be closed is closed by
    then, and it costs more than a millisecond of every command.
    """
    global _is_entered
    _is_entered = True
    _complete_streams()
    # Ignored, as a caller may have left it, nobody would learn how a child of ours has ended. wait(2), NOTES.
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or its reader has gone: there is nobody to tell
            stream.flush()
    if _last_act:
        _last_act()
    os._exit(code)


def ends_soon() -> bool:
    """Is this process there for one command line only? What it leaves to its end is left soon."""
    return _is_entered


def end_with(act: Callable[[], object]) -> None:
    """Say what is to be done when all else is done."""
    global _last_act
    _last_act = act


def _complete_streams() -> None:
    """Where the caller has closed a standard stream, a file of ours would get its number, and be the container's."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number: this one


_NEEDED = 16  # descriptors: more than any step or its undo holds besides what the container gets


def check_descriptors() -> None:
    """Refuse to begin where so few files can be opened that what was begun could not be undone. Exhausted."""
    held: list[int] = []
    try:
        while len(held) < _NEEDED:
            held.append(os.dup(2))
    except OSError as error:
        raise Exhausted(
            f"open {_NEEDED} files at once: {(error.strerror or '').lower()}; ulimit -n raises the limit"
        ) from error
    finally:
        for descriptor in held:
            os.close(descriptor)


def reason_of(error: OSError) -> str:
    """Say what the system refused, and on which file."""
    first, space, rest = (error.strerror or str(error)).partition(" ")
    reason = first.lower() + space + rest
    return f"{os.fsdecode(error.filename)}: {reason}" if error.filename else reason
