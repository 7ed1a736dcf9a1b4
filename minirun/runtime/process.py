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
    from types import TracebackType

    from ..linux.plan import Plan

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "minirun-spawn")
NO_OPERATION = 0xFFFFFFFF
_SIGKILL = 9
MESSAGE = Struct("=IIiiQQ")  # struct mr_message: kind operation error pid value time


class Spawned(Record):
    """A new process; `terminal` is a descriptor of ours (pty master), or -1."""

    pid: int
    terminal: int = -1


class SpawnFailed(StartFailed):
    """A plan that failed: at which operation (None: no operation's fault), and why."""

    def __init__(self, operation_index: int | None, number: int) -> None:
        super().__init__(f"make the process: {syscalls.reason(number)}")
        self.operation_index = operation_index
        self.errno = number


class Maker:
    """A `minirun-spawn`, started before there is a plan: its birth takes about as long as making one, and happens on another
    processor meanwhile.

        with Maker(preserved=0, namespaces=CLONE_NEWNET) as maker:
            spawned = maker.make(plan)

    Of our descriptors those from 3 on, `preserved` many, go along under their numbers (passed_on.check says whether they may).
    `namespaces` is what it makes for the plan's CLONE while it waits: CLONE_NEWNET, or 0. Without a plan it ends, and nothing
    is left. The process that it makes is its child until it has ended: `reap` waits for it.
    """

    def __init__(self, *, preserved: int = 0, namespaces: int = 0) -> None:
        self._program = -1
        self._socket, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        try:
            # Before its birth: whom a message wakes would wait for our processor, as if we were about to sleep.
            self._send(lib.MR_MSG_AHEAD, namespaces)
            # Who gets hold of it through /proc/PID/exe can't write to the file (CVE-2019-5736).
            self._program = syscalls.read_only_executable(PROGRAM)
            descriptors = {number: number for number in range(3, 3 + preserved)}
            descriptors[3 + preserved] = theirs.fileno()
            pid = syscalls.spawn(self._program, ("minirun-spawn", str(preserved)), (), descriptors)
        except BaseException:
            self.close()
            raise
        finally:
            theirs.close()
        self._pid = pid
        _makers.append(pid)

    def make(
        self,
        plan: Plan,
        *,
        stages: Mapping[int, Callable[[int], None]] | None = None,
        listener: Callable[[int, int], None] | None = None,
    ) -> Spawned:
        """Have it walk the plan and give the process that it makes: it has our stdin, stdout and stderr and nothing else of ours.

        `stages` says what is to be done at each STAGE of the plan, with the process id; what it raises ends the start and is
        raised here. So does `listener`, with the process id and the descriptor of seccomp's notifications, which stays ours: on
        whoever holds it waits what the process does next. Raises SpawnFailed; then nothing is left of the process. Blocks;
        KeyboardInterrupt ends it.
        """
        plan_fd = syscalls.memory_file("minirun-plan", plan.encode())
        try:
            self._send(lib.MR_MSG_PLAN, 0, plan_fd)
        except (BrokenPipeError, ConnectionResetError) as error:  # which of them depends on whether it has read AHEAD
            raise SpawnFailed(None, _ECONNRESET) from error
        finally:
            os.close(plan_fd)
        return self._listen(stages or {}, listener)

    def _send(self, kind: int, value: int, descriptor: int = -1) -> None:
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptor.to_bytes(4, "little"))] if descriptor >= 0 else []
        self._socket.sendmsg([MESSAGE.pack(kind, 0, 0, 0, value, 0)], rights, _socket.MSG_NOSIGNAL)

    def _listen(
        self, stages: Mapping[int, Callable[[int], None]], listener: Callable[[int, int], None] | None
    ) -> Spawned:
        """Hear what comes of it. To close the program's descriptor takes an RCU grace period: while the other one is at work."""
        if not stages:
            self._close_program()
        while True:
            data, descriptor = _receive(self._socket)
            if not data:
                raise SpawnFailed(None, _ECONNRESET)
            kind, operation, error, pid, value, _ = MESSAGE.unpack(data)
            if kind == lib.MR_MSG_STAGE:
                stages[value](pid)
                _answer(self._socket, data)
                self._close_program()
            elif kind == lib.MR_MSG_LISTENER:
                try:
                    if listener is not None:
                        listener(pid, descriptor)
                finally:
                    os.close(descriptor)
                _answer(self._socket, data)
            elif kind == lib.MR_MSG_FAILED:
                raise SpawnFailed(None if operation == NO_OPERATION else operation, error)
            elif kind == lib.MR_MSG_STARTED:
                return Spawned(pid=pid, terminal=descriptor)

    def _close_program(self) -> None:
        program, self._program = self._program, -1
        if program >= 0:
            os.close(program)

    def close(self) -> None:
        """Hang up: it ends, with what it was about to make. Safe to repeat."""
        self._socket.close()
        self._close_program()

    def __enter__(self) -> Maker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Who waits for what a container holds up hears nothing else; and what has its plan would go on to the end.
        if isinstance(error, KeyboardInterrupt):
            os.kill(self._pid, _SIGKILL)
        self.close()
        if error is not None:
            reap()


def reap() -> None:
    """Wait for whoever has made processes here. Its end takes RCU grace periods, for which only what needs its end has to wait."""
    while _makers:
        os.waitpid(_makers.pop(), 0)


_makers: list[int] = []


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
