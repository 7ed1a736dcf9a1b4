"""Who asks: is it a process that could do everything itself, and would see the same system?

Owns: the facts that must be equal to the preloaded process's own. Leaves to others: what a worker can take on (adopt).
Everything is read from the kernel, of the process that the socket names (SO_PEERCRED, unix(7)), whose pidfd says afterwards that it
still was that one. What the caller says of itself is believed only then: who has all our rights can do by itself what it asks.
"""

from __future__ import annotations

import _signal
import _socket
import os

from ..light import suppress
from ..record import Record
from .request import Rejected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SO_PEERPIDFD = 77  # asm-generic/socket.h, Linux 6.5; not in Python's socket module yet
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "time", "time_for_children", "user", "uts")
# Lines of /proc/PID/status that must be equal, where the kernel has them: identity, capabilities, what may be asked of the kernel,
# who follows each call (strace -f shall see the command), memory nodes (processors can be taken on). proc_pid_status(5)
EQUAL = (
    *(
        "Uid",
        "Gid",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
        "Seccomp_filters",
        "TracerPid",
    ),
    *("Speculation_Store_Bypass", "SpeculationIndirectBranch", "Mems_allowed", "THP_enabled", "untag_mask"),
)
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


def facts_of(process: int | str) -> Facts:
    """Read the facts of a process ("self": ours). Raises OSError when it has gone or hides something."""
    status = _status(process)
    rights = rights_of(status)
    unified, others = b"", []
    for line in _content(process, "cgroup").splitlines():
        if line.startswith(_UNIFIED):
            unified = line[len(_UNIFIED) :]
        else:
            others.append(line)
    return Facts(
        equal=(
            tuple(os.readlink(f"/proc/{process}/ns/{kind}") for kind in NAMESPACES),
            _root(process),
            rights,
            tuple(others),  # hierarchies of version 1: going from one to another costs more than a cold start
            _label(process),
            _content(process, "personality"),
        ),
        rights=rights,
        cgroup=unified,
        status=status,
    )


def rights_of(status: Mapping[bytes, bytes]) -> tuple[bytes | None, ...]:
    return tuple(status.get(name.encode()) for name in EQUAL)


def is_like_init(ours: Facts) -> bool:
    """Say whether this process has the identity and all the rights that process 1 gives to what it starts."""
    status = _status(1)
    limited = {b"CapPrm": status[b"CapBnd"], b"CapEff": status[b"CapBnd"]}  # it may keep more than it leaves to others
    return rights_of({**status, **limited}) == ours.rights and _content("self", "personality").strip(b"0\n") == b""


def _content(process: int | str, name: str) -> bytes:
    descriptor = os.open(f"/proc/{process}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 65536)
    finally:
        os.close(descriptor)


def _status(process: int | str) -> dict[bytes, bytes]:
    return parse_status(_content(process, "status"))


def parse_status(text: bytes) -> dict[bytes, bytes]:
    """Give what the lines of /proc/PID/status say, by their names. proc_pid_status(5)"""
    lines = (line.partition(b":\t") for line in text.splitlines())
    return {name: value for name, _, value in lines}


def _root(process: int | str) -> tuple[int, int, bytes]:
    """Tell a root directory by its inode and by its mount: one that is bound to another place has other mounts below it."""
    descriptor = os.open(f"/proc/{process}/root", os.O_PATH | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        mount = _content("self", f"fdinfo/{descriptor}").partition(b"mnt_id:")[2].split()[0]
    finally:
        os.close(descriptor)
    return status.st_dev, status.st_ino, mount


def _label(process: int | str) -> bytes:
    """Give the label of a security module, empty where there is none. proc_pid_attr(5)"""
    with suppress(OSError):
        return _content(process, "attr/current")
    return b""


def check(peer: Peer, ours: Facts) -> Facts:
    """Give a caller's facts; Rejected when they aren't equal to ours, OSError when it has gone."""
    theirs = facts_of(peer.pid)
    _signal.pidfd_send_signal(
        peer.pidfd, 0
    )  # ProcessLookupError: what was read may be of another process with its number
    if theirs.equal != ours.equal:
        raise Rejected("another view of the system, or other rights")
    return theirs
