"""An image as the store knows it: one row, one frozen value.

Owns: `Image`, `Loaded`, reading rows. Leaves to others: finding rows (images/store), what the configuration means (engine/spec).
"""

from __future__ import annotations

from ..jsontext import loads
from ..record import Record
from .reference import familiar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COLUMNS = "id, config, architecture, os, created, created_ns, size_bytes, layers, chain_id"
# All names of an image in one string; no name holds a space.
TAGS = "(SELECT group_concat(name, ' ') FROM (SELECT name FROM tags WHERE tags.image_id = images.id ORDER BY name))"
DIGESTS = "(SELECT group_concat(repository || '@' || digest, ' ') FROM digests WHERE digests.image_id = images.id)"
SELECT = f"SELECT {COLUMNS}, {TAGS}, {DIGESTS} FROM images"  # noqa: S608  (both are written above)


class Image(Record):
    """An image; `config` is the "config" object of its OCI configuration, `tags` are familiar names (busybox:latest)."""

    id: str  # sha256:..., the digest of its configuration
    tags: tuple[str, ...]
    config: dict[str, Any]
    architecture: str
    os: str
    created: str  # as its configuration has it: RFC 3339, "" when it says nothing
    created_ns: int  # the same since the epoch, 0 for nothing
    size_bytes: int  # content of all its layers
    layers: tuple[str, ...]  # diff ids, the lowest first
    chain_id: str  # of the topmost layer; "" without layers
    digests: tuple[str, ...] = ()  # busybox@sha256:..., as its registries know it

    @property
    def short_id(self) -> str:
        """The first twelve digits, as tables show them."""
        return self.id[7:19]


class Loaded(Record):
    """What `load` made of one name in an archive; `reference` is its familiar form, "" for an image without a name."""

    id: str
    reference: str = ""


def from_row(row: tuple[Any, ...]) -> Image:
    """Read a row that SELECT gave."""
    return Image(
        id=row[0],
        config=loads(row[1]),
        architecture=row[2],
        os=row[3],
        created=row[4],
        created_ns=row[5],
        size_bytes=row[6],
        layers=tuple(loads(row[7])),
        chain_id=row[8],
        tags=tuple(familiar(name) for name in (row[9] or "").split()),
        digests=tuple(sorted(familiar(name) for name in (row[10] or "").split())),
    )
