"""Starting a container: everything that must be there is made, step by step, each with its undo; then the monitor is launched.

Owns: the order of a start and its undo. Leaves to others: what each step means (network, runtime, monitor), the sentence for
a failed operation (runtime/failures), the same way with nothing made (engine/explain).

    row: starting -> address and host ports leased -> run directory -> files of /etc -> cgroup
        -> spec -> plan -> monitor launched -> STARTED -> row: running
"""

from __future__ import annotations

import os

from .. import database
from ..errors import Conflict, InvalidInput, MinirunError, NotFound
from ..light import ExitStack, suppress
from ..record import Record
from .session import Attachment, Session, join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..images.store import Image
    from ..linux.plan import Plan
    from ..network.networks import Endpoint
    from ..runtime.cgroups.hierarchy import Cgroup
    from .config import ContainerConfig, PortMapping
    from .container import Container
    from .engine import Engine
    from .links import Link

RUNNING = {"status": "running", "error": "", "exit_code": 0, "oom_killed": False, "restart_at_ns": 0}
STARTING = {"status": "starting"}
STARTING_BY_HAND = {
    **STARTING, "restart_count": 0, "restart_delay_ms": 0, "restart_at_ns": 0, "stopped_by_hand": False,
}  # fmt: skip


def start(engine: Engine, container: Container, attachment: Attachment | None) -> Session:
    """Start a container at rest and give its owner's session; one that runs already gives a guest's session.

    Raises CommandNotFound, CommandNotExecutable, StartFailed, NotSupported, Conflict (port), Exhausted (address). After
    a failure the container is at rest, its `error` says why, and nothing of the start is left.
    """
    attachment = attachment or Attachment()
    with engine.lock(container.id):
        resting = _at_rest(engine, container)
        if resting is not None:
            return start_locked(engine, resting, attachment)
    return join(engine, engine.rows.find(container.id), attachment)


def _at_rest(engine: Engine, container: Container) -> Container | None:
    """Give the row as it is now, None when the container runs; raises NotFound."""
    from .life import settle_locked

    current = settle_locked(engine, container.id)
    if current is None or current.status == "removing":
        raise NotFound(f"No such container: {container.name}")
    if current.is_paused:
        raise Conflict("cannot start a paused container, try unpause instead")
    return None if current.is_running else current


def start_locked(engine: Engine, container: Container, attachment: Attachment, *, by_hand: bool = True) -> Session:
    """As `start`, for a container at rest and a caller that holds its lock. `by_hand` makes its policy begin anew."""
    with ExitStack() as undo:
        session = _start(engine, container, attachment, undo, STARTING_BY_HAND if by_hand else STARTING)
        undo.pop_all()
        return session


def _start(
    engine: Engine, container: Container, attachment: Attachment, undo: ExitStack, starting: Mapping[str, Any]
) -> Session:
    from ..monitor.connection import LaunchFailed
    from .life import give_back

    undo.push(lambda kind, error, trace: _mark_failed(engine, container, error))
    undo.callback(give_back, engine, container)
    own_network = container.config.network in ("bridge", "none") and not container.config.has_user_namespace
    # It is born while we make its plan, and makes what takes the kernel longest.
    connection = engine.launcher.launch_for_container(engine.hierarchy.monitors, new_network=own_network)
    undo.callback(connection.close)
    with ExitStack() as lent:  # descriptors that the monitor gets and this process doesn't need afterwards
        joined = _join_network(engine, container, lent, starting)
        joined = _join_others(engine, container, joined, lent)
        plan, remark = _prepare(engine, container, joined.endpoint, attachment.window)
        connection.give_plan(plan, named=joined.named, held=joined.held)
    try:
        connection.attach(attachment.stdin, attachment.stdout, attachment.stderr, trace=attachment.trace)
        if attachment.stdout or attachment.stderr:
            _load_what_the_end_needs(engine, container)
        if engine.stays:
            with suppress(OSError, MinirunError):  # it is for the next start
                engine.templates.learn()
        started = connection.wait_started()
    except LaunchFailed as failure:
        from ..runtime.failures import explain_failure

        raise explain_failure(plan, failure.operation_index, failure.errno) from failure
    changes = {
        **RUNNING, "pid": started.pid, "started_ns": started.time_ns, "ports": joined.ports, **_addresses(joined.endpoint),
    }  # fmt: skip
    with database.transaction(engine.connection):
        engine.rows.update(container.id, **changes)
        if attachment.stdin or attachment.stdout or attachment.stderr:
            engine.rows.note(container, "attach")
        engine.rows.note_network(container, "connect")
        engine.rows.note_volumes(container, "mount")
        engine.rows.note(container, "start")
    if joined.endpoint is not None:
        _tell_links(engine, container, joined)
    engine.launcher.launch_ahead(engine.hierarchy.monitors, new_network=own_network)
    session = Session(engine, container.replace(**changes), connection, "owner", started.pid, plan)
    session.remark = remark
    return session


