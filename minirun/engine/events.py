"""The stream of what every process on this host did, read from the table `events`.

Owns: `Event`, its filters, following. Leaves to others: writing events (database.record_event, in each change's transaction),
how one is shown (cli/commands/events).

Who follows waits for inotify(7) on the data root: a commit appends to the database's log. The write that wakes us comes a moment
before the one that makes it visible (the log's index is shared memory, which inotify doesn't see), so we look again after each of
LOOK_AGAIN_MS before we wait without an end.
"""

from __future__ import annotations

import os
import time

from ..errors import InvalidInput
from ..jsontext import loads
from ..record import Record
from ..units import LONGEST_POLL_MS, SECOND_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from .engine import Engine

LOOK_AGAIN_MS = (1, 5, 20, 80, 320)
BLOCK = 65536
NAMES = ("container", "daemon", "event", "image", "label", "network", "scope", "type", "volume")


class Event(Record):
    """One thing that was done: `kind` is what it was done to, `actor` its id (of a network or volume: its name)."""

    number: int
    time_ns: int
    kind: str
    action: str
    actor: str
    attributes: dict[str, str]


def events(
    engine: Engine, *, since_ns: int | None, until_ns: int | None, filters: Mapping[str, Sequence[str]]
) -> Iterator[Event]:
    """Give events, the oldest first: those from `since_ns` on that are there, then those to come until `until_ns`, or for ever.

    Without `since_ns` only those to come, unless `until_ns` has passed: then there are none. Raises InvalidInput for a filter
    that isn't one. Blocks between events.
    """
    for name in filters:
        if name not in NAMES:
            raise InvalidInput(f"invalid filter '{name}'")
    if since_ns is not None and until_ns is not None and since_ns > until_ns:
        times = since_ns // SECOND_NS, until_ns // SECOND_NS
        raise InvalidInput("`since` time ({}) cannot be after `until` time ({})".format(*times))
    return _stream(engine, since_ns, until_ns, filters)


def _stream(
    engine: Engine, since_ns: int | None, until_ns: int | None, filters: Mapping[str, Sequence[str]]
) -> Iterator[Event]:
    from .._native import lib

    watch: int = lib.mr_watch_directory(os.fsencode(os.path.dirname(engine.layout.database)))
    if watch < 0:
        raise OSError(-watch, f"inotify: {os.strerror(-watch)}", engine.layout.database)
    try:
        last = 0 if since_ns is not None else _newest(engine)
        quiet = 0  # looks that found nothing since we were woken
        while True:
            is_over = (
                until_ns is not None and time.time_ns() >= until_ns
            )  # before we look: what came until then is shown
            found = _after(engine, last)
            for event in found:
                last = event.number
                in_time = (since_ns or 0) <= event.time_ns and (until_ns is None or event.time_ns <= until_ns)
                if in_time and _matches(event, filters):
                    yield event
            if is_over:
                return
            if found:
                quiet = 0
            quiet = 0 if _wait(watch, quiet, until_ns) else quiet + 1
    finally:
        os.close(watch)


def _newest(engine: Engine) -> int:
    (number,) = engine.connection.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()
    return int(number)


def _after(engine: Engine, number: int) -> list[Event]:
    rows = engine.connection.execute(
        "SELECT number, time_ns, kind, action, actor, attributes FROM events WHERE number > ? ORDER BY number",
        (number,),
    ).fetchall()
    return [
        Event(number=row[0], time_ns=row[1], kind=row[2], action=row[3], actor=row[4], attributes=loads(row[5]))
        for row in rows
    ]


def _wait(watch: int, quiet: int, until_ns: int | None) -> bool:
    """Block until something was written (gives True), or for as long as the `quiet`th look in vain asks for."""
    import select

    limit = LOOK_AGAIN_MS[quiet] if quiet < len(LOOK_AGAIN_MS) else None
    if until_ns is not None:
        left = min(max(0, (until_ns - time.time_ns()) // 1_000_000 + 1), LONGEST_POLL_MS)
        limit = left if limit is None else min(limit, left)
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    if not poll.poll(limit):
        return False
    os.read(watch, BLOCK)
    return True


def _matches(event: Event, filters: Mapping[str, Sequence[str]]) -> bool:
    """Values of one name are alternatives, except labels, which all have to be there; names have to fit together."""
    return all(
        (all if name == "label" else any)(_fits(event, name, value) for value in values)
        for name, values in filters.items()
    )


def _fits(event: Event, name: str, value: str) -> bool:
    if name == "type":
        return event.kind == value
    if name == "event":
        return value in (event.action, event.action.partition(":")[0])
    if name == "label":
        label, equals, wanted = value.partition("=")
        return label in event.attributes and (not equals or event.attributes[label] == wanted)
    if name == "scope":
        return value == "local"
    if name == "image":
        return _fits_image(event, value)
    named = event.attributes.get("name", "")
    return event.kind == name and bool(value) and (event.actor.startswith(value) or named == value.removeprefix("/"))


def _fits_image(event: Event, value: str) -> bool:
    """An image's own events and those of its containers; with or without the tag."""
    name = event.attributes.get("name" if event.kind == "image" else "image", "")
    if event.kind not in ("image", "container") or not value:
        return False
    is_id = event.kind == "image" and event.actor.removeprefix("sha256:").startswith(value.removeprefix("sha256:"))
    return is_id or value in (name, name.removesuffix(f":{name.rpartition(':')[2]}"))


def as_docker(event: Event) -> dict[str, Any]:
    """Give an event in the form of docker's JSON."""
    actor = {"ID": event.actor, "Attributes": dict(sorted(event.attributes.items()))}
    shown: dict[str, Any] = {}
    if event.kind in ("container", "image"):
        shown = {"status": event.action, "id": event.actor}
        if event.kind == "container":
            shown["from"] = event.attributes.get("image", "")
    return {
        **shown,
        "Type": event.kind,
        "Action": event.action,
        "Actor": actor,
        "scope": "local",
        "time": event.time_ns // 10**9,
        "timeNano": event.time_ns,
    }
