"""Workers whose memory is there before their command comes, and is put back to what it was after it.

Owns: the zygote, the spare workers, and handing one a command. Leaves to others: becoming the command (worker), when there shall be
one more (server), the memory (native/zygote.c, which draws the processes).

    server ---- a socket ----> zygote    forks a keeper, whose worker waits at that socket
      | <----------------------------------- its number, its keeper's ---------- |
      | ---- descriptors, facts -----------------------------------------------> |  becomes the command, ends
      | <----------------------------------- the next one's number ------------- |  with the same memory, as it was

They hold nothing of any caller's, and are in the server's own cgroup: they serve callers there, so that memory is charged where it
was without them. A worker's end is quick: nobody who waits for it waits for the memory.
"""

from __future__ import annotations

import _signal
import _socket
import os
import select
import sys
import time
from struct import Struct

from .._native import lib
from ..frozen import Archive
from . import adopt, request
from .caller import TAKEN_ON, Facts, Peer, parse_status, state_of
from .worker import become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

MOST = 16  # memories
SOON_MS = 5  # so long somebody waits for one that is about to be ready: a fork takes as long
LOST_SECONDS = 1.0  # so long one is waited for that isn't
SURPLUS_SECONDS = 1.0  # so long more than one is kept
_READY = Struct("=ii")  # process ids of a worker and of its keeper
_LENGTH_MAX = 65536
_ALL = (1 << 31) - 1


