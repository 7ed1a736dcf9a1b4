"""`run --explain`: what a start would do, in the order in which it would do it, with nothing made.

Owns: the lines of the engine's own steps; before them nothing, after them the plan's own lines (linux/explain).
Leaves to others: doing it (engine/start).
"""

from __future__ import annotations

from .. import database
from ..runtime.cgroups.limits import settings_of
from ..runtime.compile import compile_container
from . import spec as specs
from .create import describe, find_image
from .start import mac_of
from .surroundings import of_container, placement_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..network.networks import Endpoint
    from ..runtime.spec import Spec
    from .config import ContainerConfig, PortMapping
    from .container import Container
    from .engine import Engine
    from .userns import IdLease


def explain(engine: Engine, config: ContainerConfig) -> list[str]:
    """Give one line per step, its side first. Nothing is made: what would be leased is rolled back.

    Raises what a start would raise as far as the request, the image and the host's files can tell. A limit is shown also where this
    host could not enforce it; the start itself refuses it.
    """
    image = find_image(engine, config.image)
    if config.volumes or config.volumes_from or image.config.get("Volumes"):
        from .volume_mounts import resolve

        config = resolve(engine, config, image)
    if config.image_mounts:
        from .image_mounts import resolve as resolve_images

        config = resolve_images(engine, config)
    if config.links:
        from .links import resolve as resolve_links

        config = resolve_links(engine, config)
    container = describe(config, image)
    endpoint = _endpoint_to_expect(engine, container) if config.network == "bridge" else None
    surroundings = of_container(engine, container)
    if config.has_user_namespace:
        from .userns import lease_to_expect

        surroundings = surroundings.replace(ids=lease_to_expect(engine.connection, container))
    spec = specs.build(config, image, surroundings)
    cgroup = engine.hierarchy.path(container.cgroup)
    plan = compile_container(spec, placement_of(engine, container, image.chain_id, endpoint, cgroup))
    own = _own_steps(container, endpoint, spec, cgroup, surroundings.ids)
    return [f"engine   {sentence}" for sentence in own] + plan.explain()


def _own_steps(
    container: Container, endpoint: Endpoint | None, spec: Spec, cgroup: str, ids: IdLease | None
) -> Iterator[str]:
    """Say what the engine does before the monitor has a plan."""
    yield f"write down container {container.id[:12]} with its directory"
    if ids is not None:
        yield f"lease {ids.size} user ids from {ids.uid} on, group ids from {ids.gid} on"
    yield "start the monitor"
    if endpoint is not None:
        addresses = " and ".join(filter(None, (endpoint.address4, endpoint.address6)))
        yield f"lease {addresses} on bridge {endpoint.bridge}"
        for mapping in container.config.ports:
            yield f"lead {_host_side(mapping)}/{mapping.protocol} of the host to port {mapping.container_port}"
    yield "write hosts, hostname, resolv.conf"
    yield f"make cgroup {cgroup}"
    for file, value, optional in settings_of(spec.linux.resources):
        yield f"write {value!r} to {file} of the cgroup{' (if possible)' if optional else ''}"
    yield "hand the plan to the monitor"


def _host_side(mapping: PortMapping) -> str:
    address = mapping.host_address or "every address"
    if mapping.host_port_last:
        return f"{address}, the first free port of {mapping.host_port}-{mapping.host_port_last}"
    return f"{address} port {mapping.host_port}" if mapping.host_port else f"{address}, a free port"


class _RolledBack(Exception):
    """Ends a transaction whose changes nobody wants."""


def _endpoint_to_expect(engine: Engine, container: Container) -> Endpoint | None:
    """Give the address that a start would get now; None when the network has never been used, so that there is no pool yet."""
    endpoint = None
    try:
        with database.transaction(engine.connection):
            endpoint = engine.networks.lease(container.id, mac_of(container.config))
            raise _RolledBack
    except (_RolledBack, LookupError):
        return endpoint
