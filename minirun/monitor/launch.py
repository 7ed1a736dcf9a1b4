"""Starting a container's monitor, the static program that becomes the parent of its first process.

Owns: `Launcher`: the program and the owner's socket. Leaves to others: the plan, which is handed over once it is made, and the
talk that follows (connection), what the monitor does (native/monitor.c).

A monitor is launched before its plan is compiled: its birth (a process, execve, its first pages) takes about as long as that,
and happens on another processor meanwhile.

The program is executed through a read-only mount of it that nobody else has: what runs in a container can reach it as
/proc/PID/exe for a moment, and must not be able to change it (CVE-2019-5736).
"""

from __future__ import annotations

import _socket
import os

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
    """Starts monitors. With `keep` the mount of the program is kept from one to the next, until `close`.

    The end of that mount costs an RCU grace period: whoever starts many containers keeps it, whoever starts one lets go of it
    while the monitor is at work.
    """

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._program = -1

    def launch(self, cgroup_fd: int = -1, *, new_network: bool = False) -> Connection:
        """Start a monitor that waits for `Connection.give_plan`, and give its owner's connection.

        With `new_network` it makes the network namespace that the plan's CLONE will ask for while it waits.

        It is born in the cgroup of `cgroup_fd`, gets no environment, and ends when the connection is closed before it has a
        plan. It keeps our stdin, stdout and stderr only for a plan whose process inherits them.
        """
        program = self._program if self._program >= 0 else syscalls.read_only_executable(PROGRAM)
        if self._keep:
            self._program = program
        try:
            ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
            try:
                descriptors = {OWNER_SOCKET: theirs.fileno()}
                syscalls.spawn(program, ("minirun-monitor",), (), descriptors, cgroup_fd, orphan=True)
            except BaseException:
                ours.close()
                raise
            finally:
                theirs.close()
        except BaseException:
            if not self._keep:
                os.close(program)
            raise
        connection = Connection(ours, -1 if self._keep else program, awaits_plan=True)
        if new_network:
            connection.make_ahead(CLONE_NEWNET)
        return connection

    def close(self) -> None:
        """Let go of the program's mount. Safe to repeat."""
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
