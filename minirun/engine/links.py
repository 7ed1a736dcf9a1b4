"""Links on the bridge: `--link NAME[:ALIAS]` gives a container the address of another as a name, and its ports and variables.

Owns: docker's rules and words for links, the variables, the names in /etc/hosts and keeping them right when the linked container
comes back with another address. Leaves to others: where the variables go (engine/spec), the file (engine/etc, network/names).

A link is kept as "ID:ALIAS" in the configuration of the container that has it: names may change. When the linked container was
removed, the other one doesn't start until its link is taken away, as with docker.
"""

from __future__ import annotations

import os

from ..errors import Conflict, InvalidInput, NotFound
from ..files import Lock
from ..light import suppress
from ..record import Record
from .container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .config import ContainerConfig
    from .engine import Engine

_NO_USE = "can't be used with links. This would result in undefined behavior"
_NOT_TOLD = ("HOME", "PATH")  # docker keeps these to itself
_HOSTS_MAX = 1 << 20
_HOSTS_LOCK = 1 << 62  # beside the numbers of containers and volumes


class Link(Record):
    """The container that a link leads to, as its row is now, and what the one that has the link calls it."""

    alias: str
    container: Container


def check(config: ContainerConfig) -> None:
    """Raise InvalidInput for links that the network mode has no use for."""
    if config.network == "host":
        raise InvalidInput(f"conflicting options: host type networking {_NO_USE}")
    if config.network.startswith("container:"):
        raise InvalidInput(f"conflicting options: container type network {_NO_USE}")


def resolve(engine: Engine, config: ContainerConfig) -> ContainerConfig:
    """Give the configuration with the ids of the containers that it links to, the first of each alias.

    Raises NotFound, InvalidInput.
    """
    found: dict[str, str] = {}
    for text in config.links:
        reference, _, alias = text.partition(":")
        try:
            linked = engine.rows.find(reference)
            while lender := linked.config.lenders.get("network"):
                linked = engine.rows.find(lender)
        except NotFound as error:
            raise NotFound(f"could not get container for {reference}: {error}") from error
        if linked.config.network == "host":
            raise InvalidInput(f"conflicting options: host type networking {_NO_USE}")
        found.setdefault(alias or reference, linked.id)
    return config.replace(links=tuple(f"{linked_id}:{alias}" for alias, linked_id in found.items()))


def of_container(engine: Engine, container: Container) -> Iterator[Link]:
    """Give a container's links, but for those whose container is gone. Off the bridge nobody can be reached: none."""
    for text in container.config.links if container.config.network == "bridge" else ():
        linked_id, _, alias = text.partition(":")
        linked = engine.rows.get(linked_id)
        if linked is not None and linked.status not in ("creating", "removing"):
            yield Link(alias=alias, container=linked)


def for_start(engine: Engine, container: Container) -> list[Link]:
    """Give the links of a container that is to start; Conflict for one that leads to nothing which can be reached."""
    links = list(of_container(engine, container))
    for text in container.config.links:
        linked_id, _, alias = text.partition(":")
        if linked_id not in {link.container.id for link in links}:
            name = f"{container.name}/{alias}"
            raise Conflict(
                f"Cannot link to a removed container: {linked_id[:12]} AS /{name}: 'minirun rm --link {name}' takes the link away"
            )
    for link in links:
        linked = link.container
        if not linked.is_running:
            raise Conflict(f"Cannot link to a non running container: /{linked.name} AS /{container.name}/{link.alias}")
        if not linked.address4:
            raise Conflict(f"Cannot link to /{linked.name}, as it does not belong to the default network")
    return links


def hosts(links: list[Link]) -> tuple[tuple[str, str], ...]:
    """Give address and names for /etc/hosts, of each link."""
    return tuple(
        (
            link.container.address4,
            " ".join(dict.fromkeys((link.alias, link.container.hostname, link.container.name))),
        )
        for link in links
    )


# ---- Variables


def variables(engine: Engine, container: Container) -> tuple[str, ...]:
    """Give what the links of a container add to its environment, of those whose container runs."""
    found: list[str] = []
    for link in of_container(engine, container):
        if link.container.is_running and link.container.address4:
            found += _variables(engine, container, link)
    return tuple(found)


def _variables(engine: Engine, container: Container, link: Link) -> Iterator[str]:
    """docker, "Legacy container links", Environment variables."""
    from .query import exposed_by_image, exposed_ports
    from .spec import own_variables

    prefix, address = link.alias.upper().replace("-", "_"), link.container.address4
    exposed = exposed_ports(link.container, exposed_by_image(engine, link.container.image_id))
    ports = sorted(exposed, key=lambda port: (port[1], port[0] != "tcp", port[0]))
    if ports:
        protocol, number = ports[0]
        yield f"{prefix}_PORT={protocol}://{address}:{number}"
    yield from _runs(prefix, address, ports)
    for protocol, number in ports:
        name = f"{prefix}_PORT_{number}_{protocol.upper()}"
        yield f"{name}={protocol}://{address}:{number}"
        yield f"{name}_ADDR={address}"
        yield f"{name}_PORT={number}"
        yield f"{name}_PROTO={protocol}"
    yield f"{prefix}_NAME=/{container.name}/{link.alias}"
    image: dict[str, list[str]] = {}
    with suppress(NotFound):
        image = engine.images.resolve(link.container.image_id).config
    for text in own_variables(image.get("Env") or (), link.container.config.environment):
        name, equals, value = text.partition("=")
        if equals and name not in _NOT_TOLD:
            yield f"{prefix}_ENV_{name}={value}"


