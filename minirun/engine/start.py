"""Starting a container: everything that must be there is made, step by step, each with its undo; then the monitor is launched.

Owns: the order of a start and its undo, and `explain` (the same way, with nothing made). Leaves to others: what each step
means (network, runtime, monitor), the sentence for a failed operation (engine/failures).

    row: starting -> address leased -> cgroup made -> run directory -> files of /etc -> ports published
        -> spec -> plan -> monitor launched -> STARTED -> row: running
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from .. import database
from ..errors import Conflict, MinirunError, NotFound
from .session import Attachment, Session, join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.plan import Plan
    from ..network.networks import Endpoint
    from ..runtime.spec import Spec
    from .config import ContainerConfig, PortMapping
    from .container import Container
    from .engine import Engine


def start(engine: Engine, container: Container, attachment: Attachment | None) -> Session:
    """Start a container at rest and give its owner's session; one that runs already gives a guest's session.

    Raises CommandNotFound, CommandNotExecutable, StartFailed, NotSupported, Conflict (port), Exhausted (address). After
    a failure the container is as before, its `error` says why, and nothing of the start is left.
    """
    with engine.lock(container.id):
        current = _at_rest(engine, container)
        if current is None:
            return join(engine, engine.rows.find(container.id), attachment or Attachment())
        with ExitStack() as undo:
            return _start_locked(engine, current, attachment or Attachment(), undo)


def _at_rest(engine: Engine, container: Container) -> Container | None:
    """Give the row as it is now, None when the container runs."""
    from .life import settle_locked

    current = engine.rows.get(container.id)
    if current is not None and current.status == "running":
        current = settle_locked(engine, container.id)
    if current is None or current.status == "removing":
        raise NotFound(f"No such container: {container.name}")
    return None if current.status == "running" else current


def _start_locked(engine: Engine, container: Container, attachment: Attachment, undo: ExitStack) -> Session:
    from ..monitor.launch import LaunchFailed, launch
    from .failures import explain_failure
    from .life import give_back

    resting = container.status
    undo.callback(_mark_failed, engine, container.id, resting)
    undo.callback(give_back, engine, container.id)
    endpoint = _mark_starting(engine, container)
    cgroup = engine.hierarchy.create(container.id, resources_of(container.config))
    _make_run_directory(engine, container.id)
    namespaces = undo.enter_context(Borrowed(engine, container))
    ports, reservations = _publish(engine, container, endpoint, undo)
    write_network_files(engine, container, endpoint, namespaces.lender)
    spec, plan = prepare(engine, container, endpoint, cgroup, namespaces)
    inherited = namespaces.descriptors | {PORT_DESCRIPTORS + place: number for place, number in enumerate(reservations)}
    connection = launch(plan, inherited=inherited, cgroup_fd=engine.hierarchy.monitors_fd())
    undo.callback(connection.close)
    connection.attach(attachment.stdin, attachment.stdout, attachment.stderr, trace=attachment.trace)
    try:
        started = connection.wait_started()
    except LaunchFailed as failure:
        explained = explain_failure(plan, failure.operation_index, failure.errno)
        engine.rows.update(container.id, error=str(explained), exit_code=explained.exit_code)
        raise explained from failure
    changes = {"status": "running", "pid": started.pid, "started_ns": started.time_ns, "error": "", "exit_code": 0, "oom_killed": False, "ports": ports}
    with database.transaction(engine.connection):
        engine.rows.update(container.id, **changes)
    kept = undo.pop_all()
    _close_borrowed(kept)
    return Session(engine, container.replace(**changes), connection, "owner", started.pid)
