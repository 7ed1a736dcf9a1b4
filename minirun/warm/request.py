"""What the launcher sends, and what it is answered: native/launcher.c draws the talk and has the same numbers.

Owns: the bytes. Leaves to others: believing them (caller), acting on them (adopt, server).
A request is a memfd with everything that isn't a descriptor. With it come the token (an eventfd: who reads it runs the command) and
a socket, from which the worker fetches the working directory and the caller's descriptors, whose numbers the memfd has.
"""

from __future__ import annotations

import _socket
import os
from struct import Struct
from struct import error as StructError

from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1
SEEN, COLD, ACCEPTED, STOPPED, EXITED = range(1, 6)
ANSWER = Struct("=Ii")
HEAD = Struct("=IIIIQQ")  # version, arguments, variables, descriptors, blocked signals, has a controlling terminal
SENT = 3
DESCRIPTORS_MAX = 250
LENGTH_MAX = 64 << 20  # execve(2) refuses more than a quarter of the stack limit: 6 MiB by default
NUMBER_MAX = 1 << 20  # of a descriptor: fs.nr_open's default, proc_sys_fs(5)
FD = Struct("=i")


class Rejected(Exception):
    """The command is to be run by the caller itself: what was asked can't be done, or not exactly."""


class Request(Record):
    """One command of one caller."""

    home: bytes  # the directory of the launcher and its interpreter
    path: bytes  # by which it was called: argv[0] of a script
    program: bytes
    words: tuple[bytes, ...]
    environment: bytes  # strings, each with its NUL
    variable_count: int
    blocked: int  # signals: bit n - 1 for signal n
    has_terminal: bool  # a controlling one
    numbers: tuple[int, ...]  # of the caller's descriptors
    token: int
    pair: int


def socket_of(descriptor: int) -> _socket.socket:
    """Give the socket of a descriptor without a look at it: where it is none of this kind, its use raises OSError."""
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, descriptor)


def answer(socket: _socket.socket, kind: int, value: int = 0, descriptor: int = -1) -> None:
    """Tell the launcher. Raises OSError when it has gone, or doesn't read: BlockingIOError."""
    ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, FD.pack(descriptor))] if descriptor >= 0 else []
    socket.sendmsg([ANSWER.pack(kind, value)], ancillary, _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT)


def receive(socket: _socket.socket, count: int) -> list[int]:
    """Give the descriptors of a message, which are ours to close; none when it isn't one of our version with `count` of them.

    Raises BlockingIOError when nothing has come yet.
    """
    space = _socket.CMSG_SPACE(FD.size * (1 + DESCRIPTORS_MAX))
    data, ancillary, flags, _ = socket.recvmsg(2, space, _socket.MSG_CMSG_CLOEXEC | _socket.MSG_DONTWAIT)
    found: list[int] = []
    for level, kind, content in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            found += (number for (number,) in FD.iter_unpack(content[: len(content) // FD.size * FD.size]))
    if data == bytes((VERSION,)) and not flags & (_socket.MSG_CTRUNC | _socket.MSG_TRUNC) and len(found) == count:
        return found
    close_all(found)
    return []


def read(descriptors: list[int]) -> Request:
    """Make a request of a message's descriptors. Raises Rejected for whatever the launcher wouldn't send, OSError."""
    file, token, pair = descriptors
    length = os.fstat(file).st_size
    if not HEAD.size <= length <= LENGTH_MAX:
        raise Rejected("its length")
    data = os.pread(file, length, 0)  # a copy: what is looked at can't change any more
    try:
        version, argument_count, variable_count, count, blocked, has_terminal = HEAD.unpack_from(data)
        numbers = Struct(f"={count}I").unpack_from(data, HEAD.size) if count <= DESCRIPTORS_MAX else ()
    except StructError as error:
        raise Rejected("its head") from error
    if version != VERSION or len(set(numbers)) != count or max(numbers, default=0) >= NUMBER_MAX:
        raise Rejected("its head")
    strings = data[HEAD.size + 4 * count :]
    parts = strings.split(b"\0", argument_count + 3)
    if len(parts) != argument_count + 4 or parts[-1].count(b"\0") != variable_count:
        raise Rejected("its strings")
    if parts[-1] and not parts[-1].endswith(b"\0"):
        raise Rejected("its strings")
    home, path, program, *words = parts[:-1]
    return Request(
        home=home,
        path=path,
        program=program,
        words=tuple(words),
        environment=parts[-1],
        variable_count=variable_count,
        blocked=blocked,
        has_terminal=bool(has_terminal),
        numbers=numbers,
        token=token,
        pair=pair,
    )


def close_all(descriptors: Iterable[int]) -> None:
    """Let go of what came with a message."""
    for descriptor in descriptors:
        os.close(descriptor)