def _runs(prefix: str, address: str, ports: list[tuple[str, int]]) -> Iterator[str]:
    """Three ports and more that follow each other are told of as a range, too, in docker's way: whatever their protocols are."""
    first = 0
    while first < len(ports):
        last = first
        while last + 1 < len(ports) and ports[last + 1][1] <= ports[first][1] + last - first + 1:
            last += 1
        if last > first + 1:
            (protocol, begin), (other, end) = ports[first], ports[last]
            name = f"{prefix}_PORT_{begin}_{protocol.upper()}"
            yield f"{name}_START={protocol}://{address}:{begin}"
            yield f"{name}_ADDR={address}"
            yield f"{name}_PROTO={protocol}"
            yield f"{name}_PORT_START={begin}"
            yield f"{prefix}_PORT_{begin}_{other.upper()}_END={other}://{address}:{end}"
            yield f"{prefix}_PORT_{begin}_{other.upper()}_PORT_END={end}"
        first = last + 1


# ---- Who links to whom


def linking(engine: Engine, container: Container) -> list[tuple[Container, str]]:
    """Give the containers with a link to this one, and the alias."""
    return [
        (other, alias)
        for other in engine.rows.with_links()
        for linked_id, _, alias in (text.partition(":") for text in other.config.links)
        if linked_id == container.id
    ]


def names(engine: Engine) -> dict[str, list[str]]:
    """Give by id the further names of containers that others link to."""
    found: dict[str, list[str]] = {}
    for other in engine.rows.with_links():
        for linked_id, _, alias in (text.partition(":") for text in other.config.links):
            found.setdefault(linked_id, []).append(f"{other.name}/{alias}")
    return {linked_id: sorted(texts) for linked_id, texts in found.items()}


def tell(engine: Engine, container: Container, address: str) -> None:
    """Write the address that a container has now into /etc/hosts of the running ones that link to it."""
    for other, alias in linking(engine, container):
        if other.is_running or other.status == "starting":
            with suppress(
                OSError
            ):  # it ends at this moment, or is full: that must not be the end of the one that starts
                _set_address(engine, other, alias, address)


def look_again(engine: Engine, container: Container, links: list[Link]) -> None:
    """Set right what has changed since `for_start`: a container that came back meanwhile could not find this one."""
    for link in links:
        current = engine.rows.get(link.container.id)
        if current is not None and current.address4 not in ("", link.container.address4):
            with suppress(OSError):
                _set_address(engine, container, link.alias, current.address4)


def _set_address(engine: Engine, container: Container, alias: str, address: str) -> None:
    """Change the lines whose first name is `alias`. In place: the container has the file mounted. Its content is the container's.

    Two that come at once have their turn; not by a lock on the file, which the container could hold.
    """
    with Lock(engine.layout.locks, _HOSTS_LOCK + int(container.id[:15], 16)):
        descriptor = os.open(f"{engine.layout.run(container.id)}/hosts", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            content = os.pread(descriptor, _HOSTS_MAX, 0)
            changed = _with_address(content, alias.encode(), address.encode())
            if changed != content and len(content) < _HOSTS_MAX:
                os.pwrite(
                    descriptor, changed.ljust(len(content), b"\n"), 0
                )  # a kill here leaves empty lines, no half one
                os.ftruncate(descriptor, len(changed))
        finally:
            os.close(descriptor)


def _with_address(content: bytes, alias: bytes, address: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    for number, line in enumerate(lines):
        words = line.split()
        if len(words) > 1 and words[1] == alias and not words[0].startswith(b"#"):
            lines[number] = line.replace(words[0], address, 1)
    return b"".join(lines)


# ---- Names of links


def unlink(engine: Engine, reference: str) -> None:
    """Take a link away, `CONTAINER/ALIAS`; what a running container knows of it by now stays. Raises NotFound, InvalidInput."""
    name, slash, alias = reference.removeprefix("/").partition("/")
    if not slash:
        raise InvalidInput("Conflict, cannot remove the default link name of the container")
    try:
        container = engine.rows.find(name)
    except NotFound as error:
        raise NotFound(f"No such container: {reference}") from error
    with engine.lock(container.id):
        current = engine.rows.get(container.id)
        links = current.config.links if current is not None else ()
        kept = tuple(text for text in links if text.partition(":")[2] != alias)
        if current is None or kept == links:
            raise NotFound(f"No such container: {reference}")
        engine.rows.update(current.id, config=current.config.replace(links=kept))


def texts(engine: Engine, container: Container) -> list[str]:
    """Give the links as docker's HostConfig.Links has them; one whose container is gone with its id."""
    found = []
    for text in container.config.links:
        linked_id, _, alias = text.partition(":")
        linked = engine.rows.get(linked_id)
        found.append(f"/{linked.name if linked is not None else linked_id[:12]}:/{container.name}/{alias}")
    return found
