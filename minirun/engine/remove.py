"""Removing a container: its processes, its files, its row, in this order, so that a kill at any point can be finished.

Owns: `remove` (the verb) and `erase` (the work, for a caller that holds the lock).
"""

from __future__ import annotations

import os

from .. import database
from ..errors import Conflict, MinirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .container import Container
    from .engine import Engine


def remove(engine: Engine, container: Container, *, force: bool = False, volumes: bool = False) -> None:
    """Remove a container; raises Conflict when it runs and `force` isn't given, MinirunError when something of it can't go.

    With `volumes` its anonymous volumes go too, unless another container uses them. Blocks until its processes are gone.
    """
    if container.is_running and force:
        _kill(engine, container)  # without the lock: a `stop` that waits must not hold us up
    with engine.lock(container.id):
        try:
            _remove_locked(engine, container, force=force, volumes=volumes)
        except OSError as error:
            raise MinirunError(f"remove container {container.name}: {error.strerror or error}") from error


def _remove_locked(engine: Engine, container: Container, *, force: bool, volumes: bool) -> None:
    from .life import is_over

    current = engine.rows.get(container.id)
    if current is None:
        return
    if current.is_running and not force and not is_over(engine, current.id):
        if current.is_paused:
            raise Conflict(f'cannot remove container "/{current.name}": container is paused and must be unpaused first')
        raise Conflict(
            f'cannot remove container "/{current.name}": container is running: stop the container before removing or force remove'
        )
    if current.is_restarting and not force:
        raise Conflict(
            f"You cannot remove a restarting container {current.id}. Stop the container before attempting removal or force remove"
        )
    if current.is_running:
        current = _end(engine, current)
    with database.transaction(engine.connection):
        engine.rows.update(current.id, status="removing")
        if volumes and current.config.volumes:
            from .volume_mounts import give_up

            give_up(engine, current)
    erase(engine, current)


def _end(engine: Engine, container: Container) -> Container:
    """Kill what runs of a container, and tell of its end; nobody is waited for but the kernel."""
    from ..monitor import exits
    from .life import record_exit

    engine.hierarchy.kill(container.cgroup)
    end = exits.read_exit(engine.layout.run(container.id))
    # What is to go with it is marked together with it, in the caller's transaction: until then it is a container at rest.
    return record_exit(engine, container, end, status="removing" if container.config.auto_remove else "exited")


def _kill(engine: Engine, container: Container) -> None:
    from .life import is_over

    if not is_over(engine, container.id):
        engine.rows.note_alone(container, "kill", signal="9")
        engine.hierarchy.kill(container.cgroup)


def erase(engine: Engine, container: Container, *, has_given_back: bool = False) -> None:
    """Do the removal of a row that is marked `removing` (or was never finished). Safe to repeat.

    `has_given_back` spares the look for what a run has held, when that has just been seen to.
    """
    from .life import give_back

    if not has_given_back:
        give_back(engine, container)
    erase_directory(engine, container.id)
    with database.transaction(engine.connection):
        if container.config.has_user_namespace:
            from .userns import release

            release(engine.connection, container.id)
        if container.config.volumes and (container.config.auto_remove or container.status == "creating"):
            from .volume_mounts import give_up

            give_up(engine, container)
        engine.rows.delete(container.id)
        if container.status != "creating":  # nobody has seen one that was never made
            engine.rows.note(container, "destroy")
    if container.config.volumes:
        from .volume_mounts import settle_all

        settle_all(engine)


def erase_directory(engine: Engine, container_id: str) -> None:
    """Remove a container's directory, beneath a descriptor: its content is hostile."""
    from ..storage.overlay import remove_tree

    parent = os.open(f"{engine.layout.root}/containers", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_tree(parent, container_id)
    finally:
        os.close(parent)
