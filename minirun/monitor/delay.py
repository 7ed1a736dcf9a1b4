"""A monitor without a container: it lets a time pass and then runs a command, and nothing else of ours stays in memory meanwhile.

Owns: starting one, waiting for its end. Leaves to others: what is waited for (engine/restarts), the waiting itself
(native/monitor_delay.c). It leaves as soon as its run directory is removed, and then runs nothing.
"""

from __future__ import annotations

import fcntl
import os

from ..linux import plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .launch import Launcher


def launch(
    launcher: Launcher,
    run_directory: str,
    milliseconds: int,
    command: Sequence[str],
    environment: Sequence[str],
    cgroup_fd: int = -1,
) -> None:
    """Start one in the cgroup of `cgroup_fd`; when this returns it holds its lock. Raises LaunchFailed: one waits there already."""
    steps = plan.Plan()
    steps.monitor += [
        plan.run_directory(run_directory),
        plan.exit_hook(command, environment),
        plan.delay(milliseconds),
    ]
    with launcher.launch(cgroup_fd) as connection:
        connection.give_plan(steps)
        connection.wait_started()


def wait_for_end(run_directory: str) -> None:
    """Block until nobody waits there any more: the command has ended, or was called off. At once when nobody does."""
    try:
        descriptor = os.open(f"{run_directory}/waiting", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)
