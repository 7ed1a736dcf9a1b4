"""Is it of any use to wait for a container's first process after its stop signal?

Owns: `why_deaf`, the kernel's rule and the sentence about it. Leaves to others: the kill (engine/stop).

The first process of a pid namespace gets no signal that it has no handler for, SIGKILL and SIGSTOP from outside excepted
(pid_namespaces(7)): its default action is not taken. One that it blocks is kept for it, and it may be waiting for that in
sigwait(3) or signalfd(2): so a handler or a blocked signal is reason to wait, and nothing else is. The kernel asks the main
thread, to which the signal is sent; so does /proc/PID/status (proc_pid_status(5): SigCgt, SigBlk, SigIgn).

Who sleeps in sigwait(3) is shown with nothing blocked, since the kernel unblocks for so long what is waited for
(do_sigtimedwait in kernel/signal.c): an init that does nothing else would look deaf. So the system call is looked at too, before
and after, which /proc/PID/syscall names.
"""

from __future__ import annotations

import os

from ..light import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .container import Container
    from .engine import Engine

_ALWAYS_HEARD = (9, 19)  # SIGKILL, SIGSTOP
# rt_sigtimedwait on x86-64, arm64, i386, and with 64 bits of time. Whoever is in another one of that number is waited for, no harm.
_SIGNAL_WAITS = (b"128", b"137", b"177", b"421")


def why_deaf(engine: Engine, container: Container, number: int) -> str:
    """Say why a container's first process can't react to a signal, "" when it may."""
    if number in _ALWAYS_HEARD or not container.config.has_own_pids:
        return ""
    from ..linux import syscalls
    from ..monitor import exits

    started = exits.read_started(engine.layout.run(container.id))
    pidfd = syscalls.pidfd_open_verified(started.pid, started.start_time) if started else None
    if started is None or pidfd is None:
        return ""  # it has ended
    try:  # the pidfd pins the process: its number means no other one
        waits = _waits_for_signals(started.pid)
        masks = _masks(f"/proc/{started.pid}/status")
        waits = waits or _waits_for_signals(started.pid)
    finally:
        os.close(pidfd)
    bit = 1 << (number - 1)
    if waits or not masks or (masks["SigCgt"] | masks["SigBlk"]) & bit:
        return ""
    name = _name_of(number)
    if masks["SigIgn"] & bit:
        return f"its first process ignores {name}"
    return (
        f"its first process has no handler for {name}, and pid 1 of a container gets no signal without one (run --init)"
    )


def _waits_for_signals(pid: int) -> bool:
    """Does the process sleep until a signal comes? Yes, when the kernel doesn't say what it does."""
    try:
        with open(f"/proc/{pid}/syscall", "rb") as file:
            return file.read().partition(b" ")[0] in _SIGNAL_WAITS
    except OSError:
        return True


def _masks(path: str) -> dict[str, int]:
    """Give the three masks of a process, nothing when it is gone."""
    masks: dict[str, int] = {}
    with suppress(OSError), open(path, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in ("SigBlk", "SigIgn", "SigCgt"):
                masks[name] = int(value, 16)
    return masks if len(masks) == 3 else {}


def _name_of(number: int) -> str:
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal in between
        return f"signal {number}"
