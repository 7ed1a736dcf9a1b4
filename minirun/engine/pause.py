"""Pausing: all processes of a container stand still in the kernel's freezer, and go on.

Owns: `pause`, `unpause`, and the rule that the row never says less than the freezer does. Leaves to others: the freezer
(runtime/cgroups/members), what other verbs do with a paused container (each of them).

    pause      row: paused -> freeze             a kill between the two leaves a row that engine/reconcile finds wrong
    unpause    thaw -> row: running              by looking at the freezer, and puts right

Documentation/admin-guide/cgroup-v2.rst, "cgroup.freeze".
"""

from __future__ import annotations

import os

from .. import database
from ..errors import Conflict, MinirunError, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .container import Container
    from .engine import Engine


def pause(engine: Engine, container: Container) -> None:
    """Freeze a running container; returns when every process stands still. Raises Conflict in docker's words.

    MinirunError when a process doesn't come to rest in ten seconds: then all go on.
    """
    with engine.lock(container.id):
        current = _settled(engine, container)
        current.refuse_restarting()
        if not current.is_running:
            raise Conflict(f"container {container.id} is not running")
        if current.is_paused:
            raise Conflict(f"container {container.id} is already paused")
        _set_status(engine, current, "paused")
        try:
            _freeze(engine, current, frozen=True)
        except BaseException:
            _set_status(engine, current, "running")
            raise


def unpause(engine: Engine, container: Container) -> None:
    """Let a paused container go on. Raises Conflict in docker's words when it isn't paused."""
    with engine.lock(container.id):
        current = _settled(engine, container)
        if not current.is_paused:
            raise Conflict(f"container {container.id} is not paused")
        thaw_locked(engine, current)


def thaw(engine: Engine, container: Container) -> None:
    """Let a container go on if it is paused: for a verb that has sent it a signal. No error when it has ended."""
    with engine.lock(container.id):
        current = engine.rows.get(container.id)
        if current is not None and current.is_paused:
            thaw_locked(engine, current)


def thaw_locked(engine: Engine, container: Container) -> None:
    """As `thaw`, for a paused container and a caller that holds its lock."""
    _freeze(engine, container, frozen=False)
    _set_status(engine, container, "running")


def is_frozen(engine: Engine, container: Container) -> bool:
    """Has a container's freezer been closed? What it says, not whether all have come to rest: that takes a moment."""
    try:
        with open(f"{engine.hierarchy.path(container.cgroup)}/cgroup.freeze", encoding="ascii") as file:
            return file.read().strip() == "1"
    except OSError:  # gone, and all processes with it
        return False


def _settled(engine: Engine, container: Container) -> Container:
    from .life import settle_locked

    current = settle_locked(engine, container.id)
    if current is None or current.status == "removing":
        raise NotFound(f"No such container: {container.name}")
    return current


def _set_status(engine: Engine, container: Container, status: str) -> None:
    with database.transaction(engine.connection):
        engine.rows.update(container.id, status=status)
        engine.rows.note(container, "pause" if status == "paused" else "unpause")


def _freeze(engine: Engine, container: Container, *, frozen: bool) -> None:
    what = "pause" if frozen else "unpause"
    try:
        engine.hierarchy.freeze(container.cgroup, frozen)
    except TimeoutError as error:
        stuck = len(engine.hierarchy.processes(container.cgroup))
        raise MinirunError(
            f"{what} container {container.name}: one of its {stuck} processes waits for the kernel and doesn't come to rest"
        ) from error
    except OSError as error:
        if frozen or os.path.isdir(engine.hierarchy.path(container.cgroup)):
            raise MinirunError(f"{what} container {container.name}: {error.strerror or error}") from error