def _tell_links(engine: Engine, container: Container, joined: _Joined) -> None:
    """Who links to this container finds it where it is now; one query when nobody does."""
    if joined.links:
        from .links import look_again

        look_again(engine, container, list(joined.links))
    if joined.endpoint is not None and engine.rows.has_links():
        from .links import tell

        tell(engine, container, joined.endpoint.address4)


def _load_what_the_end_needs(engine: Engine, container: Container) -> None:
    """Import it now, while the monitor makes the container on another processor, for a caller who will stay to the end."""
    _ = engine.networks
    if container.config.auto_remove:
        from ..linux import trees
        from . import remove

        _ = remove, trees


def _prepare(
    engine: Engine, container: Container, endpoint: Endpoint | None, window: tuple[int, int]
) -> tuple[Plan, str]:
    """Make the cgroup and give the plan, and what of the request this host withholds; give_back undoes it."""
    if container.config.auto_remove:
        from ..storage import overlay

        overlay.allow_again(engine.layout.container(container.id))
    image = engine.images.of_container(container.image_id)
    cgroup = None
    if engine.stays:
        resources = engine.templates.knows(container, image, endpoint, window)
        if resources is not None:
            cgroup = engine.hierarchy.create(container.cgroup, resources)
            if not cgroup.device_filter_refused:
                return engine.templates.fill(container, endpoint), ""
    return _compile(engine, container, image, endpoint, window, cgroup)


def _compile(
    engine: Engine,
    container: Container,
    image: Image,
    endpoint: Endpoint | None,
    window: tuple[int, int],
    cgroup: Cgroup | None,
) -> tuple[Plan, str]:
    """Compile the plan, and make the cgroup unless it is there; as `_prepare`."""
    from ..runtime.compile import compile_container
    from . import spec as specs
    from .surroundings import of_container, placement_of

    spec = specs.build(container.config, image, of_container(engine, container))
    specs.prepare(container.config)
    if any(mount.is_mounted for mount in container.config.volumes):
        from .volume_mounts import mount_all

        mount_all(engine, container)
    if cgroup is None:
        cgroup = engine.hierarchy.create(container.cgroup, spec.linux.resources)
    remark = ""
    if cgroup.device_filter_refused:
        spec = specs.without_device_filter(spec)
        remark = specs.withheld(container.config, cgroup.device_filter_refused)
    placement = placement_of(engine, container, image.chain_id, endpoint, cgroup.path)
    plan = compile_container(spec, placement.replace(rows=window[0], columns=window[1]))
    if container.config.has_health_check:
        from . import health

        check = specs.build_check(
            container.config, image, health.command_of(container.config, image), of_container(engine, container)
        )
        plan.monitor.append(health.operation(engine, container, check, cgroup.path))
    return plan, remark


