"""Connecting to a container that runs already: `attach`, `wait`, a second look.

Owns: finding the monitor's socket. Leaves to others: the talk that follows (connection).
"""

from __future__ import annotations

import _socket
import os

from .connection import Connection

__all__ = ["Connection", "connect"]


def connect(run_directory: str) -> Connection:
    """Connect to a container's monitor; FileNotFoundError or ConnectionRefusedError when the container has ended."""
    # by way of the open directory: the name of a socket has 107 bytes at most, that of a directory more (unix(7))
    directory = os.open(run_directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        try:
            socket.connect(f"/proc/self/fd/{directory}/attach.sock")
        except BaseException:
            socket.close()
            raise
    finally:
        os.close(directory)
    return Connection(socket)
