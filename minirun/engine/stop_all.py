"""Stopping everything at once, as before a shutdown: `system stop-all`.

Owns: the order: all are asked, then waited for together, each for its own time. Leaves to others: what a stop is (engine/stop),
who comes back (engine/restarts). Nobody is remembered as stopped by hand: a shutdown is no wish of the user's about a container.
"""

from __future__ import annotations

import time

from ..errors import MinirunError
from ..light import ExitStack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .container import Container
    from .engine import Engine


def stop_all(engine: Engine, timeout_seconds: float | None) -> list[tuple[Container, str]]:
    """Stop every container that runs or waits for its next run; gives them, each with why it was killed at once, or "". Blocks.

    One that another command is at has its turn after the others; one that is started meanwhile is stopped too.
    """
    stopped: list[tuple[Container, str]] = []
    done: set[str] = set()
    while left := [container for container in engine.rows.running() if container.id not in done]:
        with ExitStack() as locks:
            taken = []
            for container in left:
                lock = engine.lock(container.id)
                if lock.acquire(wait=False):
                    locks.callback(lock.release)
                    taken.append(container)
            if not taken:
                locks.enter_context(engine.lock(left[0].id))
                taken = left[:1]
            stopped += _stop_together(engine, taken, timeout_seconds)
        done.update(container.id for container in taken)
    return stopped


def _stop_together(
    engine: Engine, containers: list[Container], timeout_seconds: float | None
) -> list[tuple[Container, str]]:
    """For a caller that holds the lock of each: so nobody else records their ends, and their policies have no say."""
    from .restarts import rest
    from .stop import ask, ends_within, kill_all, patience_of, record_end

    stopped: list[tuple[Container, str]] = []
    waiting: list[tuple[float, Container, str]] = []
    failures: list[Exception] = []

    def begin(container: Container) -> None:
        current = engine.rows.get(container.id)
        if current is not None and current.status == "restarting":
            stopped.append((rest(engine, current), ""))
        elif current is not None and current.is_running:
            patience = patience_of(current, timeout_seconds)
            reason = ask(engine, current, patience, locked=True, by_hand=False)
            waiting.append((float("inf") if patience < 0 else time.monotonic() + patience, current, reason))

    def finish(deadline: float, current: Container, reason: str) -> None:
        left = -1 if deadline == float("inf") else max(0.0, deadline - time.monotonic())
        if not reason and not ends_within(engine, current, left):
            kill_all(engine, current, by_hand=False)
        ended = record_end(engine, current, status="removing" if current.config.auto_remove else "exited")
        engine.rows.note_alone(ended, "stop")
        if current.config.auto_remove:
            from .remove import erase

            erase(engine, ended)
        stopped.append((ended, reason))

    def guarded(step: Callable[..., None], *arguments: Any) -> None:
        try:
            step(*arguments)
        except (MinirunError, OSError) as failure:  # one that can't be stopped keeps no other from it
            failures.append(failure)

    for container in containers:
        guarded(begin, container)
    for entry in sorted(waiting, key=lambda entry: entry[0]):
        guarded(finish, *entry)
    if failures:
        raise failures[0]
    return stopped
