"""Starting a container's monitor, the static program that becomes the parent of its first process.

Owns: `launch`: the plan's memory file, the owner's socket, the program. Leaves to others: the plan (runtime/compile), the talk
that follows (connection), what the monitor does (native/monitor.c).

The program is executed through a read-only mount of it that nobody else has: what runs in a container can reach it as
/proc/PID/exe for a moment, and must not be able to change it (CVE-2019-5736).
"""

from __future__ import annotations

import _socket
import os

from ..linux import syscalls
from .connection import Connection, Detached, LaunchFailed, Signal, Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..linux.plan import Plan

__all__ = ["Connection", "Detached", "LaunchFailed", "Signal", "Trace", "launch"]

# The monitor's descriptors: native/monitor.c. TAKE operations name what comes between.
OWNER_SOCKET = 3
PLAN = 4
HELD = 64  # and on, without a gap: used by nobody, closed when the container has ended and before anybody is told
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "minirun-monitor")


def launch(plan: Plan, *, inherited: Mapping[int, int] = {}, cgroup_fd: int = -1) -> Connection:
    """Start a monitor on a plan and give its owner's connection; `wait_started` says what came of it.

    `inherited` maps the monitor's descriptor numbers (HELD and up, or as the plan's TAKE operations name them) to ours. The
    monitor is born in the cgroup of `cgroup_fd`. It gets no environment; it keeps our stdin, stdout and stderr only for
    a process that inherits them.
    """
    plan_fd = syscalls.memory_file("minirun-plan", plan.encode())
    try:
        program = syscalls.read_only_executable(PROGRAM)
        try:
            ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
            try:
                descriptors = {OWNER_SOCKET: theirs.fileno(), PLAN: plan_fd, **inherited}
                syscalls.spawn(program, ("minirun-monitor",), (), descriptors, cgroup_fd, orphan=True)
            except BaseException:
                ours.close()
                raise
            finally:
                theirs.close()
        except BaseException:
            os.close(program)
            raise
    finally:
        os.close(plan_fd)
    return Connection(ours, program)
