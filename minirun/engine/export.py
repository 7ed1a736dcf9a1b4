"""`export`: a container's whole file system as a tar archive, without its volumes.

Owns: `export`. Leaves to others: the view (engine/view), the format (linux/tar).
"""

from __future__ import annotations

from ..errors import MinirunError
from ..linux.tar import Tar
from .view import reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .container import Container
    from .engine import Engine

PIECE = 256 * 1024


def export(engine: Engine, container: Container) -> Iterator[bytes]:
    """Give the archive piece by piece. Raises MinirunError. The container goes on; what it changes meanwhile may be in it or
    not.
    """
    engine.rows.note_alone(container, "export")
    with reading(engine, container) as view, Tar(view.root, sparse=True) as tar:
        if view.ids is not None:
            tar.map_ids(view.ids.uid, view.ids.gid, view.ids.size)
        yield from pieces(tar, f"export container {container.name}")


def pieces(tar: Tar, what: str) -> Iterator[bytes]:
    """Read an archive to its end; a file that can't be read is a MinirunError that says `what` was tried."""
    try:
        while piece := tar.read(PIECE):
            yield piece
    except OSError as error:
        raise MinirunError(f"{what}: {error.strerror}") from error
