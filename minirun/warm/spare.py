"""A worker that is forked before its command comes: while nobody waits, it does what every command begins with.

Owns: the spare process, and handing it a command. Leaves to others: becoming the command (worker), when to fork one (server), which
pages it makes its own (native/ahead.c).

    server ------- fork -----------> spare     closes all that is the server's, takes its pages, waits
      | ---- descriptors, facts ----> | ----- clone, same memory ----> worker   in the caller's cgroup
      | <----------------------------------------- its number -------- |
      | ------------------------------------------ go on ------------> |        becomes the command, ends
      |                               | <----------------------------- |
      |                               gives the memory back, ends

It holds nothing of any caller's, and is in the server's own cgroup. The worker's end is quick: nobody who waits for it
waits for the memory.
"""

from __future__ import annotations

import _signal
import _socket
import os
import select
import sys

from .._native import lib
from ..frozen import Archive
from . import request
from .caller import Facts, Peer, parse_status
from .worker import become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

STEP_MS = 50  # so long a spare may take to be the worker
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

    def begin(self, descriptors: list[int], facts: Facts, cgroup: int) -> int:
        """Hand it a command, to be run in the cgroup of a descriptor, -1: where it is. Give the worker's process id.

        Raises OSError when it can't be: then nothing has been done, and it ends.
        """
        try:
            content = b"".join(b"%s:\t%s\n" % line for line in facts.status.items())
            sent = [*descriptors, *([cgroup] if cgroup >= 0 else [])]
            ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, b"".join(map(request.FD.pack, sent)))]
            self.socket.sendmsg([content], ancillary, _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT)
            poll = select.poll()
            poll.register(self.socket.fileno(), select.POLLIN)
            if not poll.poll(STEP_MS):
                raise TimeoutError
            worker = int.from_bytes(self.socket.recv(8), "little")
            if not worker:
                raise ProcessLookupError
            self.socket.send(b"\1", _socket.MSG_NOSIGNAL)
            return worker
        except OSError:
            os.kill(self.pid, _signal.SIGKILL)  # it is our child, and nobody has waited for it
            raise
        finally:
            self.socket.close()


def _wait(socket: _socket.socket, parent: int) -> NoReturn:
    """Be the spare process: until its command comes, or the server has closed its end."""
    try:
        _signal.set_wakeup_fd(-1)
        for number in (_signal.SIGCHLD, _signal.SIGTERM):
            _signal.signal(number, _signal.SIG_DFL)
        if lib.mr_end_with_parent(parent) < 0:
            os._exit(0)
        _keep_only(socket.fileno())
        lib.mr_pages_touch(socket.fileno())
        content, descriptors = _receive(socket)
        if not descriptors:
            os._exit(0)
        status = parse_status(content)
        connection, *asked, cgroup = descriptors if len(descriptors) > 1 + request.SENT else [*descriptors, -1]
        _step(socket, cgroup)
        facts = Facts(equal=(), rights=(), cgroup=b"", status=status)
        highest = max(*descriptors, socket.fileno())
        command = request.read(asked)
    except BaseException:
        os._exit(1)  # the server says COLD when there is a token left
    become(command, _socket.socket(fileno=connection), Peer(pid=int(status[b"Pid"]), pidfd=-1), facts, parent, highest)


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
    """Give what the server sends; nothing at its end."""
    space = _socket.CMSG_SPACE(request.FD.size * (2 + request.SENT))
    content, ancillary, _, _ = socket.recvmsg(_LENGTH_MAX, space, _socket.MSG_CMSG_CLOEXEC)
    found: list[int] = []
    for _, _, data in ancillary:
        found += (number for (number,) in request.FD.iter_unpack(data))
    return content, found


def _step(socket: _socket.socket, cgroup: int) -> None:
    """Go on as another process, of which the server knows. Raises OSError."""
    result = lib.mr_step(cgroup)
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    socket.send(os.getpid().to_bytes(8, "little"), _socket.MSG_NOSIGNAL)
    if not socket.recv(1):  # it has given up on us
        os._exit(1)
