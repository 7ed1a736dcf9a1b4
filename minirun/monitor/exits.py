"""What a monitor left in the run directory of its container: is it alive, when did it start, how did it end.

Owns: reading `lock`, `started` and `exit`, and the two values `Started` and `Exit`. Leaves to others: writing them
(native/monitor_record.c), deciding what an end means (engine/life).

    lock      locked (flock) as long as the container has a monitor that is responsible for it
    started   "PID START_TIME TIME_NS"   START_TIME: field 22 of /proc/PID/stat, proc(5)
    exit      "STATUS OOM TIME_NS"       STATUS as waitpid(2) has it
    waiting   locked (flock) while a delay waits for the time of the next run (native/monitor_delay.c)
"""

from __future__ import annotations

import fcntl
import os

from ..record import Record


class Started(Record):
    """The first process of a container: process id and start time name it for as long as the machine is up."""

    pid: int
    start_time: int  # clock ticks since boot; 0 when it was told by message and not read from the file
    time_ns: int


class Exit(Record):
    """How a container's first process ended."""

    status: int  # as waitpid(2) has it
    oom_killed: bool
    time_ns: int

    @property
    def exit_code(self) -> int:
        """Give 0 to 255 as the process said, or 128 + n when signal n ended it."""
        return exit_code_of(self.status)


def exit_code_of(status: int) -> int:
    """Give the exit code that a wait status means: see Exit."""
    signal = status & 0x7F
    return 128 + signal if signal else status >> 8 & 0xFF


def is_alive(run_directory: str) -> bool:
    """Tell whether the container's monitor holds its lock. Never blocks; the kernel drops the lock with the monitor."""
    return _is_locked(f"{run_directory}/lock")


def is_waiting(run_directory: str) -> bool:
    """Tell whether the time until the container's next run is being waited for. Never blocks."""
    return _is_locked(f"{run_directory}/waiting")


def _is_locked(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_running(run_directory: str) -> bool:
    """Tell whether the container's process may still run: its monitor is alive and has recorded no exit."""
    return is_alive(run_directory) and not os.path.exists(f"{run_directory}/exit")


def read_started(run_directory: str) -> Started | None:
    """Give what `started` says, None when the container hasn't started."""
    fields = _fields(f"{run_directory}/started")
    return Started(pid=fields[0], start_time=fields[1], time_ns=fields[2]) if fields else None


def read_exit(run_directory: str) -> Exit | None:
    """Give what `exit` says, None when the container hasn't ended or its monitor was killed before it could tell."""
    fields = _fields(f"{run_directory}/exit")
    return Exit(status=fields[0], oom_killed=bool(fields[1]), time_ns=fields[2]) if fields else None


def _fields(path: str) -> tuple[int, int, int] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        first, second, third = os.read(descriptor, 256).split()
    finally:
        os.close(descriptor)
    return int(first), int(second), int(third)