def _make_run_directory(path: str) -> None:
    """Make an empty run directory; what an earlier run left there is gone by then (engine/life)."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        from .life import remove_run_directory

        remove_run_directory(path)
        os.mkdir(path, 0o700)


def _mark_failed(engine: Engine, container: Container, error: BaseException | None) -> None:
    """Put the row to rest again, with the reason; the last step of the undo."""
    code = error.exit_code if isinstance(error, MinirunError) else 125
    status = {"starting": "created", "restarting": "exited"}.get(container.status, container.status)
    # Names of files may be no UTF-8, the database is.
    text = str(error or "").encode("utf-8", "backslashreplace").decode()
    with database.transaction(engine.connection):
        engine.rows.update(
            container.id,
            status=status,
            pid=0,
            error=text,
            exit_code=code,
            address4="",
            address6="",
            mac="",
            ports=(),
            restart_at_ns=0,
        )


class _Joined(Record):
    """What a container has of its network: real port mappings, and descriptors as `Connection.give_plan` takes them."""

    endpoint: Endpoint | None = None
    links: tuple[Link, ...] = ()
    ports: tuple[PortMapping, ...] = ()
    named: dict[int, int] = {}
    held: tuple[int, ...] = ()


def _join_network(engine: Engine, container: Container, lent: ExitStack, starting: Mapping[str, Any]) -> _Joined:
    """Mark the row as `starting` and lease what the mode asks for. Descriptors are closed by `lent`."""
    from . import etc
    from .borrow import lender_of, open_namespace
    from .surroundings import LENT

    mode = container.config.network
    if mode == "bridge":
        return _join_bridge(engine, container, lent, starting)
    lender = lender_of(engine, container, "network")
    if lender is None and mode not in ("none", "host"):
        raise NotFound(f"network {mode} not found: there are bridge, host, none and container:NAME")
    engine.rows.update(container.id, **starting)
    _make_run_directory(engine.layout.run(container.id))
    etc.write(engine, container, None, lender)
    if lender is None:
        return _Joined()
    descriptor = open_namespace(engine, lender, "network")
    lent.callback(os.close, descriptor)
    return _Joined(named={LENT["network"]: descriptor})


def _join_others(engine: Engine, container: Container, joined: _Joined, lent: ExitStack) -> _Joined:
    """Add the namespaces of pids and IPC of other containers, where they are wanted; with IPC the mounts, for /dev/shm."""
    from .borrow import lender_of, open_namespace
    from .surroundings import LENT

    named = dict(joined.named)
    for kind, also in (("pid", ()), ("ipc", ("mount",))):
        lender = lender_of(engine, container, kind)
        if lender is None:
            continue
        for each in (kind, *also):
            named[LENT[each]] = open_namespace(engine, lender, each)
            lent.callback(os.close, named[LENT[each]])
    return joined.replace(named=named)


def _join_bridge(engine: Engine, container: Container, lent: ExitStack, starting: Mapping[str, Any]) -> _Joined:
    from . import etc

    links: list[Link] = []
    if container.config.links:
        from .links import for_start, hosts

        links = for_start(engine, container)
    engine.networks.ensure()
    mappings = wanted_ports(engine, container)
    with database.transaction(engine.connection):
        endpoint = engine.networks.lease(container.id, mac_of(container.config))
        reservation = engine.networks.reserve(container.id, endpoint, mappings)
        # All that engine/reconcile needs to say when it finds the container running and this command dead.
        engine.rows.update(container.id, **starting, ports=reservation.mappings, **_addresses(endpoint))
    lent.callback(reservation.close)
    engine.networks.publish(container.id)
    _make_run_directory(engine.layout.run(container.id))
    etc.write(engine, container, endpoint, None, hosts(links) if links else ())
    return _Joined(
        endpoint=endpoint, links=tuple(links), ports=reservation.mappings, held=tuple(reservation.descriptors)
    )


def mac_of(config: ContainerConfig) -> bytes:
    """Give the hardware address that was asked for, b"" for none."""
    return bytes.fromhex(config.mac_address.replace(":", ""))


def wanted_ports(engine: Engine, container: Container) -> tuple[PortMapping, ...]:
    """Give the port mappings that were asked for; with `--publish-all` one for each port that the image exposes."""
    from ..units import whole_number
    from .config import PortMapping

    ports = container.config.ports
    if not container.config.publish_all:
        return ports
    taken = {(mapping.container_port, mapping.protocol) for mapping in ports}
    exposed = []
    of_image = engine.images.resolve(container.image_id).config.get("ExposedPorts") or {}
    for text in dict.fromkeys((*of_image, *container.config.exposed)):
        number, _, protocol = text.partition("/")
        port = whole_number(number, 65535)
        if not port:
            raise InvalidInput(f"the image exposes {text[:64]!r}, which is no port")
        if (port, protocol or "tcp") not in taken:
            exposed.append(PortMapping(container_port=port, protocol=protocol or "tcp"))
    return ports + tuple(exposed)


def _addresses(endpoint: Endpoint | None) -> dict[str, str | int]:
    if endpoint is None:
        return {}
    return {
        "address4": endpoint.address4, "prefix4": endpoint.prefix4, "gateway4": endpoint.gateway4,
        "address6": endpoint.address6, "prefix6": endpoint.prefix6, "gateway6": endpoint.gateway6,
        "mac": ":".join(f"{byte:02x}" for byte in endpoint.mac),
    }  # fmt: skip
