"""The gate at which the process of a created container waits until somebody starts it, and what it says on its way through.

Owns: opening it, and telling whoever waits there to go. Leaves to others: making it (state.Directory, the plan's GATE), when.

Two FIFOs that the process holds open: a byte through the one is the word; the other carries a failure back, and its end, which
comes with exec, means success. native/spawn.c.
"""

from __future__ import annotations

import os

from ..errors import Conflict, StartFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .state import Directory, State

STOPPED = "cannot start a container that has stopped"
_GO, _LEAVE = b"\1", b"\0"
_SECONDS_TO_LEAVE = 10.0


def open_(directory: Directory, record: State) -> None:
    """Let the program run, and wait until it does. Conflict when nobody waits there any more; StartFailed."""
    verdict = os.open(directory.verdict, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        gate = directory.open_gate()
        if gate is None:  # it has ended since we looked; its end of the other FIFO has gone with it
            raise Conflict(STOPPED)
        try:
            os.write(gate, _GO)
        except BrokenPipeError:
            raise Conflict(STOPPED) from None
        finally:
            os.close(gate)
        directory.close_gate()  # after the word: were we killed in between, a program that never heard it would count as running
        _read_verdict(verdict, record)
    finally:
        os.close(verdict)


def _read_verdict(verdict: int, record: State) -> None:
    """Nothing but the end means success; also when the process was killed meanwhile."""
    from .process import MESSAGE

    _wait(verdict)
    data = os.read(verdict, MESSAGE.size)
    if len(data) == MESSAGE.size:
        _, operation, error, *_ = MESSAGE.unpack(data)
        place = operation - record.gate_index - 1
        attempt = record.sentences[place] if 0 <= place < len(record.sentences) else "start the program"
        from .failures import hook_failure

        raise StartFailed(hook_failure(attempt, error))


def dismiss(directory: Directory) -> None:
    """Tell a process to go whose number nobody has written down: a killed `create` may have left it."""
    try:
        verdict = os.open(directory.verdict, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        gate = directory.open_gate()
        if gate is None:
            return
        try:
            os.write(gate, _LEAVE)
        except BrokenPipeError:
            return  # it has ended since we looked
        finally:
            os.close(gate)
        _wait(verdict, _SECONDS_TO_LEAVE)
    finally:
        os.close(verdict)


def _wait(descriptor: int, seconds: float | None = None) -> None:
    from select import poll

    waiting = poll()
    waiting.register(descriptor)
    waiting.poll(None if seconds is None else seconds * 1000)
