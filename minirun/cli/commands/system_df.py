"""`minirun system df`: what images and containers take on disk."""

from __future__ import annotations

from ...errors import InvalidInput
from ...output import align, write
from ...units import human_size
from ..present import ImageRow as Row
from ..present import container_columns, image_columns
from ..table import MINIMUM, Column, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from ...engine.usage import ContainerUsage, DiskUsage, ImageUsage, Total
    from ..invocation import Invocation
    from ..table import Columns

TABLE = ("Type", "TotalCount", "Active", "Size", "Reclaimable")
RAW = (
    ("type", "Type"),
    ("total", "TotalCount"),
    ("active", "Active"),
    ("size", "Size"),
    ("reclaimable", "Reclaimable"),
)
IMAGES = ("Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers")
CONTAINERS = ("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names")
VOLUMES = ("Name", "Links", "Size")
NONE = "<none>"


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    template = parsed.text("format")
    if parsed.flag("verbose") and template not in ("", "table", "json"):
        raise InvalidInput("--verbose shows three tables: leave the template out, or ask for json")
    with invocation.engine() as engine:
        usage = engine.disk_usage()
    if not parsed.flag("verbose"):
        write(show(columns(), usage.totals, template, TABLE, RAW))
    elif template == "json":
        write(_verbose_json(usage))
    else:
        write(_verbose(usage))
    return 0


def columns() -> Columns:
    """Give the fields of `system df`, by the names that templates use."""
    return {
        "Type": Column(heading="TYPE", value=lambda total: total.kind),
        "TotalCount": Column(heading="TOTAL", value=lambda total: str(total.count)),
        "Active": Column(heading="ACTIVE", value=lambda total: str(total.active)),
        "Size": Column(heading="SIZE", value=lambda total: human_size(total.size_bytes, 4)),
        "Reclaimable": Column(heading="RECLAIMABLE", value=_reclaimable),
    }


def _reclaimable(total: Total) -> str:
    text = human_size(total.reclaimable_bytes, 4)
    return f"{text} ({total.reclaimable_bytes * 100 // total.size_bytes}%)" if total.size_bytes else text


def _verbose(usage: DiskUsage) -> str:
    """Give docker's four lists; that of a build cache is empty."""
    return "\n".join(
        (
            "Images space usage:\n\n" + show(_image_columns(), list(_image_rows(usage.images)), "", IMAGES),
            "Containers space usage:\n\n" + show(_container_columns(), usage.containers, "", CONTAINERS),
            "Local Volumes space usage:\n\n" + show(_volume_columns(), usage.volumes, "", VOLUMES),
            "Build cache usage: 0B\n\n"
            + align([("CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED")], MINIMUM),
        )
    )


def _verbose_json(usage: DiskUsage) -> str:
    """Give one object with the four lists."""
    lists = {
        "Images": show(_image_columns(), list(_image_rows(usage.images)), "json", IMAGES),
        "Containers": show(_container_columns(), usage.containers, "json", CONTAINERS),
        "Volumes": show(_volume_columns(), usage.volumes, "json", VOLUMES),
    }
    parts = [f'"{name}":[{",".join(text.splitlines())}]' for name, text in lists.items()]
    return "{" + ",".join([*parts, '"BuildCache":[]']) + "}\n"


def _image_rows(usages: Sequence[ImageUsage]) -> Iterator[tuple[ImageUsage, Row]]:
    """Give a row per name, as `images` does."""
    for usage in usages:
        image = usage.image
        for name in image.tags or (f"{NONE}:{NONE}",):
            repository, _, tag = name.rpartition(":")
            yield (
                usage,
                Row(
                    repository=repository,
                    tag=tag,
                    id=image.id,
                    created_ns=image.created_ns,
                    size_bytes=usage.shared_bytes + usage.unique_bytes,
                ),
            )


def _image_columns() -> Columns:
    of_images = {
        name: Column(heading=column.heading, value=_of_part(column, lambda pair: pair[1]))
        for name, column in image_columns(truncate=True).items()
    }
    return {
        **of_images,
        "SharedSize": Column(heading="SHARED SIZE", value=lambda pair: human_size(pair[0].shared_bytes, 4)),
        "UniqueSize": Column(heading="UNIQUE SIZE", value=lambda pair: human_size(pair[0].unique_bytes, 4)),
        "Containers": Column(heading="CONTAINERS", value=lambda pair: str(pair[0].containers)),
    }


def _container_columns() -> Columns:
    of_containers = {
        name: Column(
            heading=column.heading,
            value=_of_part(column, lambda usage: usage.container),
            in_json=column.in_json,
        )
        for name, column in container_columns(truncate=True).items()
    }
    return {**of_containers, "Size": Column(heading="SIZE", value=_container_size)}


def _volume_columns() -> Columns:
    return {
        "Name": Column(heading="VOLUME NAME", value=lambda usage: usage.volume.name),
        "Links": Column(heading="LINKS", value=lambda usage: str(usage.links)),
        "Size": Column(heading="SIZE", value=lambda usage: human_size(usage.size.disk_bytes)),
    }


def _of_part(column: Column, part: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let a column of another list speak about a part of this one's items."""
    return lambda item: column.value(part(item))


def _container_size(usage: ContainerUsage) -> str:
    return human_size(usage.size.disk_bytes)
