"""Starting a container: everything that must be there is made, step by step, each with its undo; then the monitor is launched.

Owns: the order of a start and its undo, and `explain` (the same way, with nothing made). Leaves to others: what each step
means (network, runtime, monitor), the sentence for a failed operation (engine/failures).

    row: starting -> address and host ports leased -> cgroup -> run directory -> files of /etc
        -> spec -> plan -> monitor launched -> STARTED -> row: running
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager

from .. import database
from ..errors import InvalidInput, MinirunError, NotFound
from .session import Attachment, Session, join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..network.networks import Endpoint
    from .config import ContainerConfig, PortMapping
    from .container import Container
    from .engine import Engine

FIRST_PORT_DESCRIPTOR = 64  # of the monitor: sockets that keep the host ports; no operation names them
NETWORK_DESCRIPTOR = 16  # of the monitor: the network namespace that is joined


def start(engine: Engine, container: Container, attachment: Attachment | None) -> Session:
    """Start a container at rest and give its owner's session; one that runs already gives a guest's session.

    Raises CommandNotFound, CommandNotExecutable, StartFailed, NotSupported, Conflict (port), Exhausted (address). After
    a failure the container is at rest, its `error` says why, and nothing of the start is left.
    """
    attachment = attachment or Attachment()
    with engine.lock(container.id):
        resting = _at_rest(engine, container)
        if resting is not None:
            with ExitStack() as undo:
                session = _start_locked(engine, resting, attachment, undo)
                undo.pop_all()
                return session
    return join(engine, engine.rows.find(container.id), attachment)


def _at_rest(engine: Engine, container: Container) -> Container | None:
    """Give the row as it is now, None when the container runs; raises NotFound."""
    from .life import settle_locked

    current = settle_locked(engine, container.id)
    if current is None or current.status == "removing":
        raise NotFound(f"No such container: {container.name}")
    return None if current.is_running else current


def _start_locked(engine: Engine, container: Container, attachment: Attachment, undo: ExitStack) -> Session:
    from ..monitor.launch import LaunchFailed, launch
    from .failures import explain_failure
    from .life import give_back

    undo.push(lambda kind, error, trace: _mark_failed(engine, container, error))
    undo.callback(give_back, engine, container.id)
    with ExitStack() as lent:  # descriptors that the monitor inherits and this process doesn't need afterwards
        endpoint, ports, inherited = _join_network(engine, container, lent)
        plan = _prepare(engine, container, endpoint, inherited)
        monitors = lent.enter_context(_directory(engine.hierarchy.monitors))
        connection = launch(plan, inherited=inherited, cgroup_fd=monitors)
    undo.callback(connection.close)
    try:
        connection.attach(attachment.stdin, attachment.stdout, attachment.stderr, trace=attachment.trace)
        started = connection.wait_started()
    except LaunchFailed as failure:
        raise explain_failure(plan, failure.operation_index, failure.errno) from failure
    changes = {
        "status": "running", "pid": started.pid, "started_ns": started.time_ns, "error": "", "exit_code": 0, "oom_killed": False,
        "ports": ports, **_addresses(endpoint),
    }  # fmt: skip
    with database.transaction(engine.connection):
        engine.rows.update(container.id, **changes)
    return Session(engine, container.replace(**changes), connection, "owner", started.pid, plan)


def _mark_failed(engine: Engine, container: Container, error: BaseException | None) -> None:
    """Put the row to rest again, with the reason; the last step of the undo."""
    code = error.exit_code if isinstance(error, MinirunError) else 125
    status = container.status if container.status != "starting" else "created"
    with database.transaction(engine.connection):
        engine.rows.update(container.id, status=status, pid=0, error=str(error or ""), exit_code=code)


def _join_network(engine: Engine, container: Container, lent: ExitStack) -> tuple[Endpoint | None, tuple[PortMapping, ...], dict[int, int]]:
    """Mark the row as starting and lease what the network mode asks for; gives endpoint, real port mappings, inherited descriptors."""
    from .borrow import lender_of, open_network_namespace

    mode = container.config.network
    if mode == "bridge":
        return _join_bridge(engine, container, lent)
    lender = lender_of(engine, container)
    if lender is None and mode not in ("none", "host"):
        raise NotFound(f"network {mode} not found: there are bridge, host, none and container:NAME")
    engine.rows.update(container.id, status="starting")
    from . import etc

    etc.write(engine, container, None, lender)
    if lender is None:
        return None, (), {}
    descriptor = open_network_namespace(engine, lender)
    lent.callback(os.close, descriptor)
    return None, (), {NETWORK_DESCRIPTOR: descriptor}


def _join_bridge(engine: Engine, container: Container, lent: ExitStack) -> tuple[Endpoint, tuple[PortMapping, ...], dict[int, int]]:
    from . import etc

    engine.networks.ensure()
    mappings = wanted_ports(engine, container)
    with database.transaction(engine.connection):
        engine.rows.update(container.id, status="starting")
        endpoint = engine.networks.lease(container.id)
        reservation = engine.networks.reserve(container.id, endpoint, mappings)
    lent.callback(reservation.close)
    engine.networks.publish(container.id)
    etc.write(engine, container, endpoint, None)
    inherited = {FIRST_PORT_DESCRIPTOR + place: descriptor for place, descriptor in enumerate(reservation.descriptors)}
    return endpoint, reservation.mappings, inherited


def wanted_ports(engine: Engine, container: Container) -> tuple[PortMapping, ...]:
    """Give the port mappings that were asked for; with `--publish-all` one for each port that the image exposes."""
    from .config import PortMapping

    ports = container.config.ports
    if not container.config.publish_all:
        return ports
    taken = {(mapping.container_port, mapping.protocol) for mapping in ports}
    exposed = []
    for text in engine.images.resolve(container.image_id).config.get("ExposedPorts") or {}:
        number, _, protocol = text.partition("/")
        if not number.isdecimal():
            raise InvalidInput(f"the image exposes {text!r}, which is no port")
        if (int(number), protocol or "tcp") not in taken:
            exposed.append(PortMapping(container_port=int(number), protocol=protocol or "tcp"))
    return ports + tuple(exposed)


def _addresses(endpoint: Endpoint | None) -> dict[str, str | int]:
    if endpoint is None:
        return {}
    return {
        "address4": endpoint.address4, "prefix4": endpoint.prefix4, "gateway4": endpoint.gateway4,
        "address6": endpoint.address6, "prefix6": endpoint.prefix6, "gateway6": endpoint.gateway6,
        "mac": ":".join(f"{byte:02x}" for byte in endpoint.mac),
    }  # fmt: skip


@contextmanager
def _directory(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
