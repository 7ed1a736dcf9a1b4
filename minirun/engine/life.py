"""The end of a container's run: noticing it, recording it, giving back what the run held.

Owns: `settle` (record an exit exactly once, whoever notices it) and `give_back` (cgroup, network, run directory).
Leaves to others: who calls it (the owner's session, the monitor's exit hook, engine/reconcile, `stop`), the removal itself.

Three can notice the same end at once: the owner, the monitor's exit hook, and any other command. All call `settle`; the
container's lock lets one do the work and the others find it done. A container that was started with --rm goes with its
end, also whoever notices it: it is `removing` from the moment that the exit is recorded, so that nobody has to remember it.
"""

from __future__ import annotations

import errno
import os

from .. import database
from ..errors import NotSupported
from ..light import suppress
from ..monitor import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..monitor.exits import Exit
    from .container import Container
    from .engine import Engine

KILLED = 137  # 128 + SIGKILL: what is known of a container whose monitor was killed
LOST = 255  # the host went down with it


def is_over(engine: Engine, container_id: str) -> bool:
    """Tell whether the container's present run has ended: an exit is recorded, or nobody watches it any more."""
    return not exits.is_running(engine.layout.run(container_id))


def settle(engine: Engine, container_id: str) -> Container | None:
    """Record the exit of a container that has ended and give back what its run held.

    Gives the container as it then is, with the status `removing` when it went with its end (--rm), None when it was gone
    before. One that still runs stays as it is. Blocks while another command changes it.
    """
    with engine.lock(container_id):
        return settle_locked(engine, container_id)


def settle_locked(engine: Engine, container_id: str) -> Container | None:
    """As `settle`, for a caller that holds the container's lock."""
    container = engine.rows.get(container_id)
    if container is None or not (container.is_running or container.status == "starting"):
        return container
    if not is_over(engine, container_id):
        return container
    return end_run(engine, container, exits.read_exit(engine.layout.run(container_id)))


def end_run(engine: Engine, container: Container, end: Exit | None) -> Container:
    """Record how a run ended (`record_exit`), and do what follows: the removal (--rm), or the wait for the next run (--restart)."""
    status = "removing" if container.config.auto_remove else "exited"
    ended = record_exit(engine, container, end, status=status, by_policy=True)
    if ended.status == "restarting":
        from .restarts import wait_for_next

        wait_for_next(engine, ended)
    if container.config.auto_remove:
        from .remove import erase

        erase(engine, ended, has_given_back=ended.status == "removing")
    return ended


def record_exit(
    engine: Engine, container: Container, end: Exit | None, *, status: str = "exited", by_policy: bool = False
) -> Container:
    """Write how a run ended; `end` None means that its monitor was killed or the host went down.

    `by_policy` leaves it `restarting`, with an empty run directory, where the restart policy wants another run.
    """
    import time

    run = engine.layout.run(container.id)
    run_is_there = os.path.isdir(run)
    _remove_cgroup(engine, container.cgroup)
    leased = engine.networks.is_leased(container.id)
    if leased:
        engine.networks.withdraw(container.id)
    _unmount_volumes(engine, container)
    changes: dict[str, Any] = {
        "status": status,
        "pid": 0,
        "exit_code": end.exit_code if end else (KILLED if run_is_there else LOST),
        "oom_killed": bool(end and end.oom_killed),
        "finished_ns": end.time_ns if end else time.time_ns(),
        "error": ""
        if end
        else ("the monitor was killed, and the container with it" if run_is_there else "the host went down"),
        "address4": "",
        "address6": "",
        "mac": "",
        "ports": (),
    }
    if by_policy and run_is_there and container.config.restart_policy != "no":
        from .restarts import after_exit

        changes |= after_exit(container, changes["exit_code"], changes["finished_ns"])
    with database.transaction(engine.connection):
        if leased:
            engine.networks.forget(container.id)
        engine.rows.update(container.id, **changes)
        if changes["oom_killed"]:
            engine.rows.note(container, "oom")
        lasted = max(0, changes["finished_ns"] - container.started_ns) // 10**9
        engine.rows.note(container, "die", execDuration=str(lasted), exitCode=str(changes["exit_code"]))
        engine.rows.note_network(container, "disconnect")
        engine.rows.note_volumes(container, "unmount")
    # It holds the only record of the exit until the row does.
    if changes["status"] == "restarting":
        _empty(run)
    else:
        remove_run_directory(run)
    return container.replace(**changes)


def give_back(engine: Engine, container: Container) -> None:
    """Kill what is left of a run, free its cgroup, addresses and ports, remove its run directory. Safe to repeat."""
    _release(engine, container.id, container.cgroup)
    _unmount_volumes(engine, container)
    remove_run_directory(engine.layout.run(container.id))


def give_back_of(engine: Engine, container_id: str, cgroup: str) -> None:
    """As `give_back`, also for a container that has no row any more."""
    _release(engine, container_id, cgroup)
    remove_run_directory(engine.layout.run(container_id))


def _release(engine: Engine, container_id: str, cgroup: str) -> None:
    _remove_cgroup(engine, cgroup)
    if engine.networks.is_leased(container_id):
        engine.networks.release(container_id)


def _remove_cgroup(engine: Engine, cgroup: str) -> None:
    with suppress(NotSupported):  # no cgroup tree is mounted any more: then nothing lives in one
        engine.hierarchy.remove(cgroup)


def _unmount_volumes(engine: Engine, container: Container) -> None:
    if any(mount.is_mounted for mount in container.config.volumes):
        from .volume_mounts import unmount_all

        unmount_all(engine, container)


def remove_run_directory(path: str) -> None:
    """Remove the files of a run; the monitor that is about to leave keeps its descriptors and needs no names.

    It may be writing its exit record right now, so a directory that filled again is emptied again; once it is gone,
    nothing can be made in it.
    """
    while True:
        try:
            _empty(path)
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        else:
            return


def _empty(path: str) -> None:
    for name in os.listdir(path):
        with suppress(FileNotFoundError):
            os.unlink(f"{path}/{name}")
