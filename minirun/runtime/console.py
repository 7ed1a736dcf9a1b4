"""Descriptors that the runtime hands to its caller: a terminal's master, a process, notifications of a filter.

Owns: the sockets by which they go. Leaves to others: making them (native/), what the caller does with them.
"""

from __future__ import annotations

import _socket

from ..errors import MinirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def send(path: str, content: bytes, descriptors: Sequence[int], what: str) -> None:
    """Connect to the Unix socket at `path` and send `content` with `descriptors`. MinirunError says what went wrong.

    The path may be longer than a socket address takes (108 bytes): then it is reached through its directory.
    """
    import os

    rights = b"".join(number.to_bytes(4, "little") for number in descriptors)
    directory = -1
    try:
        socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            if len(os.fsencode(path)) > 107:
                directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                path = f"/proc/self/fd/{directory}/{os.path.basename(path)}"
            socket.connect(path)
            socket.sendmsg([content], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)], _socket.MSG_NOSIGNAL)
        finally:
            socket.close()
    except OSError as error:
        raise MinirunError(f"send the {what} to {path}: {error.strerror}") from error
    finally:
        if directory >= 0:
            os.close(directory)
