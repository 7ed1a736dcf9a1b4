"""`minirun images`: the images of this host as a table, ids, JSON, or by a template."""

from __future__ import annotations

from ...errors import InvalidInput
from ...output import write
from ..present import DIGESTS_TABLE, IMAGES_TABLE, ImageRow, image_columns, short_id
from ..table import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...images.store import Image
    from ..invocation import Invocation

NONE = "<none>"


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    if parsed.flag("tree"):
        return _tree(invocation)
    with invocation.engine() as engine:
        images = engine.images.list()
    chosen = _filtered(images, parsed.many("filter"))
    rows = list(_rows(chosen, parsed.arguments[0] if parsed.arguments else "", parsed.flag("digests")))
    rows.sort(key=lambda row: (-row.created_ns, row.repository, row.tag))
    truncate = not parsed.flag("no-trunc")
    if parsed.flag("quiet") and not parsed.text("format"):
        ids = dict.fromkeys(row.id for row in rows)
        write("".join((short_id(each) if truncate else each) + "\n" for each in ids))
        return 0
    default = DIGESTS_TABLE if parsed.flag("digests") else IMAGES_TABLE
    write(show(image_columns(truncate=truncate), rows, parsed.text("format"), default))
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
    wanted = parsed.arguments[0] if parsed.arguments else ""
    nodes = []
    with invocation.engine() as engine:
        used = {container.image_id for container in engine.rows.all()}
        for image in _filtered(engine.images.list(), parsed.many("filter")):
            names = image.tags
            if wanted:
                names = tuple(name for name in names if wanted in (name, name.rpartition(":")[0]))
            if wanted and not names:
                continue
            variant = engine.images.configuration(image).get("variant")
            parts = (image.os, image.architecture, variant if isinstance(variant, str) else "")
            nodes.append(
                Node(
                    names=names,
                    id=image.id,
                    platform="/".join(part for part in parts if part),
                    unpacked_bytes=image.size_bytes,
                    content_bytes=engine.images.content_bytes(image),
                    in_use=image.id in used,
                )
            )
    write(tree(nodes))
    return 0


def _rows(images: Iterable[Image], wanted: str, with_digests: bool) -> Iterator[ImageRow]:
    """Give a row per name, with digests one per digest of it; `wanted` is a repository, or a repository and a tag."""
    for image in images:
        for repository, tag in _names(image):
            if wanted and wanted not in (repository, f"{repository}:{tag}"):
                continue
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


def _filtered(images: Iterable[Image], conditions: Iterable[tuple[str, str]]) -> Iterator[Image]:
    conditions = tuple(conditions)
    for name, value in conditions:
        if name not in ("reference", "dangling", "label") or (name == "dangling" and value not in ("true", "false")):
            raise InvalidInput(
                f"invalid filter '{name}={value}': there are reference=PATTERN, dangling=true|false, label=KEY[=VALUE]"
            )
    return (image for image in images if all(_passes(image, name, value) for name, value in conditions))


def _passes(image: Image, name: str, value: str) -> bool:
    if name == "dangling":
        return (not image.tags) == (value == "true")
    if name == "label":
        labels = image.config.get("Labels") or {}
        key, equals, wanted = value.partition("=")
        return key in labels and (not equals or labels[key] == wanted)
    from fnmatch import fnmatchcase

    return any(fnmatchcase(tag, value) or fnmatchcase(tag.rpartition(":")[0], value) for tag in image.tags)
