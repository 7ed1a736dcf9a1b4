"""A connection to a container's monitor: what its owner and every later client say to it and hear from it.

Owns: messages, the pipes of an attachment, the foreground pump. Leaves to others: making the connection (launch: the owner;
attach: anybody later), what an end means (engine/session), the terminal's modes (cli). native/minirun.h draws the protocol.

    connection.give_plan(plan)                    the owner
    connection.attach(stdin, stdout, stderr)      once
    connection.wait_started()                     the owner: raises LaunchFailed
    connection.hold(signals)                      from now on `pump` gives them
    connection.pump(0, 1, 2)   or   .wait_exited()
    connection.acknowledge()                      the owner, once it has recorded the exit
    connection.close()
"""

from __future__ import annotations

import _signal
import _socket
import errno
import os

from .._native import ffi, lib
from ..errors import StartFailed
from ..light import suppress
from ..linux.syscalls import memory_file, reason, reason_within
from ..record import Record
from .exits import Exit, Started

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Any

    from ..linux.plan import Plan

DETACH_KEYS = b"\x10\x11"  # ctrl-p ctrl-q
NO_OPERATION = 0xFFFFFFFF


class Trace(Record):
    """One operation of a start that was traced: its place in the plan, how long it took, and its error if it is optional."""

    operation_index: int
    duration_ns: int
    errno: int


class Detached(Record):
    """The user typed the detach keys."""


class Signal(Record):
    """One of the signals that `pump` was asked to catch has arrived."""

    number: int


class LaunchFailed(StartFailed):
    """A start that failed: at which operation of the plan (None: no operation's fault), and why."""

    def __init__(self, operation_index: int | None, number: int) -> None:
        place = "the monitor" if operation_index is None else f"operation {operation_index} of the plan"
        super().__init__(f"start the container: {place}: {reason(number)}")
        self.operation_index = operation_index
        self.errno = number


