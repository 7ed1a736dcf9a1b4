"""Who asks: is it a process that could do everything itself, and would see the same system?

Owns: the facts that must be equal to the preloaded process's own. Leaves to others: what a worker can take on (adopt).
Everything is read from the kernel, of the process that the socket names (SO_PEERCRED, unix(7)), whose pidfd says afterwards that it
still was that one. What the caller says of itself is believed only then: who has all our rights can do by itself what it asks.
"""

from __future__ import annotations

import _signal
import _socket
import os

from .._native import ffi, lib
from ..record import Record
from .request import Rejected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SO_PEERPIDFD = 77  # asm-generic/socket.h, Linux 6.5; not in Python's socket module yet
# Lines of /proc/PID/status that must be equal, where the kernel has them: identity, capabilities, what may be asked of the kernel,
# who follows each call (strace -f shall see the command), memory nodes (processors can be taken on). proc_pid_status(5)
EQUAL = (
    *(
        b"Uid",
        b"Gid",
        b"CapInh",
        b"CapPrm",
        b"CapEff",
        b"CapBnd",
        b"CapAmb",
        b"NoNewPrivs",
        b"Seccomp",
        b"Seccomp_filters",
        b"TracerPid",
    ),
    *(b"Speculation_Store_Bypass", b"SpeculationIndirectBranch", b"Mems_allowed", b"THP_enabled", b"untag_mask"),
)
TAKEN_ON = (b"Pid", b"Umask", b"SigIgn", b"Groups")  # lines that a worker needs (adopt)
_NAMES = b"".join(name + b"\n" for name in (*EQUAL, *TAKEN_ON))
_room = ffi.new("char[]", 1 << 16)
_PEER = 12  # struct ucred: pid, uid, gid
_UNIFIED = b"0::"


class Facts(Record):
    """What one process sees and may."""

    equal: tuple[object, ...]
    rights: tuple[bytes | None, ...]  # those of `equal` that anybody may see
    cgroup: bytes  # its path in the cgroup v2 hierarchy
    status: Mapping[bytes, bytes]


class Peer(Record):
    """The process at the other end of a connection; `pidfd` is ours to close."""

    pid: int
    pidfd: int


def peer_of(socket: _socket.socket) -> Peer:
    """Give the process that connected. Raises OSError when it has ended, Rejected when it isn't root's."""
    content = socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _PEER)
    pid, uid = int.from_bytes(content[:4], "little"), int.from_bytes(content[4:8], "little")
    if uid != 0 or pid <= 0:
        raise Rejected("its user")
    try:
        pidfd = int.from_bytes(socket.getsockopt(_socket.SOL_SOCKET, SO_PEERPIDFD, 4), "little")
    except OSError:  # older than 6.5: between its connection and now, another process may have got its number
        pidfd = os.pidfd_open(pid)
    return Peer(pid=pid, pidfd=pidfd)


def facts_of(pid: int) -> Facts:
    """Read the facts of a process. Raises OSError when it has gone or hides something."""
    length = lib.mr_facts(pid, _NAMES, _room, len(_room))
    if length < 0:
        raise OSError(-length, os.strerror(-length), f"/proc/{pid}")
    text, cgroups, personality, root, label, *namespaces = _items(bytes(ffi.buffer(_room, length)))
    status = parse_status(text)
    rights = rights_of(status)
    unified, others = b"", []
    for line in cgroups.splitlines():
        if line.startswith(_UNIFIED):
            unified = line[len(_UNIFIED) :]
        else:
            others.append(line)
    return Facts(
        # hierarchies of version 1: going from one to another costs more than a cold start
        equal=(*namespaces, root, rights, tuple(others), label, personality),
        rights=rights,
        cgroup=unified,
        status=status,
    )


def own_facts() -> Facts:
    """Read our own: by the link, as /proc may be another pid namespace's, in which our number is somebody else's."""
    return facts_of(int(os.readlink("/proc/self")))


def _items(content: bytes) -> list[bytes]:
    """Take apart what mr_facts gives."""
    items, at = [], 0
    while at < len(content):
        end = at + 4 + int.from_bytes(content[at : at + 4], "little")
        items.append(content[at + 4 : end])
        at = end
    return items


def rights_of(status: Mapping[bytes, bytes]) -> tuple[bytes | None, ...]:
    return tuple(map(status.get, EQUAL))


def is_like_init(ours: Facts) -> bool:
    """Say whether this process has the identity and all the rights that process 1 gives to what it starts."""
    status = parse_status(_content(1, "status"))
    limited = {b"CapPrm": status[b"CapBnd"], b"CapEff": status[b"CapBnd"]}  # it may keep more than it leaves to others
    return rights_of({**status, **limited}) == ours.rights and _content("self", "personality").strip(b"0\n") == b""


def _content(process: int | str, name: str) -> bytes:
    with open(f"/proc/{process}/{name}", "rb") as file:
        return file.read()


def parse_status(text: bytes) -> dict[bytes, bytes]:
    """Give what the lines of /proc/PID/status say, by their names. proc_pid_status(5)"""
    lines = (line.partition(b":\t") for line in text.splitlines())
    return {name: value for name, _, value in lines}


def state_of(pid: int) -> bytes:
    """Give the letter of a process's state, empty when it has gone. proc_pid_stat(5)"""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        text = os.read(descriptor, 512)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
    return text[text.rindex(b")") + 2 :][:1]


def check(peer: Peer, ours: Facts) -> Facts:
    """Give a caller's facts; Rejected when they aren't equal to ours, OSError when it has gone."""
    theirs = facts_of(peer.pid)
    _signal.pidfd_send_signal(
        peer.pidfd, 0
    )  # ProcessLookupError: what was read may be of another process with its number
    if theirs.equal != ours.equal:
        raise Rejected("another view of the system, or other rights")
    return theirs
