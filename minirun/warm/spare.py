"""A worker that is forked before its command comes: while nobody waits, it does what every command begins with.

Owns: the spare process, and handing it a command. Leaves to others: becoming the command (worker), when to fork one (server), which
pages it makes its own (native/ahead.c).

    server ------- fork -----------> spare     closes all that is the server's, takes its pages
      |                               | ----- clone, same memory ----> worker
      | <----------------------------------------- its number -------- |        waits
      | ---- descriptors, facts -------------------------------------> |        becomes the command, ends
      |                               | <----------------------------- |
      |                               gives the memory back, ends

It holds nothing of any caller's, and is in the server's own cgroup: it serves callers there, so that memory is charged where it was
without it. The worker's end is quick: nobody who waits for it waits for the memory.
"""

from __future__ import annotations

import _signal
import _socket
import os
import select
import sys

from .._native import lib
from ..frozen import Archive
from . import adopt, request
from .caller import TAKEN_ON, Facts, Peer, parse_status, state_of
from .worker import become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

STEP_MS = 50  # so long a spare may take to be the worker
_NUMBER = 8  # bytes of a process id
_HASTE = b"\0"
_LENGTH_MAX = 65536
_ALL = (1 << 31) - 1


class Spare:
    """The server's end. Raises OSError when no process or no descriptor is left for one."""

    def __init__(self) -> None:
        parent = os.getpid()
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        lib.mr_name_spare(True)
        try:
            self.pid = os.fork()
        except OSError:
            ours.close()
            raise
        finally:
            if os.getpid() == parent:
                lib.mr_name_spare(False)
                theirs.close()
        if self.pid == 0:
            _wait(theirs, parent)
        self.socket = ours

    def close(self) -> None:
        """Let it end: nothing will come any more."""
        self.socket.close()

    def begin(self, descriptors: list[int], facts: Facts) -> int:
        """Hand it a command, to be run in the cgroup where it is. Give the worker's process id.

        Raises OSError when it can't be: then nothing has been done, and it ends.
        """
        stopped = 0
        try:
            worker = self._worker()
            # Its number is its own as long as nobody has waited for it. ECHILD: it has ended, and may be a stranger's by now.
            if os.waitid(os.P_PID, worker, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                raise ProcessLookupError
            state = state_of(worker)
            if state in (b"T", b"t"):
                stopped = worker
            if state not in (b"S", b"R"):  # killed: what gives its memory back would take the message, and do nothing
                raise ProcessLookupError
            content = b"".join(b"%s:\t%s\n" % (name, facts.status[name]) for name in TAKEN_ON)
            ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, b"".join(map(request.FD.pack, descriptors)))]
            self.socket.sendmsg([content], ancillary, _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT)
            return worker
        except OSError:
            for pid in filter(None, (stopped, self.pid)):  # they are our children, and nobody has waited for them
                os.kill(pid, _signal.SIGKILL)
            raise
        finally:
            self.socket.close()

    def _worker(self) -> int:
        """Give the number of the process that waits; one that isn't there yet makes haste. Raises OSError."""
        try:
            number = self.socket.recv(_NUMBER, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            self.socket.send(_HASTE, _socket.MSG_NOSIGNAL)
            poll = select.poll()
            poll.register(self.socket.fileno(), select.POLLIN)
            if not poll.poll(STEP_MS):
                raise TimeoutError from None
            number = self.socket.recv(_NUMBER, _socket.MSG_DONTWAIT)
        if not number:
            raise ProcessLookupError
        return int.from_bytes(number, "little")


def _wait(socket: _socket.socket, parent: int) -> NoReturn:
    """Be the spare process: until its command comes, or the server has closed its end."""
    try:
        _signal.set_wakeup_fd(-1)
        for number in (_signal.SIGCHLD, _signal.SIGTERM):
            _signal.signal(number, _signal.SIG_DFL)
        _end_with(parent)
        _keep_only(socket.fileno())
        adopt.remember_settings()
        adopt.make_streams()
        lib.mr_pages_touch(socket.fileno())
        _step()
        _end_with(parent)
        socket.send(os.getpid().to_bytes(_NUMBER, "little"), _socket.MSG_NOSIGNAL)
        content, descriptors = _receive(socket)
        if content == _HASTE:
            content, descriptors = _receive(socket)
        if not descriptors:
            os._exit(0)
        lib.mr_name_spare(False)
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


def _step() -> None:
    """Go on as another process. Raises OSError."""
    result = lib.mr_step()
    if result < 0:
        raise OSError(-result, os.strerror(-result))
