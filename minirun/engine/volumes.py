"""Volumes as verbs: create, list, inspect, remove, prune, and who uses which.

Owns: docker's rules and words for them. Leaves to others: directories and rows (storage/volumes), the
local driver's options (storage/mounting), a container's share in it (engine/volume_mounts).

Who uses a volume is read from the containers' own configurations: nothing is counted, so nothing can be miscounted.
"""

from __future__ import annotations

import os

from .. import database
from ..errors import Conflict, InvalidInput, MinirunError, NotFound
from ..record import Record
from ..storage.mounting import options_of
from ..storage.volumes import ANONYMOUS, Volume, check_name
from ..units import SECOND_NS, rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ..storage.usage import Size
    from .engine import Engine
    from .prune import Pruned

    Filters = Mapping[str, Sequence[str]]

DRIVER = "local"
_USERS = """
SELECT containers.id, json_extract(mount.value, '$.name') FROM containers, json_each(containers.config, '$.volumes') AS mount
"""


class VolumeUsage(Record):
    """A volume on disk: what it takes, how many containers refer to it."""

    volume: Volume
    size: Size
    links: int


def create_volume(
    engine: Engine,
    name: str = "",
    *,
    driver: str = DRIVER,
    labels: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> Volume:
    """Make a volume, or give the one that has this name; without a name it is anonymous. Raises InvalidInput, NotSupported."""
    labels, options = dict(labels or {}), dict(options or {})
    if not name:
        name = new_name()
        labels[ANONYMOUS] = ""
    check_name(name)
    check_driver(name, driver)
    options_of(name, options)
    while True:
        engine.volume_store.settle(name)  # one that is being removed is gone then
        with database.transaction(engine.connection):
            engine.volume_store.claim(name, labels, options)
        volume = engine.volume_store.settle(name)
        if volume is not None:
            return volume


def new_name() -> str:
    """Draw the name of an anonymous volume."""
    return os.urandom(32).hex()


def check_driver(name: str, driver: str) -> None:
    """Raise NotFound in docker's words for a driver that isn't there."""
    if driver not in ("", DRIVER):
        raise NotFound(f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found')


# ---- Lists ---------------------------------------------------------------------------------------------------------


def users(engine: Engine) -> dict[str, list[str]]:
    """Give the ids of the containers, running or not, that use each volume."""
    found: dict[str, list[str]] = {}
    for container_id, name in engine.connection.execute(_USERS):
        ids = found.setdefault(name, [])
        if container_id not in ids:
            ids.append(container_id)
    return found


def is_in_use(engine: Engine, name: str, *, but: str = "") -> bool:
    """Does a container use the volume that runs or is about to? `but` is the id of one that doesn't count."""
    running = ("running", "paused", "starting")
    chosen = f"{_USERS} WHERE json_extract(mount.value, '$.name') = ? AND containers.status IN {running} AND containers.id != ?"
    return engine.connection.execute(chosen, (name, but)).fetchone() is not None


def select(engine: Engine, filters: Filters) -> list[Volume]:
    """Give the volumes that pass every filter, by name: dangling, driver, label, name. Raises InvalidInput."""
    tests = [_test(engine, name, values) for name, values in filters.items()]
    return [volume for volume in engine.volume_store.all() if all(test(volume) for test in tests)]


def _test(engine: Engine, key: str, values: Sequence[str]) -> Callable[[Volume], bool]:
    if key == "dangling":
        wanted = _boolean(values)
        used = users(engine)
        return lambda volume: (volume.name not in used) == wanted
    if key == "name":
        return _by_name(values)
    if key == "driver":
        return lambda volume: DRIVER in values
    if key == "label":
        return lambda volume: all(_has_label(volume, value) for value in values)
    raise InvalidInput(f"invalid filter '{key}'")


def _by_name(values: Sequence[str]) -> Callable[[Volume], bool]:
    import re  # a filter by name is a regular expression, as docker has it

    try:
        patterns = [re.compile(value) for value in values]
    except re.error as error:
        raise InvalidInput(f"invalid filter 'name={values[0]}': {error}") from error
    return lambda volume: any(pattern.search(volume.name) for pattern in patterns)


def _boolean(values: Sequence[str]) -> bool:
    if len(values) != 1 or values[0] not in ("true", "1", "false", "0"):
        raise InvalidInput(f"invalid filter 'dangling=[{' '.join(values)}]'")
    return values[0] in ("true", "1")


def _has_label(volume: Volume, text: str) -> bool:
    name, equals, value = text.partition("=")
    return name in volume.labels and (not equals or volume.labels[name] == value)


def volume_json(engine: Engine, volume: Volume) -> dict[str, Any]:
    """Give a volume as docker's VolumeInspect does."""
    return {
        "CreatedAt": rfc3339(volume.created_ns // SECOND_NS * SECOND_NS),
        "Driver": DRIVER,
        "Labels": dict(sorted(volume.labels.items())) or None,
        "Mountpoint": engine.volume_store.data(volume.name),
        "Name": volume.name,
        "Options": dict(sorted(volume.options.items())) or None,
        "Scope": "local",
    }


def disk_usage(engine: Engine) -> tuple[VolumeUsage, ...]:
    """Measure every volume; blocks while it walks."""
    from ..storage.usage import Counter

    counter, used = Counter(), users(engine)
    return tuple(
        VolumeUsage(
            volume=volume,
            size=counter.measure(engine.volume_store.directory(volume.name)),
            links=len(used.get(volume.name, ())),
        )
        for volume in engine.volume_store.all()
    )


# ---- Removing ------------------------------------------------------------------------------------------------------


def remove_volume(engine: Engine, name: str, *, force: bool = False) -> None:
    """Remove a volume with its content. Conflict when a container uses it, NotFound unless `force`.

    MinirunError when something in it can't be removed: then it stays a volume, with what is left.
    """
    store = engine.volume_store
    with database.transaction(engine.connection):
        try:
            volume = store.find(name)
        except NotFound:
            if not force:
                raise
            return
        holders = users(engine).get(volume.name)
        if holders:
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(holders)}]")
        store.mark(volume.name, "removing")
    store.settle(volume.name)


def prune_volumes(engine: Engine, filters: Filters, *, everything: bool = False) -> Pruned:
    """Remove the anonymous volumes that no container uses; with `everything` those with a name too. Raises InvalidInput.

    One that can't be removed doesn't keep the others: `failures` has why.
    """
    from ..storage.usage import Counter
    from .prune import Pruned, note_prune

    wanted, unwanted = list(filters.get("label", ())), list(filters.get("label!", ()))
    everything = everything or _asks_for_all(filters)
    for name in filters:
        if name not in ("label", "label!", "all"):
            raise InvalidInput(f"invalid filter '{name}'")
    removed, reclaimed = [], 0
    failures: list[MinirunError] = []
    for volume in select(engine, {"dangling": ["true"]}):
        if not (everything or volume.is_anonymous) or any(_has_label(volume, text) for text in unwanted):
            continue
        if not all(_has_label(volume, text) for text in wanted):
            continue
        size = Counter().measure(engine.volume_store.directory(volume.name)).disk_bytes
        try:
            remove_volume(engine, volume.name)
        except (Conflict, NotFound):  # taken into use, or removed, by somebody else
            continue
        except MinirunError as error:
            failures.append(error)
            continue
        removed.append(volume.name)
        reclaimed += size
    note_prune(engine, "volume", reclaimed)
    return Pruned(removed=tuple(removed), reclaimed_bytes=reclaimed, failures=tuple(failures))


def _asks_for_all(filters: Filters) -> bool:
    values = filters.get("all", ())
    if any(value not in ("true", "1", "false", "0") for value in values):
        raise InvalidInput(f"invalid filter 'all=[{' '.join(values)}]'")
    return any(value in ("true", "1") for value in values)
