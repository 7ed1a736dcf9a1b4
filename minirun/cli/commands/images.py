"""`minirun images`: the images of this host as a table, ids, JSON, or by a template."""

from __future__ import annotations

from ...errors import InvalidInput
from ...output import write
from ..preferences import text_preference
from ..present import (
    CREATED_RAW,
    DIGESTS_RAW,
    DIGESTS_TABLE,
    IMAGES_RAW,
    IMAGES_TABLE,
    ImageRow,
    image_columns,
    short_id,
)
from ..table import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...command_line import Parsed
    from ...images.store import Image
    from ..invocation import Invocation

NONE = "<none>"


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    if parsed.flag("tree"):
        return _tree(invocation)
    with invocation.engine() as engine:
        images = engine.images.list(_filters(parsed))
    rows = list(_rows(images, parsed.flag("digests")))
    rows.sort(key=lambda row: (-row.created_ns, row.repository, row.tag))
    truncate = not parsed.flag("no-trunc")
    if parsed.flag("quiet") and parsed.text("format") in ("", "raw"):
        before = "image_id: " if parsed.text("format") else ""
        write("".join(f"{before}{short_id(row.id) if truncate else row.id}\n" for row in rows))
        return 0
    default = DIGESTS_TABLE if parsed.flag("digests") else IMAGES_TABLE
    template = parsed.text("format") or text_preference("imagesFormat")
    raw = (*(DIGESTS_RAW if parsed.flag("digests") else IMAGES_RAW), *CREATED_RAW)
    write(show(image_columns(truncate=truncate), rows, template, default, raw))
    return 0


def _tree(invocation: Invocation) -> int:
    from ..image_tree import Node, tree

    parsed = invocation.parsed
    for name, is_set in (
        ("quiet", parsed.flag("quiet")),
        ("no-trunc", parsed.flag("no-trunc")),
        ("digests", parsed.flag("digests")),
        ("format", parsed.text("format")),
    ):
        if is_set:
            raise InvalidInput(f"--{name} is not yet supported with --tree")
    nodes = []
    with invocation.engine() as engine:
        rows = engine.rows.all()
        used = {row.image_id for row in rows} | {mount.image_id for row in rows for mount in row.config.image_mounts}
        for image in engine.images.list(_filters(parsed)):
            variant = engine.images.configuration(image).get("variant")
            parts = (image.os, image.architecture, variant if isinstance(variant, str) else "")
            nodes.append(
                Node(
                    names=image.tags,
                    id=image.id,
                    platform="/".join(part for part in parts if part),
                    unpacked_bytes=image.size_bytes,
                    content_bytes=engine.images.content_bytes(image),
                    in_use=image.id in used,
                )
            )
    write(tree(nodes))
    return 0


def _rows(images: Iterable[Image], with_digests: bool) -> Iterator[ImageRow]:
    """Give a row per name, with digests one per digest of it."""
    for image in images:
        for repository, tag in _names(image):
            digests = [each.rpartition("@")[2] for each in image.digests if each.rpartition("@")[0] == repository]
            for digest in (digests or [NONE]) if with_digests else [", ".join(digests) or NONE]:
                yield ImageRow(
                    repository=repository,
                    tag=tag,
                    id=image.id,
                    created_ns=image.created_ns,
                    size_bytes=image.size_bytes,
                    digest=digest,
                )


def _names(image: Image) -> list[tuple[str, str]]:
    """Give repository and tag of each name; one that was pulled by its digest has a repository alone."""
    if image.tags:
        return [(repository, tag) for repository, _, tag in (name.rpartition(":") for name in image.tags)]
    repositories = dict.fromkeys(each.rpartition("@")[0] for each in image.digests)
    return [(repository, NONE) for repository in repositories] or [(NONE, NONE)]


def _filters(parsed: Parsed) -> dict[str, list[str]]:
    """Gather the conditions by their names, the argument among them; an instant becomes nanoseconds since the epoch."""
    filters: dict[str, list[str]] = {}
    for name, value in parsed.many("filter"):
        if name == "until":
            from ..values.times import instant

            value = str(instant(value))
        filters.setdefault(name, []).append(value)
    if parsed.arguments and parsed.arguments[0]:
        filters.setdefault("reference", []).append(parsed.arguments[0])
    return filters
