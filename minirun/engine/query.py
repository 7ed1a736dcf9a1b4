"""Which containers a list shows: state, count, filters, with docker's meaning.

Owns: the filters of `ps`. Leaves to others: columns and words (cli/).
"""

from __future__ import annotations

from ..errors import InvalidInput, NotFound
from ..jsontext import loads
from ..light import suppress
from ..units import whole_number
from .container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .engine import Engine

STATES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
HEALTH = ("none", "starting", "healthy", "unhealthy")
HIDDEN = ("creating",)  # nobody has been told its id yet


def select(engine: Engine, *, everything: bool, limit: int, filters: dict[str, list[str]]) -> list[Container]:
    """Give the containers that pass every filter (each filter: one of its values), the newest first.

    Raises InvalidInput for a filter that doesn't exist and NotFound for one that names a missing container.
    """
    tests = [_test(engine, key, values) for key, values in filters.items()]
    everything = everything or limit > 0 or "status" in filters
    rows = engine.rows.all() if everything else engine.rows.running()
    chosen = [row for row in rows if row.status not in HIDDEN and _passes(row, tests)]
    return chosen[:limit] if limit > 0 else chosen


def current_names(engine: Engine) -> set[tuple[str, str]]:
    """Give image id and name, as users write it with its tag, of all images that have one now."""
    rows = engine.connection.execute("SELECT image_id, name FROM tags")
    return {(image_id, name.removeprefix("docker.io/").removeprefix("library/")) for image_id, name in rows}


def _passes(container: Container, tests: list[Callable[[Container], bool]]) -> bool:
    return all(test(container) for test in tests)


def _test(engine: Engine, key: str, values: list[str]) -> Callable[[Container], bool]:
    make = _FILTERS.get(key)
    if make is None:
        raise InvalidInput(f"invalid filter '{key}'")
    return make(engine, values)


