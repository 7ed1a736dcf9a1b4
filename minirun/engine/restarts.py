"""Restart policies: which end of a run is followed by another run, and when.

Owns: the decision, the back-off, starting again, calling it off. Leaves to others: recording the end (engine/life), the start,
waiting (monitor/delay): while a container waits for its next run nothing of Python is in memory.

    running --its process ends--> restarting --a delay, then `engine.exit_hook ... restart`--> starting --> running

As docker has it: the delay is 100 ms, doubled from run to run up to a minute, and 100 ms again after a run of ten seconds.
Whatever signal is sent by hand, the container isn't started again by its policy until it has been started by hand; a start that
fails isn't tried again.

The row says `restarting` before anything waits, so a delay that was killed is found by the next command and begun again
(engine/reconcile). A row that says so and has no run directory is older than the host's start: `system start-all` decides.
"""

from __future__ import annotations

import os
import time

from ..errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .config import ContainerConfig
    from .container import Container
    from .engine import Engine

POLICIES = ("no", "always", "on-failure", "unless-stopped")
FIRST_DELAY_MS = 100
LONGEST_DELAY_MS = 60_000
STEADY_NS = 10 * 10**9  # who ran so long begins with the first delay again


def check(config: ContainerConfig) -> None:
    """Raise InvalidInput, in docker's words, for a policy that isn't one."""
    policy, retries = config.restart_policy, config.restart_retries
    if policy not in POLICIES:
        raise InvalidInput(
            f"invalid restart policy '{policy}': use one of no, always, on-failure[:TIMES] and unless-stopped"
        )
    if retries and policy != "on-failure":
        raise InvalidInput(f"maximum retry count cannot be used with restart policy '{policy}'")
    if retries < 0:
        raise InvalidInput("maximum retry count cannot be negative")
    if policy != "no" and config.auto_remove:
        raise InvalidInput("can't create 'AutoRemove' container with restart policy")


def after_exit(container: Container, exit_code: int, ended_ns: int) -> dict[str, Any]:
    """Give the columns that a run's end changes when another run follows, nothing when none does."""
    if not _is_wanted(container, exit_code):
        return {}
    delay = FIRST_DELAY_MS
    if container.restart_delay_ms and ended_ns - container.started_ns < STEADY_NS:
        delay = min(2 * container.restart_delay_ms, LONGEST_DELAY_MS)
    return {
        "status": "restarting",
        "restart_count": container.restart_count + 1,
        "restart_delay_ms": delay,
        "restart_at_ns": time.time_ns() + delay * 10**6,
    }


def _is_wanted(container: Container, exit_code: int) -> bool:
    policy = container.config.restart_policy
    if container.stopped_by_hand:
        return False
    if policy == "on-failure":
        return _may_fail_again(container, exit_code)
    return policy in ("always", "unless-stopped")


def wait_for_next(engine: Engine, container: Container) -> None:
    """Let somebody wait for the container's next run. For a caller that holds its lock, and whose row says `restarting`."""
    from ..monitor import delay
    from .exit_hook import ENVIRONMENT, command

    run = engine.layout.run(container.id)
    os.makedirs(run, 0o700, exist_ok=True)
    left = min(max(0, (container.restart_at_ns - time.time_ns()) // 10**6), container.restart_delay_ms)
    monitors = os.open(engine.hierarchy.monitors, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        hook = command(engine.layout.root, engine.layout.run_root, container.id, "restart")
        delay.launch(engine.launcher, run, left, hook, ENVIRONMENT, monitors)
    finally:
        os.close(monitors)


def start_again(engine: Engine, container_id: str) -> None:
    """Start a container whose delay is over; nothing when it was called off meanwhile."""
    from .session import Attachment
    from .start import start_locked

    with engine.lock(container_id):
        container = engine.rows.get(container_id)
        if container is None or container.status != "restarting":
            return
        if container.stopped_by_hand:
            rest(engine, container)
            return
        start_locked(engine, container, Attachment(), by_hand=False).detach()


def rest(engine: Engine, container: Container) -> Container:
    """Call the next run off, for a caller that holds the lock of a `restarting` container; gives it as it then is."""
    from .life import remove_run_directory

    changes: dict[str, Any] = {"status": "exited", "restart_at_ns": 0}
    engine.rows.update(container.id, **changes)
    remove_run_directory(engine.layout.run(container.id))  # sends away who waits
    return container.replace(**changes)


def call_off(engine: Engine, container: Container) -> Container | None:
    """Call the next run off for one who stops a container by hand; gives the row as it then is, None when it has gone.

    One that is being started at this moment is waited for, and runs then. Blocks for that long.
    """
    engine.rows.note_stop(container)
    with engine.lock(container.id):
        current = engine.rows.get(container.id)
        return rest(engine, current) if current is not None and current.status == "restarting" else current


def wait_until_started(engine: Engine, container: Container) -> Container | None:
    """Block until a `restarting` container runs again or rests; gives it as it then is, None when it has gone."""
    from ..monitor import delay
    from .reconcile import settle_restart

    delay.wait_for_end(engine.layout.run(container.id))
    with engine.lock(container.id):  # it may be being started just now
        current = engine.rows.get(container.id)
        return settle_restart(engine, current) if current is not None and current.status == "restarting" else current


def after_boot(engine: Engine) -> list[Container]:
    """Give the containers at rest that their policy starts with the machine, the oldest first.

    If they have ever run: `always` ones, `unless-stopped` ones that nobody stopped by hand, and `on-failure` ones whose last run
    failed, whoever ended it, as docker has it. One that joins another's namespace comes after all that have their own;
    one that links to another is younger than that one.
    """
    wanted = [
        container
        for container in reversed(engine.rows.all())
        if container.status in ("created", "exited") and container.started_ns and _comes_with_boot(container)
    ]
    return sorted(wanted, key=lambda container: bool(container.config.lenders))


def _comes_with_boot(container: Container) -> bool:
    policy = container.config.restart_policy
    if policy == "on-failure":
        return _may_fail_again(container, container.exit_code)
    return policy == "always" or (policy == "unless-stopped" and not container.stopped_by_hand)


def _may_fail_again(container: Container, exit_code: int) -> bool:
    retries = container.config.restart_retries
    return exit_code != 0 and (retries == 0 or container.restart_count < retries)
