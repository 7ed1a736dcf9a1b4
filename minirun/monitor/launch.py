"""Starting a container's monitor, the static program that becomes the parent of its first process.

Owns: `Launcher`: the program, the owner's socket, the monitor that is launched ahead. Leaves to others: the plan, which is handed
over once it is made, and the talk that follows (connection), what the monitor does (native/monitor.c).

A monitor is launched before its plan is compiled: its birth (a process, execve, its first pages) takes about as long as that,
and happens on another processor meanwhile.

The program is executed through a read-only mount of it that nobody else has: what runs in a container can reach it as
/proc/PID/exe for a moment, and must not be able to change it (CVE-2019-5736).
"""

from __future__ import annotations

import _socket
import os

from ..errors import MinirunError
from ..light import suppress
from ..linux import syscalls
from ..linux.flags import CLONE_NEWNET
from .connection import Connection, Detached, LaunchFailed, Signal, Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.plan import Plan

__all__ = ["Connection", "Detached", "LaunchFailed", "Launcher", "Signal", "Trace", "launch"]

OWNER_SOCKET = 3  # the monitor's descriptor: native/monitor.c
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "minirun-monitor")


class Launcher:
    """Starts monitors, which are nobody's children: or ours, with `adopts`, for a process that ends soon and leaves them to init.

    With `keep` two things are kept from one to the next, until `close`: the mount of the program, and a monitor
    that was launched ahead (`launch_ahead`).

    The end of that mount costs an RCU grace period: whoever starts many containers keeps it, whoever starts one lets go of it
    while the monitor is at work.
    """

    def __init__(self, *, keep: bool, adopts: bool = False) -> None:
        self._keep = keep
        self._adopts = adopts
        self._program = -1
        self._launched = 0
        self._spare: tuple[bool, Connection] | None = None

    def launch(self, cgroup_fd: int = -1, *, ahead: int | None = None) -> Connection:
        """Start a monitor that waits for `Connection.give_plan`, and give its owner's connection.

        It is born in the cgroup of `cgroup_fd`, gets no environment, and ends when the connection is closed before it has a
        plan. It keeps our stdin, stdout and stderr only for a plan whose process inherits them, and not with `ahead`: the
        namespaces to make while it waits (CLONE_NEWNET, or 0). It finds this message when it is born: the kernel lets whom a
        message wakes wait for the sender's processor, as if the sender were about to sleep.
        """
        program = self._program if self._program >= 0 else syscalls.read_only_executable(PROGRAM)
        if self._keep:
            self._program = program
        try:
            ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
            try:
                descriptors = {OWNER_SOCKET: theirs.fileno()}
                connection = Connection(ours, -1 if self._keep else program, awaits_plan=True)
                if ahead is not None:
                    connection.make_ahead(ahead)
                syscalls.spawn(program, ("minirun-monitor",), (), descriptors, cgroup_fd, orphan=not self._adopts)
            except BaseException:
                ours.close()
                raise
            finally:
                theirs.close()
        except BaseException:
            if not self._keep:
                os.close(program)
            raise
        return connection

    def launch_for_container(self, cgroup: str, *, new_network: bool) -> Connection:
        """As `launch` in the cgroup with this directory, for a plan whose process inherits no stream of ours.

        It may be one that was launched ahead. With `new_network` it makes the network namespace that the plan's CLONE will ask for
        while it waits.
        """
        self._launched += 1
        if self._spare is not None and self._spare[0] == new_network:
            connection = self._spare[1]
            self._spare = None
            if connection.is_open():
                return connection
            connection.close()  # somebody killed it
        return self._launch_ahead(cgroup, new_network)

    def launch_ahead(self, cgroup: str, *, new_network: bool) -> None:
        """Have a monitor ready for the next container, for a process that has started some and so will start more.

        Its limits and niceness are those that this process has now. To be called when there is time: while a container is at work.
        Where none can be had, the next container's start says why.
        """
        if self._keep and self._launched > 1 and self._spare is None:
            with suppress(OSError, MinirunError):
                self._spare = (new_network, self._launch_ahead(cgroup, new_network))

    def _launch_ahead(self, cgroup: str, new_network: bool) -> Connection:
        directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return self.launch(directory, ahead=CLONE_NEWNET if new_network else 0)
        finally:
            os.close(directory)

    def close(self) -> None:
        """Let go of the program's mount, and of a monitor that nobody needed. Safe to repeat."""
        spare, self._spare = self._spare, None
        if spare is not None:
            spare[1].close()
        descriptor, self._program = self._program, -1
        if descriptor >= 0:
            os.close(descriptor)


def launch(plan: Plan) -> Connection:
    """Start one monitor on a plan that is there already; `wait_started` says what came of it."""
    connection = Launcher(keep=False).launch()
    try:
        connection.give_plan(plan)
    except BaseException:
        connection.close()
        raise
    return connection
