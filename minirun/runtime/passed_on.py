"""Descriptors of the caller that a container's program gets: `--preserve-fds`, and sockets of the service manager.

Owns: which they are, and what the program is told of them. Leaves to others: the way into the container (process, native/).

Descriptors from 3 on: first those that $LISTEN_FDS counts, then as many as the option says. sd_listen_fds(3) wants $LISTEN_PID
to be the process id of who is meant. For us it is ours (or isn't there); for the program it is 1, as with runc.
"""

from __future__ import annotations

import os

from ..errors import InvalidInput

_FIRST = 3
_MOST = 250  # native/launch.c


def listening() -> int:
    """Give how many sockets the service manager has handed to us."""
    count, receiver = os.environ.get("LISTEN_FDS", ""), os.environ.get("LISTEN_PID", "")
    if not (count.isascii() and count.isdecimal()) or receiver not in ("", str(os.getpid())):
        return 0
    return min(int(count[:6]), _MOST)


def variables(sockets: int) -> tuple[str, ...]:
    """Give what the program is told of its sockets."""
    return (f"LISTEN_FDS={sockets}", "LISTEN_PID=1") if sockets else ()


def check(count: int) -> int:
    """Give `count`; InvalidInput unless that many descriptors came from our caller. Ours are all close-on-exec."""
    import fcntl

    if count > _MOST:
        raise InvalidInput(f"unable to preserve {count} descriptors: {_MOST} is the limit")
    for descriptor in range(_FIRST, _FIRST + count):
        try:
            is_ours = bool(fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC)
        except OSError:
            is_ours = True
        if is_ours:
            raise InvalidInput(f"unable to preserve {count} descriptors: number {descriptor} isn't open")
    return count
