"""Making a process by a plan: the talk with `minirun-spawn`, which native/spawner.c draws.

Owns: starting that program, its messages, its end. Leaves to others: the plan (compile/), what the owner does at a stage
(container), whose child the new process becomes afterwards: an orphan goes to the nearest subreaper.
"""

from __future__ import annotations

import _socket
import os
from struct import Struct

from .._native import lib
from ..errors import StartFailed
from ..light import suppress
from ..linux import syscalls
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..linux.plan import Plan

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "minirun-spawn")
NO_OPERATION = 0xFFFFFFFF
_SIGKILL = 9
MESSAGE = Struct("=IIiiQQ")  # struct mr_message: kind operation error pid value time


class Spawned(Record):
    """A new process; `terminal` (pty master) and `listener` (seccomp notifications) are descriptors of ours, or -1."""

    pid: int
    terminal: int = -1
    listener: int = -1


class SpawnFailed(StartFailed):
    """A plan that failed: at which operation (None: no operation's fault), and why."""

    def __init__(self, operation_index: int | None, number: int) -> None:
        super().__init__(f"make the process: {syscalls.reason(number)}")
        self.operation_index = operation_index
        self.errno = number


def spawn(plan: Plan, *, preserved: int = 0, stages: Mapping[int, Callable[[int], None]] | None = None) -> Spawned:
    """Walk a plan and give the process it makes, which has our stdin, stdout and stderr and nothing else of ours.

    Of our descriptors those from 3 on, `preserved` many, go along under their numbers (passed_on.check says whether they may).
    `stages` says what is to be done at each STAGE of the plan, with the process id; what it raises ends the start and is
    raised here. Raises SpawnFailed; then nothing is left of the process. Blocks; KeyboardInterrupt ends it.
    """
    plan_fd = syscalls.memory_file("minirun-plan", plan.encode())
    try:
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        try:
            pid = _launch(plan_fd, theirs.fileno(), preserved)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
    finally:
        os.close(plan_fd)
    try:
        return _listen(ours, stages or {})
    except KeyboardInterrupt:  # who waits for what a container holds up hears nothing else
        os.kill(pid, _SIGKILL)
        raise
    finally:
        ours.close()
        os.waitpid(pid, 0)


def _launch(plan_fd: int, socket_fd: int, preserved: int) -> int:
    descriptors = {number: number for number in range(3, 3 + preserved)}
    descriptors[3 + preserved] = socket_fd
    descriptors[4 + preserved] = plan_fd
    # Who gets hold of it through /proc/PID/exe can't write to the file (CVE-2019-5736).
    program = syscalls.read_only_executable(PROGRAM)
    try:
        return syscalls.spawn(program, ("minirun-spawn", str(preserved)), (), descriptors)
    finally:
        os.close(program)


def _listen(socket: _socket.socket, stages: Mapping[int, Callable[[int], None]]) -> Spawned:
    listener = -1
    try:
        while True:
            data, descriptor = _receive(socket)
            if not data:
                raise SpawnFailed(None, _ECONNRESET)
            kind, operation, error, pid, value, _ = MESSAGE.unpack(data)
            if kind == lib.MR_MSG_STAGE:
                stages[value](pid)
                _answer(socket, data)
            elif kind == lib.MR_MSG_LISTENER:
                listener = descriptor
            elif kind == lib.MR_MSG_FAILED:
                raise SpawnFailed(None if operation == NO_OPERATION else operation, error)
            elif kind == lib.MR_MSG_STARTED:
                return Spawned(pid=pid, terminal=descriptor, listener=listener)
    except BaseException:
        if listener >= 0:
            os.close(listener)
        raise


_ECONNRESET = 104


def _answer(socket: _socket.socket, data: bytes) -> None:
    """Let the start go on. Who was killed meanwhile hears nothing: that there is no next message says so."""
    with suppress(BrokenPipeError, ConnectionResetError):
        socket.sendmsg([data], [], _socket.MSG_NOSIGNAL)


def _receive(socket: _socket.socket) -> tuple[bytes, int]:
    """Give a message (b"": the other end is gone) and the descriptor that came with it, or -1."""
    try:
        data, ancillary, _, _ = socket.recvmsg(MESSAGE.size, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return b"", -1
    for _level, _type, content in ancillary:
        return data, int.from_bytes(content[:4], "little")
    return data, -1
