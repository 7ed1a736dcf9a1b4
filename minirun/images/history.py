"""`history`: the steps that made an image.

Owns: joining what the configuration says of the steps with what its layers hold. Leaves to others: columns (cli/present).
"""

from __future__ import annotations

from ..record import Record
from .configuration import nanoseconds
from .digest import chain_ids
from .platform import check_platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .store import Images


class Step(Record):
    """One step; `image_id` is that of the whole image for the newest, "" for the others, whose images nobody has."""

    image_id: str
    created: str  # RFC 3339, "" when the image doesn't say
    created_ns: int  # 0 likewise
    created_by: str
    comment: str
    size_bytes: int


def history(images: Images, wanted: str, platform: str = "") -> list[Step]:
    """Give the steps, the newest first. Raises NotFound, InvalidInput, Corrupt."""
    image = images.resolve(wanted)
    check_platform(image, wanted, platform)
    sizes = [images.snapshots.size_bytes(link) or 0 for link in chain_ids(image.layers)]
    steps = []
    for line in _lines(images.configuration(image)):
        size = 0 if line.get("empty_layer") is True or not sizes else sizes.pop(0)
        created = _text(line, "created")
        steps.append(
            Step(
                image_id="",
                created=created,
                created_ns=nanoseconds(created),
                created_by=_text(line, "created_by"),
                comment=_text(line, "comment"),
                size_bytes=size,
            )
        )
    if steps:
        steps[-1] = steps[-1].replace(image_id=image.id)
    return steps[::-1]


def _lines(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Images are hostile: whatever isn't as it should be says nothing."""
    lines = document.get("history")
    return [line for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []


def _text(line: dict[str, Any], key: str) -> str:
    value = line.get(key)
    return value if isinstance(value, str) else ""