class Spare:
    """The server's end of one memory, whose workers follow each other."""

    def __init__(self, socket: _socket.socket) -> None:
        self.socket = socket
        self.worker = 0  # which waits; 0: none does
        self.keeper = 0  # 0: not known yet, or it has ended
        self.was_ready = False
        self.awaited_since: float | None = time.monotonic()  # None: it waits, or runs a command

    @property
    def is_awaited(self) -> bool:
        """Is its next worker on its way? One that was stopped isn't any more."""
        return self.awaited_since is not None and time.monotonic() - self.awaited_since < LOST_SECONDS

    def hear(self) -> bool:
        """Learn that there is a worker. False: there is none any more, nor will be."""
        try:
            content = self.socket.recv(_READY.size, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if len(content) != _READY.size:
            return False
        self.worker, self.keeper = _READY.unpack(content)
        self.was_ready = True
        self.awaited_since = None
        return True

    def begin(self, descriptors: list[int], facts: Facts) -> int:
        """Hand its worker a command, to be run in the cgroup where it is. Give the worker's process id.

        Raises OSError when it can't be: then nothing has been done, and they end.
        """
        stopped, worker, self.worker = 0, self.worker, 0
        try:
            # Its number is its own as long as nobody has waited for it. ECHILD: it has ended, and may be a stranger's by now.
            if os.waitid(os.P_PID, worker, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                raise ProcessLookupError
            state = state_of(worker)
            if state in (b"T", b"t"):
                stopped = worker
            if state not in (b"S", b"R"):  # killed: nobody would take the message, or the next one would
                raise ProcessLookupError
            content = b"".join(b"%s:\t%s\n" % (name, facts.status[name]) for name in TAKEN_ON)
            _send(self.socket, content, descriptors)
            return worker
        except OSError:
            if stopped:  # our child, for which nobody has waited
                os.kill(stopped, _signal.SIGKILL)
            self.kill()
            raise

    def kill(self) -> None:
        """End its keeper, which is our child: its number is its own until we have waited for it (`Spares.has_ended`)."""
        if self.keeper:
            os.kill(self.keeper, _signal.SIGKILL)


class Spares:
    """The server's zygote and memories; `poll` learns of their descriptors."""

    def __init__(self, poll: select.poll) -> None:
        self.poll = poll
        self.zygote = _Zygote()
        self.found: dict[int, Spare] = {}  # by their socket's descriptor
        self.surplus_since: float | None = None
        self.has_been_of_use = False

    def descriptors(self) -> list[int]:
        """Give all that are held for them."""
        return [self.zygote.socket.fileno(), *self.found]

    def ready(self) -> list[Spare]:
        """Give those whose workers wait."""
        return [spare for spare in self.found.values() if spare.worker]

    def soon(self) -> int:
        """Give the descriptor of one that is about to be ready, as soon as it is; -1 when none is."""
        descriptor = next((number for number, spare in self.found.items() if spare.is_awaited), -1)
        if descriptor >= 0:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(SOON_MS):
                return -1
        return descriptor

    def hear(self, descriptor: int) -> Spare:
        """Something has come from one: its worker waits, or it has been lost, and is dropped."""
        spare = self.found[descriptor]
        if not spare.hear():
            self.drop(spare)
        self.has_been_of_use = self.has_been_of_use or spare.was_ready
        return spare

    def want(self, commands: int) -> None:
        """Let there be one more for so many commands, unless one waits or there are enough.

        Raises OSError when no descriptor is left for it.
        """
        awaited = sum(spare.is_awaited for spare in self.found.values())
        if len(self.found) >= MOST or awaited >= max(1, commands) or self.ready():
            return
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        try:
            _send(self.zygote.socket, b"\0", [theirs.fileno()])
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.found[ours.fileno()] = Spare(ours)
        self.poll.register(ours.fileno(), select.POLLIN)

    def has_ended(self, pid: int) -> bool:
        """Say whether this was a keeper that had a worker; it is dropped, and its number is nobody's from now on."""
        spare = next((spare for spare in self.found.values() if spare.keeper == pid), None)
        if spare is None:
            return False
        spare.keeper = 0
        self.drop(spare)
        return True

    def drop(self, spare: Spare) -> None:
        """Let one end. Safe to repeat."""
        spare.worker, spare.awaited_since = 0, None
        if self.found.pop(spare.socket.fileno(), None):
            self.poll.unregister(spare.socket.fileno())
            spare.socket.close()

    def drop_surplus(self) -> float:
        """Keep one of those that have waited for a second: a crowd has left. Give the seconds until the next look; 0: none."""
        surplus, now = self.ready()[1:], time.monotonic()
        if not surplus:
            self.surplus_since = None
            return 0
        self.surplus_since = self.surplus_since or now
        left = self.surplus_since + SURPLUS_SECONDS - now
        if left > 0:
            return left
        for spare in surplus:
            self.drop(spare)
        return 0

    def close(self) -> None:
        """Let all of them end, each when its command has ended."""
        for spare in list(self.found.values()):
            self.drop(spare)
        self.zygote.socket.close()


class _Zygote:
    """The server's end of it. Raises OSError when no process or no descriptor is left for one."""

    def __init__(self) -> None:
        parent = os.getpid()
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        lib.mr_name_zygote(True)
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _wait(theirs, parent)
        except OSError:
            ours.close()
            raise
        finally:
            lib.mr_name_zygote(False)
            theirs.close()
        self.socket = ours


def _wait(socket: _socket.socket, parent: int) -> NoReturn:
    """Be the zygote; and then, in each of its workers, wait for a command, until the server has closed its end."""
    try:
        _signal.set_wakeup_fd(-1)
        for number in (_signal.SIGCHLD, _signal.SIGTERM):
            _signal.signal(number, _signal.SIG_DFL)
        _end_with(parent)
        _keep_only(socket.fileno())
        adopt.remember_settings()
        adopt.make_streams()
        keeper = lib.mr_zygote(socket.fileno())
        if keeper < 0:
            os._exit(1)
        _end_with(parent)
        socket.send(_READY.pack(os.getpid(), keeper), _socket.MSG_NOSIGNAL)
        content, descriptors = _receive(socket)
        if not descriptors:
            os._exit(0)
        lib.mr_name_zygote(False)
        status = parse_status(content)
        connection, *asked = descriptors
        facts = Facts(equal=(), rights=(), cgroup=b"", status=status)
        highest = max(*descriptors, socket.fileno())
        command = request.read(asked)
    except BaseException:
        os._exit(1)  # the server says COLD when there is a token left
    become(command, request.socket_of(connection), Peer(pid=int(status[b"Pid"]), pidfd=-1), facts, parent, highest)


def _end_with(parent: int) -> None:
    if lib.mr_end_with_parent(parent) < 0:
        os._exit(0)


def _keep_only(descriptor: int) -> None:
    """Close all others but the standard ones, which are nobody's, and that of the modules."""
    kept = [descriptor, *(finder.descriptor for finder in sys.meta_path if isinstance(finder, Archive))]
    begin = 3
    for number in sorted(kept):
        if number > begin:
            os.closerange(begin, number)
        begin = max(begin, number + 1)
    os.closerange(begin, _ALL)


def _send(socket: _socket.socket, content: bytes, descriptors: list[int]) -> None:
    """Send a message, or raise OSError."""
    ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, b"".join(map(request.FD.pack, descriptors)))]
    socket.sendmsg([content], ancillary, _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT)


def _receive(socket: _socket.socket) -> tuple[bytes, list[int]]:
    """Give what the server sends; nothing at its end. Raises OSError when not all of its descriptors could be taken."""
    space = _socket.CMSG_SPACE(request.FD.size * (1 + request.SENT))
    content, ancillary, flags, _ = socket.recvmsg(_LENGTH_MAX, space, _socket.MSG_CMSG_CLOEXEC)
    if flags & (_socket.MSG_CTRUNC | _socket.MSG_TRUNC):
        raise OSError("a message in part")
    found: list[int] = []
    for _, _, data in ancillary:
        found += (number for (number,) in request.FD.iter_unpack(data))
    return content, found