class Connection:
    """See the module. Not for use by two threads at once, except `resize`, which only sends."""

    def __init__(self, socket: _socket.socket, program: int = -1, *, awaits_plan: bool = False) -> None:
        self.traces: list[Trace] = []
        self._socket = socket
        self._awaits_plan = awaits_plan
        self._program = program  # what the monitor was executed from: a mount, whose end costs an RCU grace period
        self._pipes = [-1, -1, -1]  # our ends of the attachment: stdin to write, stdout and stderr to read
        self._pump: Any = None
        self._held: frozenset[int] = frozenset()
        self._blocked: set[int] = set()  # those of them that weren't blocked before

    # ---- what we say

    def make_ahead(self, namespaces: int) -> None:
        """Let a monitor that has no plan yet make these namespaces (CLONE_NEWNET, or 0) for it, and leave our streams."""
        with suppress(BrokenPipeError, ConnectionResetError):  # who gives the plan will see
            self._send(lib.MR_MSG_AHEAD, namespaces)

    def is_open(self) -> bool:
        """Tell whether a monitor that hasn't said anything yet is still there."""
        try:
            return bool(self._socket.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def give_plan(self, plan: Plan, *, named: Mapping[int, int] = {}, held: Sequence[int] = ()) -> None:
        """Hand the plan to a monitor that has none yet. Ours stay ours; the monitor gets duplicates.

        `named` maps the numbers of the plan's TAKE operations to our descriptors; `held` are kept open until the container
        has ended and before anybody is told. Raises LaunchFailed when the monitor is gone, OSError.
        """
        file = memory_file("minirun-plan", plan.encode())
        try:
            numbers = bytes(ffi.buffer(ffi.new("int32_t[]", list(named))))
            self._send(lib.MR_MSG_PLAN, len(held), [file, *named.values()], numbers)
            for start in range(0, len(held), lib.MR_RIGHTS_MAX):
                self._send(lib.MR_MSG_HOLD, 0, held[start : start + lib.MR_RIGHTS_MAX])
            self._awaits_plan = False
        except (BrokenPipeError, ConnectionResetError) as error:
            raise LaunchFailed(None, error.errno or errno.EPIPE) from error
        finally:
            os.close(file)

    def attach(self, stdin: bool, stdout: bool, stderr: bool, trace: bool = False) -> None:
        """Ask for streams, through pipes that are made here; `trace` also for a report of each operation of the start.

        To be called once, with nothing asked for as well: a monitor may be waiting for it before it starts the container.
        """
        bits = lib.MR_ATTACH_TRACE if trace else 0
        sent: list[int] = []
        try:
            for stream, wanted in enumerate((stdin, stdout, stderr)):
                if wanted:
                    bits |= lib.MR_ATTACH_STDIN << stream
                    read_end, write_end = os.pipe2(os.O_CLOEXEC)
                    ours, theirs = (write_end, read_end) if stream == 0 else (read_end, write_end)
                    self._pipes[stream] = ours
                    sent.append(theirs)
            self._send(lib.MR_MSG_ATTACH, bits, sent)
        finally:
            for descriptor in sent:
                os.close(descriptor)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the container's terminal its size; nothing happens when it has none or has ended."""
        with suppress(OSError):  # its end will be noticed by whoever waits
            self._send(lib.MR_MSG_RESIZE, rows << 16 | columns)

    def close_stdin(self) -> None:
        """End the container's stdin: it reads what was sent so far, then the end."""
        with suppress(OSError):
            self._send(lib.MR_MSG_CLOSE_STDIN)
        self._close_pipe(0)

    def acknowledge(self) -> None:
        """Say that the exit is recorded, so that no exit hook is run, and wait until the monitor has let go of the container."""
        with suppress(OSError):  # a monitor that is gone needs no acknowledgement
            self._send(lib.MR_MSG_ACK)
            while self._socket.recv(ffi.sizeof("struct mr_message")):
                pass

    # ---- what we hear

    def wait_started(self) -> Started:
        """Block until the container runs; raises LaunchFailed when it can't, with nothing of it left. Fills `traces`."""
        self._close_program()  # while the monitor is at work
        while True:
            message = self._receive()
            if message is None:
                raise LaunchFailed(None, errno.ECONNRESET)
            if message.kind == lib.MR_MSG_STARTED:
                return Started(pid=message.pid, start_time=0, time_ns=message.time)
            if message.kind == lib.MR_MSG_FAILED:
                raise LaunchFailed(None if message.operation == NO_OPERATION else message.operation, message.error)
            if message.kind == lib.MR_MSG_TRACE:
                self.traces.append(
                    Trace(operation_index=message.operation, duration_ns=message.time, errno=message.error)
                )

    def wait_exited(self) -> Exit:
        """Block until the container has ended; raises EOFError when its monitor was killed.

        Who has attached to output must read it meanwhile (`pump`), or the container waits for its reader.
        """
        while True:
            message = self._receive()
            if message is None:
                raise EOFError("the container's monitor is gone")
            if message.kind == lib.MR_MSG_EXITED:
                return _exit(message)

    def hold(self, signals: Iterable[int]) -> None:
        """Block these signals until `close`, for `pump` to give them one by one. To be called before `pump`, if at all.

        A SIGINT that came just before is raised as KeyboardInterrupt; call it again then.
        """
        self._held = frozenset(signals)
        self._blocked |= self._held - set(_signal.pthread_sigmask(_signal.SIG_BLOCK, ()))
        _signal.pthread_sigmask(_signal.SIG_BLOCK, self._held)

    def pump(
        self,
        stdin_fd: int,
        stdout_fd: int,
        stderr_fd: int,
        *,
        detach_keys: bytes = DETACH_KEYS,
    ) -> Exit | Detached | Signal:
        """Move bytes between the attached streams and our descriptors (-1: none) until something happens. Blocks.

        Gives Exit when the container has ended and all of its output is out, Detached when `detach_keys` were typed (b"": there
        are none), Signal when one of those came that `hold` has named; after Signal call it again, with the same arguments.
        Raises EOFError when the monitor was killed, BrokenPipeError when nobody reads our stdout any more, another OSError when
        a stream of ours can't be written to: what came for it is lost.
        """
        if self._pump is None:
            self._pump = self._prepare((stdin_fd, stdout_fd, stderr_fd), detach_keys)
        state = self._pump
        while True:
            event = lib.mr_pump(state)
            if event == lib.MR_PUMP_EXITED:
                return _exit(state.exited)
            if event == lib.MR_PUMP_SIGNAL:
                return Signal(number=state.value)
            if event == lib.MR_PUMP_DETACHED:
                return Detached()
            if event == lib.MR_PUMP_HANG_UP:
                raise EOFError("the container's monitor is gone")
            if event == lib.MR_PUMP_BROKEN and state.value == 1:
                raise BrokenPipeError(errno.EPIPE, "write the container's output to stdout: nobody reads it any more")
            if event < 0 and event != -errno.EINTR:
                raise OSError(-event, f"write the container's output: {reason_within(-event)}")

    def _prepare(self, descriptors: tuple[int, int, int], detach_keys: bytes) -> Any:
        state = ffi.new("struct mr_pump *")
        state.socket = self._socket.fileno()
        state.signals = -1
        state.keys_length = len(detach_keys)
        state.keys[0 : len(detach_keys)] = detach_keys
        for stream, (lane, pipe, descriptor) in enumerate(zip(state.lanes, self._pipes, descriptors, strict=True)):
            used = pipe >= 0 and descriptor >= 0
            source, target = (descriptor, pipe) if stream == 0 else (pipe, descriptor)
            lane.source, lane.target = (source, target) if used else (-1, -1)
            if used:
                self._pipes[stream] = -1  # the pump closes it
        if self._held:
            state.signals = _checked(
                lib.mr_signal_descriptor(ffi.new("int[]", sorted(self._held)), len(self._held)), "signalfd"
            )
        _checked(lib.mr_pump_prepare(state), "prepare the relay")
        return state

    # ---- the end

    def close(self) -> None:
        """Hang up. An owner that does so leaves the container to its monitor. Safe to repeat."""
        if self._pump is not None:
            lib.mr_pump_close(self._pump)
            self._pump = None
        for stream in range(3):
            self._close_pipe(stream)
        if self._awaits_plan:
            self._send_away()
        self._socket.close()
        self._close_program()
        if self._blocked:
            _signal.pthread_sigmask(_signal.SIG_UNBLOCK, self._blocked)
            self._blocked = set()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send_away(self) -> None:
        """Let a monitor that has no plan go, and wait until it has."""
        self._awaits_plan = False
        with suppress(OSError):
            self._socket.shutdown(_socket.SHUT_WR)
            while self._socket.recv(ffi.sizeof("struct mr_message")):
                pass

    def _close_program(self) -> None:
        descriptor, self._program = self._program, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _close_pipe(self, stream: int) -> None:
        descriptor, self._pipes[stream] = self._pipes[stream], -1
        if descriptor >= 0:
            os.close(descriptor)

    # ---- messages

    def _send(self, kind: int, value: int = 0, descriptors: Sequence[int] = (), more: bytes = b"") -> None:
        message = ffi.new("struct mr_message *", {"kind": kind, "value": value})
        rights = bytes(ffi.buffer(ffi.new("int[]", list(descriptors))))
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if rights else []
        self._socket.sendmsg([bytes(ffi.buffer(message)), more], ancillary, _socket.MSG_NOSIGNAL)

    def _receive(self) -> Any:
        """Give the next message as a struct mr_message, None when the monitor has hung up."""
        try:
            data = self._socket.recv(ffi.sizeof("struct mr_message"))
        except ConnectionResetError:  # it hung up with a message of ours unread
            return None
        if not data:
            return None
        message = ffi.new("struct mr_message *")
        ffi.memmove(message, data, len(data))
        return message


def _exit(message: Any) -> Exit:
    return Exit(status=message.value, oom_killed=bool(message.error), time_ns=message.time)


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")
    return result
