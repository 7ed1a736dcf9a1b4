"""Namespaces that a container shares instead of getting its own: `--network`, `--pid` and `--ipc container:NAME`.

Owns: finding the lender and holding a descriptor of its namespace. Leaves to others: joining it (runtime/compile, SETNS).
"""

from __future__ import annotations

import os

from ..errors import Conflict, InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .container import Container
    from .engine import Engine

# What /proc/PID/ns calls them, and what docker does.
_FILES = {"network": "net", "pid": "pid", "ipc": "ipc", "mount": "mnt"}
_WORDS = {"network": "network", "pid": "PID", "ipc": "IPC", "mount": "IPC"}


def lender_of(engine: Engine, container: Container, kind: str) -> Container | None:
    """Give the running container whose namespace `container` uses, None when it isn't one's; raises NotFound, Conflict."""
    reference = container.config.lenders.get(kind)
    if reference is None:
        return None
    word = _WORDS[kind]
    if not reference:
        raise InvalidInput(f"invalid {word} mode: container: needs a name or id, as in --{kind} container:web")
    lender = engine.rows.find(reference)
    if lender.id == container.id:
        raise InvalidInput(f"a container can't join its own {word}")
    if kind == "ipc":
        return _lender_of_memory(lender)
    lender.refuse_restarting()
    if not lender.is_running:
        raise Conflict(f"cannot join {word} of a non running container: {lender.id}")
    return lender


def _lender_of_memory(lender: Container) -> Container:
    """Give a container that runs and lends its IPC namespace, with /dev/shm; raises Conflict, InvalidInput in docker's words."""
    cannot = f"can't join IPC of container {lender.id}: "
    if lender.is_restarting:
        raise Conflict(f"{cannot}Container {lender.id} is restarting, wait until the container is running")
    if not lender.is_running:
        raise Conflict(f"{cannot}container {lender.id} is not running")
    if lender.config.ipc_mode not in ("shareable", "host") and "ipc" not in lender.config.lenders:
        raise InvalidInput(f"{cannot}non-shareable IPC (hint: use IpcMode:shareable for the donor container)")
    return lender


def open_namespace(engine: Engine, lender: Container, kind: str) -> int:
    """Give a descriptor of the lender's namespace; raises Conflict when it ended meanwhile. The caller closes it.

    The pidfd pins the process while /proc/PID is opened, so that the number can't mean another one (pidfd_open(2)).
    """
    from ..linux import syscalls
    from ..monitor import exits

    started = exits.read_started(engine.layout.run(lender.id))
    pidfd = syscalls.pidfd_open_verified(started.pid, started.start_time) if started else None
    if started is None or pidfd is None:
        raise Conflict(f"cannot join {_WORDS[kind]} of a non running container: {lender.id}")
    try:
        return os.open(f"/proc/{started.pid}/ns/{_FILES[kind]}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Conflict(f"join the {_WORDS[kind]} of container {lender.name}: it ended just now") from error
    finally:
        os.close(pidfd)