def _by_id(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    """A beginning that fits several containers is nobody's, as everywhere: `rm -f $(ps -aq -f id=$NONE)` is harmless."""
    found = (engine.rows.beginning(value) for value in values)
    ids = {rows[0].id for rows in found if len(rows) == 1}
    return lambda row: row.id in ids


def _by_name(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    import re  # a filter by name is a regular expression, as docker has it

    def pattern_of(value: str) -> re.Pattern[str]:
        try:
            return re.compile(value)
        except re.error:
            return re.compile(re.escape(value))

    patterns = [pattern_of(value) for value in values]
    return lambda row: any(pattern.search(row.name) or pattern.search("/" + row.name) for pattern in patterns)


def _by_status(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    for value in values:
        if value not in STATES:
            raise InvalidInput(f"invalid filter 'status={value}'")
    return lambda row: row.state in values


def _by_exit_code(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    try:
        codes = [int(value) for value in values]
    except ValueError as error:
        raise InvalidInput(f"invalid filter 'exited={values[0]}'") from error
    return lambda row: row.status == "exited" and row.exit_code in codes


def _by_label(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    pairs = [value.partition("=") for value in values]
    return lambda row: all(
        name in row.config.labels and (not equals or row.config.labels[name] == wanted)
        for name, equals, wanted in pairs
    )


def _by_ancestor(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    """An image, and those that were made on top of it: their layers begin with its own."""
    ids = set()
    for value in values:
        with suppress(NotFound):
            ancestor = engine.images.resolve(value)
            ids.add(ancestor.id)
            depth = len(ancestor.layers)
            ids |= {
                image.id
                for image in engine.images.list()
                if 0 < depth < len(image.layers) and image.layers[:depth] == ancestor.layers
            }
    return lambda row: row.image_id in ids


def _by_network(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    return lambda row: row.config.network in values


def _by_age(older: bool) -> Callable[[Engine, list[str]], Callable[[Container], bool]]:
    def make(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
        limit = engine.rows.find(values[-1]).created_ns
        return (lambda row: row.created_ns < limit) if older else (lambda row: row.created_ns > limit)

    return make


def _by_published(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    wanted = _ports("publish", values)
    return lambda row: any((mapping.protocol, mapping.host_port) in wanted for mapping in row.ports)


def _by_exposed(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    wanted = _ports("expose", values)
    return lambda row: bool(exposed_ports(row, exposed_by_image(engine, row.image_id)) & wanted)


def exposed_by_image(engine: Engine, image_id: str) -> tuple[str, ...]:
    """Give the ports that an image exposes, as it writes them; none of one that was removed by force.

    Asked of the table, as `ps` does it and has no other use for the store of images.
    """
    query = "SELECT json_extract(config, '$.ExposedPorts') FROM images WHERE id = ?"
    (text,) = engine.connection.execute(query, (image_id,)).fetchone() or (None,)
    ports = loads(text) if isinstance(text, str) and text.startswith("{") else {}
    return tuple(ports)


def exposed_ports(container: Container, by_image: Iterable[str]) -> set[tuple[str, int]]:
    """Give protocol and number of the ports that a container or its image exposes, and those that lead into it."""
    exposed = {(mapping.protocol, mapping.container_port) for mapping in (*container.config.ports, *container.ports)}
    for text in (*container.config.exposed, *by_image):
        with suppress(InvalidInput):  # an image says what it likes; a range it has written out
            exposed |= _ports("expose", [text]) if "-" not in text else set()
    return exposed


def _ports(key: str, values: list[str]) -> set[tuple[str, int]]:
    """Read `80`, `80/udp`, `8000-8010/tcp`."""
    found = set()
    for value in values:
        numbers, _, protocol = value.partition("/")
        first, _, last = numbers.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal() and value.isascii()):
            raise InvalidInput(
                f"invalid filter '{key}={value}': a port is a number, with /tcp, /udp or /sctp behind it"
            )
        low, high = whole_number(first, _HIGHEST_PORT), whole_number(last or first, _HIGHEST_PORT)
        if not (low and high and low <= high):
            raise InvalidInput(f"invalid filter '{key}={value}': ports are numbers from 1 to {_HIGHEST_PORT}")
        found |= {(protocol or "tcp", port) for port in range(low, high + 1)}
    return found


_HIGHEST_PORT = 65535


def _by_volume(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    """Where a mount comes from, or where it is."""

    def test(row: Container) -> bool:
        places = {place for bind in row.config.binds for place in (bind.source, bind.target)}
        places |= {place for volume in row.config.volumes for place in (volume.name, volume.source, volume.target)}
        places |= {place for image in row.config.image_mounts for place in (image.name, image.target)}
        return not places.isdisjoint(values)

    return test


def _by_health(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    for value in values:
        if value not in HEALTH:
            raise InvalidInput(f"unrecognised filter value for health: {value}")
    from .health import status

    return lambda row: status(engine, row) in values


def _by_task(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    """Tasks are a swarm's: no container is one."""
    if any(value not in ("true", "false", "1", "0") for value in values):
        raise InvalidInput(f"invalid filter 'is-task={values[0]}'")
    return lambda row: not {"false", "0"}.isdisjoint(values)


def _by_isolation(engine: Engine, values: list[str]) -> Callable[[Container], bool]:
    """Windows has several kinds; elsewhere docker doesn't look at it."""
    return lambda row: True


_FILTERS: dict[str, Callable[[Engine, list[str]], Callable[[Container], bool]]] = {
    "id": _by_id,
    "name": _by_name,
    "status": _by_status,
    "exited": _by_exit_code,
    "label": _by_label,
    "ancestor": _by_ancestor,
    "network": _by_network,
    "before": _by_age(older=True),
    "since": _by_age(older=False),
    "publish": _by_published,
    "expose": _by_exposed,
    "volume": _by_volume,
    "health": _by_health,
    "is-task": _by_task,
    "isolation": _by_isolation,
}
