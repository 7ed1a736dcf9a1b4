"""Containers as rows: reading, finding by what the user typed, changing.

Owns: the queries on the table `containers`. Leaves to others: when a row may change (each verb holds the container's lock).
"""

from __future__ import annotations

from .. import database
from ..errors import Conflict, Exhausted, InvalidInput, NotFound
from ..jsontext import dumps, loads
from ..light import suppress
from .config import ContainerConfig, PortMapping
from .container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

COLUMNS = Container._fields  # one for each, by its name
_CONFIG, _ARGUMENTS, _PORTS = (COLUMNS.index(name) for name in ("config", "arguments", "ports"))
_OOM_KILLED, _STOPPED_BY_HAND = (COLUMNS.index(name) for name in ("oom_killed", "stopped_by_hand"))
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM containers"  # noqa: S608  (names of columns, all ours)
_INSERT = f"INSERT INTO containers ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_HAS_LINKS = """instr(config, '"links":["') > 0"""  # as the index containers_with_links has it (engine/schema)
_NETWORKS = {"bridge": "bridge", "host": "host", "none": "null"}  # and docker's drivers of them


class Containers:
    """The rows of the table `containers`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # What was read last, since a verb reads its row several times: a row with its container, a configuration.
        self._row: tuple[tuple[Any, ...], Container] | None = None
        self._seen = ("", ContainerConfig(image=""))

    def insert(self, container: Container) -> None:
        """Add a row; raises Conflict when the name is taken, in docker's words."""
        row = _to_row(container)
        try:
            self._connection.execute(_INSERT, row)
        except database.IntegrityError as error:
            self.check_name_is_free(container.name)
            raise Conflict(f"the id {container.id} is in use already") from error

    def check_name_is_free(self, name: str) -> None:
        """Raise Conflict, in docker's words, when a container has this name."""
        holder = self._connection.execute("SELECT id FROM containers WHERE name = ?", (name,)).fetchone()
        if holder:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{holder[0]}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )

    def update(self, container_id: str, **changes: Any) -> None:
        """Change columns of one row; a row that has gone is no error."""
        names = ", ".join(f"{name} = ?" for name in changes)
        self._connection.execute(
            f"UPDATE containers SET {names} WHERE id = ?",  # noqa: S608  (names of columns)
            (*map(_to_sql, changes.values()), container_id),
        )

    def delete(self, container_id: str) -> None:
        """Forget a container; one that has gone is no error."""
        self._connection.execute("DELETE FROM containers WHERE id = ?", (container_id,))

    def note(self, container: Container, action: str, **attributes: str) -> None:
        """Record an event of a container. To be called inside the transaction of the change (database.record_event)."""
        about = {"image": container.image_name, "name": container.name}
        database.record_event(
            self._connection, "container", action, container.id, {**container.config.labels, **about, **attributes}
        )

    def note_alone(self, container: Container, *actions: str, **attributes: str) -> None:
        """Record events of a container that change no row. A full disk keeps nobody from ending one: then they are lost."""
        with suppress(Exhausted), database.transaction(self._connection):
            for action in actions:
                self.note(container, action, **attributes)

    def note_stop(self, container: Container, *actions: str, **attributes: str) -> None:
        """Remember that a container was told to end, so that its policy doesn't start it again; with events as `note_alone`."""
        with suppress(Exhausted), database.transaction(self._connection):
            self.update(container.id, stopped_by_hand=True)
            for action in actions:
                self.note(container, action, **attributes)

    def note_network(self, container: Container, action: str) -> None:
        """Record that a container was connected to its network, or disconnected from it. In the transaction of the change."""
        name = container.config.network
        if name in _NETWORKS:
            attributes = {"container": container.id, "name": name, "type": _NETWORKS[name]}
            database.record_event(self._connection, "network", action, name, attributes)

    def note_volumes(self, container: Container, action: str) -> None:
        """Record that a container began (`mount`) or ended (`unmount`) to use its volumes. In the transaction of the change."""
        for mount in container.config.volumes:
            attributes = {"container": container.id, "driver": "local"}
            if action == "mount":
                attributes |= {
                    "destination": mount.target, "propagation": "", "read/write": str(not mount.read_only).lower()
                }  # fmt: skip
            database.record_event(self._connection, "volume", action, mount.name, attributes)

    def get(self, container_id: str) -> Container | None:
        """Give the container with this full id."""
        row = self._connection.execute(f"{_SELECT} WHERE id = ?", (container_id,)).fetchone()
        return self._from_row(row) if row else None

    def find(self, reference: str) -> Container:
        """Give the container that a user means by a full id, a name, the beginning of an id, or a link: in this order.

        Raises NotFound, and InvalidInput for no text at all and when the beginning fits several.
        """
        if not reference:
            raise InvalidInput("invalid container name or ID: value is empty")
        name = reference.removeprefix("/")
        if not reference.isascii():  # no id or name is, and what isn't UTF-8 can't be asked for
            raise NotFound(f"No such container: {reference}")
        row = self._connection.execute(
            f"{_SELECT} WHERE id = ? OR name = ? ORDER BY id = ? DESC", (reference, name, reference)
        ).fetchone()
        if row:
            return self._from_row(row)
        found = self.beginning(reference)
        if len(found) > 1:
            raise InvalidInput(f"multiple IDs found with provided prefix: {reference}")
        if found:
            return found[0]
        linked = self._linked(*name.split("/")) if name.count("/") == 1 else None
        if linked is None:
            raise NotFound(f"No such container: {reference}")
        return linked

    def beginning(self, digits: str) -> list[Container]:
        """Give the containers whose id begins so, two of them at most: what a user means has to fit one alone."""
        if not digits or not all(digit in "0123456789abcdef" for digit in digits):
            return []
        query = f"{_SELECT} WHERE id >= ? AND id < ? LIMIT 2"
        return [self._from_row(row) for row in self._connection.execute(query, (digits, digits + "g"))]

    def _linked(self, name: str, alias: str) -> Container | None:
        """Give what a link leads to, by the name of the container that has the link, and the alias."""
        row = self._connection.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
        links = self._from_row(row).config.links if row else ()
        return next((self.get(link[: -len(alias) - 1]) for link in links if link.partition(":")[2] == alias), None)

    def all(self) -> list[Container]:
        """Give every container, the newest first."""
        return [self._from_row(row) for row in self._connection.execute(f"{_SELECT} ORDER BY created_ns DESC")]

    def running(self) -> list[Container]:
        """Give the containers that are recorded as running, paused or restarting, the newest first."""
        # The first condition lets the index of unsettled containers be used.
        chosen = (
            "status NOT IN ('created', 'exited') AND "
            "(status IN ('running', 'paused', 'restarting') OR (status = 'starting' AND restart_at_ns > 0))"
        )
        rows = self._connection.execute(f"{_SELECT} WHERE {chosen} ORDER BY created_ns DESC")
        return [self._from_row(row) for row in rows]

    def with_links(self) -> list[Container]:
        """Give the containers that link to another. Reads no other row: an index knows."""
        rows = self._connection.execute(f"{_SELECT} WHERE {_HAS_LINKS}").fetchall()
        return [self._from_row(row) for row in rows]

    def has_links(self) -> bool:
        """Has any container a link?"""
        query = f"SELECT 1 FROM containers WHERE {_HAS_LINKS} LIMIT 1"  # noqa: S608  (our own words)
        return self._connection.execute(query).fetchone() is not None

    def unsettled(self) -> list[tuple[str, str]]:
        """Give (id, status) of every container that is neither at rest as created nor as exited."""
        return self._connection.execute(
            "SELECT id, status FROM containers WHERE status NOT IN ('created', 'exited')"
        ).fetchall()

    def _from_row(self, row: tuple[Any, ...]) -> Container:
        if self._row is None or self._row[0] != row:
            self._row = (row, self._parsed(row))
        return self._row[1]

    def _parsed(self, row: tuple[Any, ...]) -> Container:
        values = list(row)
        config, arguments, ports = values[_CONFIG], values[_ARGUMENTS], values[_PORTS]
        if config != self._seen[0]:
            self._seen = (config, ContainerConfig.from_json(loads(config)))
        values[_CONFIG] = self._seen[1]
        values[_ARGUMENTS] = tuple(loads(arguments))
        values[_PORTS] = () if ports == "[]" else tuple(PortMapping(**item) for item in loads(ports))
        values[_OOM_KILLED] = bool(values[_OOM_KILLED])
        values[_STOPPED_BY_HAND] = bool(values[_STOPPED_BY_HAND])
        return Container.of_fields(values)


def _to_sql(value: Any) -> Any:
    if type(value) is str or type(value) is int:
        return value
    if isinstance(value, ContainerConfig):
        return dumps(value.given())
    if isinstance(value, tuple):
        return dumps([item.as_json() if isinstance(item, PortMapping) else item for item in value])
    return int(value) if isinstance(value, bool) else value


def _to_row(container: Container) -> tuple[Any, ...]:
    return tuple(_to_sql(getattr(container, name)) for name in COLUMNS)
