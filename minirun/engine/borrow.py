"""Namespaces that a container shares instead of getting its own: `--network container:NAME`.

Owns: finding the lender and holding a descriptor of its namespace. Leaves to others: joining it (runtime/compile, SETNS).
"""

from __future__ import annotations

import os

from ..errors import Conflict, InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .container import Container
    from .engine import Engine


def lender_of(engine: Engine, container: Container) -> Container | None:
    """Give the running container whose network `container` uses, None when it has its own; raises NotFound, Conflict."""
    kind, colon, reference = container.config.network.partition(":")
    if kind != "container":
        return None
    if not colon or not reference:
        raise InvalidInput("invalid network mode: container: needs a name or id, as in --network container:web")
    lender = engine.rows.find(reference)
    if lender.id == container.id:
        raise InvalidInput("a container can't join its own network")
    lender.refuse_restarting()
    if not lender.is_running:
        raise Conflict(f"cannot join network of a non running container: {lender.id}")
    return lender


def open_network_namespace(engine: Engine, lender: Container) -> int:
    """Give a descriptor of the lender's network namespace; raises Conflict when it ended meanwhile. The caller closes it.

    The pidfd pins the process while /proc/PID is opened, so that the number can't mean another one (pidfd_open(2)).
    """
    from ..linux import syscalls
    from ..monitor import exits

    started = exits.read_started(engine.layout.run(lender.id))
    pidfd = syscalls.pidfd_open_verified(started.pid, started.start_time) if started else None
    if started is None or pidfd is None:
        raise Conflict(f"cannot join network of a non running container: {lender.id}")
    try:
        return os.open(f"/proc/{started.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Conflict(f"join the network of container {lender.name}: it ended just now") from error
    finally:
        os.close(pidfd)
