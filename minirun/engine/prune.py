"""Removing what nobody uses: containers at rest, images without a name or without a container.

Owns: docker's rules for what may go, the filters, the space that comes back. Leaves to others: the removals themselves
(engine/remove, images/removing), asking the user (cli/).

One that somebody takes into use at this moment stays: each removal asks again, in its own transaction.
"""

from __future__ import annotations

import os
import time

from ..errors import Conflict, Exhausted, InvalidInput, MinirunError, NotFound
from ..light import suppress
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..images.image import Image
    from .container import Container
    from .engine import Engine

    Filters = Mapping[str, Sequence[str]]

_LATEST_NS = (1 << 63) - 1

FILTERS = ("until", "label", "label!")
_DANGLING = {"true": True, "1": True, "false": False, "0": False}  # of images: false means --all


class Pruned(Record):
    """What is gone: ids of containers, docker's lines about images, and the bytes of the disk that came back.

    `kept` counts the images that would have gone, had no name led to them a short time ago; `failures` say what couldn't go.
    """

    removed: tuple[str, ...] = ()
    reclaimed_bytes: int = 0
    kept: int = 0
    failures: tuple[MinirunError, ...] = ()


def prune_containers(engine: Engine, filters: Filters) -> Pruned:
    """Remove all containers at rest that pass the filters. Raises InvalidInput for a filter that doesn't exist.

    One that can't be removed doesn't keep the others: `failures` has why.
    """
    passes = _filter(filters)
    removed, reclaimed = [], 0
    failures: list[MinirunError] = []
    for container in reversed(engine.containers(all=True)):
        if container.status not in ("created", "exited") or not passes(
            container.created_ns, _labels(engine, container)
        ):
            continue
        size = _size_of(engine, container)
        try:
            engine.remove(container.id)
        except (Conflict, NotFound):  # started, or removed, by somebody else
            continue
        except MinirunError as error:
            failures.append(error)
            continue
        removed.append(container.id)
        reclaimed += size
    note_prune(engine, "container", reclaimed)
    return Pruned(removed=tuple(removed), reclaimed_bytes=reclaimed, failures=tuple(failures))


def prune_images(engine: Engine, filters: Filters, *, everything: bool = False, keep_seconds: float = 0.0) -> Pruned:
    """Remove the images that have no name, or (`everything`) no container. Raises InvalidInput for a filter that doesn't exist.

    One that a name led to in the last `keep_seconds` is kept for `rollback`.
    """
    from .usage import parts_of_images

    dangling = filters.get("dangling", ())
    if not set(dangling) <= set(_DANGLING):
        raise InvalidInput(f"invalid filter 'dangling={next(each for each in dangling if each not in _DANGLING)}'")
    everything = everything or any(not _DANGLING[each] for each in dangling)
    passes = _filter({name: values for name, values in filters.items() if name != "dangling"})
    spare = [
        image
        for image in engine.images.list()
        if _is_spare(image, everything) and passes(*_facts(image)) and not _is_used(engine, image)
    ]
    chosen = [image for image in spare if image.tags or not engine.images.still_reachable(image.id, keep_seconds)]
    parts = parts_of_images(engine)
    candidates = {path for image in chosen for path in parts.get(image.id, ())}
    sizes = _sizes(candidates)
    lines: list[str] = []
    for image in chosen:
        with suppress(Conflict, NotFound):  # taken into use, or removed, by somebody else
            lines += engine.images.remove(image.id, force=True, keep_seconds=keep_seconds)
    gone = sum(size for path, size in sizes.items() if not os.path.lexists(path))
    if not filters:
        gone += engine.images.forget_incoming()
    note_prune(engine, "image", gone)
    return Pruned(removed=tuple(lines), reclaimed_bytes=gone, kept=len(spare) - len(chosen))


def note_prune(engine: Engine, kind: str, reclaimed_bytes: int) -> None:
    """Record that things of a kind were pruned; on a full disk that is lost, and the prune isn't."""
    from .. import database

    with suppress(Exhausted), database.transaction(engine.connection):
        database.record_event(engine.connection, kind, "prune", "", {"reclaimed": str(reclaimed_bytes)})


def _filter(filters: Filters) -> _Filter:
    for name in filters:
        if name not in FILTERS:
            raise InvalidInput(f"invalid filter '{name}'")
    return _Filter(filters)


class _Filter:
    """The conditions of a prune: called with an age and labels, it says whether the thing may go."""

    def __init__(self, filters: Filters) -> None:
        instants = filters.get("until", ())
        if len(instants) > 1:
            raise InvalidInput("more than one until filter specified")
        self._before_ns = _instant(instants[0]) if instants else None
        self._wanted = [text.partition("=") for text in filters.get("label", ())]
        self._unwanted = [text.partition("=") for text in filters.get("label!", ())]

    def __call__(self, created_ns: int, labels: Mapping[str, str]) -> bool:
        if self._before_ns is not None and created_ns > self._before_ns:
            return False
        return all(_has(labels, *pair) for pair in self._wanted) and not any(
            _has(labels, *pair) for pair in self._unwanted
        )


def _has(labels: Mapping[str, str], name: str, equals: str, value: str) -> bool:
    return name in labels and (not equals or labels[name] == value)


def _instant(text: str) -> int:
    """Read nanoseconds since the epoch, as text, or a span before now: an edge may hand over either."""
    from ..units import parse_span, whole_number

    if (instant := whole_number(text, _LATEST_NS)) is not None:
        return instant
    span = parse_span(text)
    if span is None:
        raise InvalidInput(f'failed to parse value as time or duration: "{text}"')
    return time.time_ns() - span


def _labels(engine: Engine, container: Container) -> dict[str, str]:
    """Give the labels of a container, its image's among them."""
    labels: dict[str, str] = {}
    with suppress(NotFound):
        labels = engine.images.resolve(container.image_id).config.get("Labels") or {}
    return {**labels, **container.config.labels}


def _facts(image: Image) -> tuple[int, dict[str, str]]:
    return image.created_ns, image.config.get("Labels") or {}


def _is_spare(image: Image, everything: bool) -> bool:
    return everything or not image.tags


def _is_used(engine: Engine, image: Image) -> bool:
    from ..images.removing import holder_of

    return holder_of(engine.connection, image.id) is not None


def _size_of(engine: Engine, container: Container) -> int:
    from ..storage.usage import Counter

    return Counter().measure(engine.layout.container(container.id)).disk_bytes


def _sizes(paths: set[str]) -> dict[str, int]:
    from ..storage.usage import Counter

    counter = Counter()
    return {path: counter.measure(path).disk_bytes for path in sorted(paths)}
