"""Waiting for monitors that are children of this process, so that none stays behind as a zombie.

Owns: the list of monitors that outlived their connection. A command ends before its monitor and never needs it; a library
that starts containers in the background for hours does. Leaves to others: containers, which are the monitor's children.
"""

from __future__ import annotations

import os

# Process ids of children; a process id stays ours until we have waited for it. After a fork they aren't the new process's children,
# which waitpid says then.
_children: list[int] = []


def later(pid: int) -> None:
    """Note a monitor that goes on without us; it is reaped by a later call of `sweep`."""
    _children.append(pid)
    sweep()


def soon(pid: int) -> None:
    """Reap a monitor that is about to leave; one that takes its time is noted for later."""
    import select

    descriptor = -1
    try:
        descriptor = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(100)
    except OSError:
        pass  # no descriptor left, or it isn't there: sweep finds out
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    later(pid)


def sweep() -> None:
    """Reap those that have ended. Never blocks."""
    for pid in _children[:]:
        try:
            ended = os.waitpid(pid, os.WNOHANG)[0] == pid
        except ChildProcessError:
            ended = True
        if ended:
            _children.remove(pid)
