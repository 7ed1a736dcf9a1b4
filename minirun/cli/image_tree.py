"""`images --tree`: each image with its names, and below it the platform that it is for.

Owns: the tree's lines. Leaves to others: which images (cli/commands/images), figures (engine).

Disk usage is what an image has unpacked and as blobs; content size is its blobs alone, as a registry keeps them. U: a container
stands on it.
"""

from __future__ import annotations

from ..record import Record
from ..units import human_size
from .present import short_id

HEADINGS = ("IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA")
_GAP = 3


class Node(Record):
    """An image of the tree."""

    names: tuple[str, ...]
    id: str
    platform: str
    unpacked_bytes: int
    content_bytes: int
    in_use: bool


def tree(nodes: list[Node]) -> str:
    """Give the lines, headings first; numbers stand to the right, as docker has them."""
    rows: list[tuple[str, ...]] = [HEADINGS]
    for node in nodes:
        names = node.names or ("<untagged>",)
        rows += [(name, "", "", "", "") for name in names[:-1]]
        content, disk = human_size(node.content_bytes), human_size(node.unpacked_bytes + node.content_bytes)
        mark = "U" if node.in_use else ""
        rows.append((names[-1], short_id(node.id), disk, content, mark))
        rows.append((f"└─ {node.platform}", short_id(node.id), disk, content, mark))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in (0, 1, 4) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((" " * _GAP).join(cells).rstrip() + "\n")
    return "".join(lines)
