"""What killed processes left: found by every command before its own work, and finished or undone.

Owns: the sweep over rows in a passing state and over runs that nobody watches. Leaves to others: how an exit is recorded
(engine/life), how a container is removed (engine/remove), half-made images (images, storage).

| the row says | its lock is free and | so |
|---|---|---|
| creating | - | the command died: remove it, nobody has seen its id |
| starting | the monitor lives and `started` is there | the start went well, only its command died: running |
| starting | otherwise | kill what is left, back to created or exited, or to restarting where it came from |
| restarting | nobody waits for its next run | let somebody wait for the rest of the time |
| restarting | the same, and there is no run directory: the host went down | exited |
| running, paused | nobody holds the monitor's lock, or `exit` is there | record the exit |
| paused | otherwise, and its freezer is open | `pause` or `unpause` was killed: running |
| removing | - | remove it |
"""

from __future__ import annotations

import os
import time

from .. import database
from ..errors import MinirunError
from ..light import suppress
from ..monitor import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..files import Lock
    from .container import Container
    from .engine import Engine

PATIENCE_SECONDS = 2.0


def reconcile(engine: Engine) -> None:
    """Settle every container whose command or monitor was killed. Takes microseconds per running container.

    Somebody else may be recording an end at this moment: that is waited for, up to PATIENCE_SECONDS, so that no command says
    that a container runs whose processes are gone. Nothing else is waited for.

    One that can't be settled (a process that doesn't die, a file that can't be removed) stays as it is: it must not stop
    commands that are about others, and its own `rm` says what is wrong.
    """
    for container_id, status in engine.rows.unsettled():
        runs = status in ("running", "paused") and exits.is_running(engine.layout.run(container_id))
        if runs and (status == "running" or _is_frozen(engine, engine.rows.get(container_id))):
            continue
        if status == "restarting" and exits.is_waiting(engine.layout.run(container_id)):
            continue
        lock = engine.lock(container_id)
        if not _acquire(lock, patient=status in ("running", "paused") and not runs):
            continue  # somebody is at it
        try:
            with suppress(OSError, MinirunError):
                _settle(engine, container_id)
        finally:
            lock.release()
    _settle_volumes(engine)
    _sweep_images(engine)


def _acquire(lock: Lock, *, patient: bool) -> bool:
    """Take a lock if it is free, or (patient) becomes free soon: whoever records an end is done in milliseconds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not lock.acquire(wait=False):
        if not patient or time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _is_frozen(engine: Engine, container: Container | None) -> bool:
    from .pause import is_frozen

    return container is not None and is_frozen(engine, container)


def _settle_volumes(engine: Engine) -> None:
    """Finish what was begun with volumes (storage/volumes has the states). One query when there is nothing."""
    if engine.connection.execute("SELECT 1 FROM volumes WHERE status != 'ready' LIMIT 1").fetchone():
        from .volume_mounts import settle_all

        with suppress(OSError, MinirunError):
            settle_all(engine)


def _sweep_images(engine: Engine) -> None:
    """Remove what a killed load, import or rmi has left: there is a stage then. Without one this costs a listing."""
    with suppress(OSError, MinirunError):
        stages = os.listdir(f"{engine.layout.root}/snapshots/staging")
        if stages:
            from .commit import thaw_abandoned

            thaw_abandoned(engine, stages)
            engine.images.sweep()


def _settle(engine: Engine, container_id: str) -> None:
    from .life import give_back, settle_locked
    from .remove import erase
    from .restarts import wait_for_next
    from .start import RUNNING

    container = engine.rows.get(container_id)
    if container is None:
        return
    if container.status in ("creating", "removing"):
        erase(engine, container)
        return
    if container.status == "restarting":
        settle_restart(engine, container)
        return
    run = engine.layout.run(container_id)
    if container.status == "starting":
        started = exits.read_started(run)
        if started is None:
            again = container.restart_at_ns > 0 and os.path.isdir(run)  # without one: the host was started since
            give_back(engine, container)
            rest = "exited" if container.started_ns else "created"
            changes: dict[str, Any] = {"status": "restarting"} if again else {"status": rest, "restart_at_ns": 0}
            engine.rows.update(container_id, **changes, pid=0, address4="", address6="", mac="", ports=())
            if again:
                wait_for_next(engine, container)
            return
        with database.transaction(engine.connection):
            engine.rows.update(container_id, **RUNNING, pid=started.pid, started_ns=started.time_ns)
            engine.rows.note(container, "start")
    settled = settle_locked(engine, container_id)
    if settled is not None and settled.is_paused and not _is_frozen(engine, settled):
        engine.rows.update(container_id, status="running")


def settle_restart(engine: Engine, container: Container) -> Container:
    """See that somebody waits for the next run of a `restarting` container; gives it as it then is.

    For a caller that holds its lock.
    """
    from .restarts import rest, wait_for_next

    run = engine.layout.run(container.id)
    if exits.is_waiting(run):
        return container
    if container.stopped_by_hand or not os.path.isdir(run):
        return rest(engine, container)
    wait_for_next(engine, container)
    return container
