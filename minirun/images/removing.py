"""`rmi`: taking names away, and images with their last one.

Owns: docker's rules for what may go, the order in which it goes. Leaves to others: the command line's loop over names.

    rows and names go in one transaction, which also asks whether a container needs the image
    then, under the write lock again, blobs and directories that no row names move into a stage
    the end of the stage removes them

`force` overrides what is a matter of taste (several names), never what a container stands on: its layers are the image's.
"""

from __future__ import annotations

import os

from .. import database
from ..errors import Conflict
from .adding import index_entries
from .reference import familiar, id_prefix, parse
from .tag_history import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from .image import Image
    from .store import Images


def remove(images: Images, wanted: str, *, force: bool, keep_seconds: float = 0.0) -> list[str]:
    """Remove a name or an image; gives docker's lines. Raises NotFound, Conflict; then nothing has changed.

    With `keep_seconds` it only loses its names: they have led to it until now, so it stays for `rollback` (images/tag_history).
    """
    with images.snapshots.stage() as stage:
        with database.transaction(images.connection):
            image = images.resolve(wanted)
            name = _name_of(image, wanted)
            if name and len(image.tags) > 1:
                lines = _untag(images, image.id, [name])
            elif keep_seconds and image.tags:
                lines = _untag(images, image.id, list(image.tags))
            else:
                lines = _remove_image(images, image, by_name=bool(name), force=force)
            images.blobs.write_index(index_entries(images.connection))
        images.snapshots.collect(stage.path)
        collect_blobs(images, stage.path)
    return lines


def holder_of(connection: sqlite3.Connection, image_id: str) -> tuple[str, str] | None:
    """Give id and status of a container that stands on an image or shows it inside, one that runs if there is one."""
    shown = "SELECT 1 FROM json_each(config, '$.image_mounts') WHERE json_extract(value, '$.image_id') = ?1"
    holder: tuple[str, str] | None = connection.execute(
        f"SELECT id, status FROM containers WHERE image_id = ?1 OR EXISTS ({shown})"  # noqa: S608  (our own words)
        " ORDER BY status IN ('running', 'paused') DESC LIMIT 1",
        (image_id,),
    ).fetchone()
    return holder


def collect_blobs(images: Images, aside: str) -> None:
    """Move the blobs that no row names into `aside`, the directory of a stage, whose end removes them."""
    with database.transaction(images.connection):
        wanted = images.wanted_blobs()
        for digest in images.blobs.names():
            if digest not in wanted:
                os.rename(images.blobs.path(digest), f"{aside}/blob-{digest[7:]}")


def _name_of(image: Image, wanted: str) -> str:
    """Give the familiar name when the user has named the image by it, "" when by id or digest."""
    if wanted.startswith("sha256:") or "@" in wanted or len(id_prefix(wanted)) == 64:
        return ""
    name = parse(wanted).familiar
    return name if name in image.tags else ""


def _untag(images: Images, image_id: str, names: list[str]) -> list[str]:
    for name in names:
        images.connection.execute("DELETE FROM tags WHERE name = ?", (parse(name).full,))
        note(images.connection, parse(name).full, "", "untag")
        database.record_event(images.connection, "image", "untag", image_id, {"name": name})
    return [f"Untagged: {name}" for name in names]


def _remove_image(images: Images, image: Image, *, by_name: bool, force: bool) -> list[str]:
    repositories = {name.rpartition(":")[0] for name in image.tags}
    if not by_name and len(repositories) > 1 and not force:
        raise Conflict(
            f"conflict: unable to delete {image.short_id} (must be forced) - image is referenced in multiple repositories"
        )
    holder = holder_of(images.connection, image.id)
    if holder is not None:
        container = holder[0][:12]
        if by_name and force:
            return _untag(images, image.id, list(image.tags))
        if by_name:
            raise Conflict(
                f'conflict: unable to remove repository reference "{image.tags[0]}" (must force)'
                f" - container {container} is using its referenced image {image.short_id}"
            )
        kind = "running" if holder[1] in ("running", "paused") else "stopped"
        raise Conflict(
            f"conflict: unable to delete {image.short_id} (cannot be forced) - image is being used by {kind} container {container}"
        )
    lines = _untag(images, image.id, list(image.tags))
    for repository, digest in images.connection.execute(
        "SELECT repository, digest FROM digests WHERE image_id = ? ORDER BY repository, digest", (image.id,)
    ).fetchall():
        lines.append(f"Untagged: {familiar(repository)}@{digest}")
    images.connection.execute("DELETE FROM digests WHERE image_id = ?", (image.id,))
    images.connection.execute("DELETE FROM images WHERE id = ?", (image.id,))
    database.record_event(images.connection, "image", "delete", image.id, {"name": image.id})
    lines.append(f"Deleted: {image.id}")

    def is_wanted(chain_id: str) -> bool:
        return images.connection.execute("SELECT 1 FROM images WHERE chain_id = ?", (chain_id,)).fetchone() is not None

    return lines + [f"Deleted: {chain_id}" for chain_id in images.snapshots.release(image.chain_id, is_wanted)]
