"""Where names have led: every move of a tag, and the way back.

Owns: the table `tag_history`, what can be reached by going back, for how long that counts. Leaves to others: the table of
present names (images/adding sets them, images/removing takes them away; both write here what they do), removing images.

A row says that from `moved_ns` on a name led to an image ("" : to none), and by which command. The newest row of a name is its
present. Rows outlive the images that they name; `image rollback` says so when it is asked for one that is gone.
"""

from __future__ import annotations

import time

from .. import database
from ..errors import InvalidInput, NotFound
from ..record import Record
from .reference import familiar, id_prefix, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from .store import Images

KEPT_MOVES = 1000  # of one name; older ones are forgotten


class Move(Record):
    """One move of a name. `number` 0 is the present, 1 what it led to before, and so on; `image_id` "" is no image at all."""

    number: int
    image_id: str
    moved_ns: int
    how: str
    is_here: bool  # the image is still in the store

    @property
    def short_id(self) -> str:
        return self.image_id[7:19]


def last_tagged_ns(connection: sqlite3.Connection, image_id: str) -> int:
    """Give when a name was last made to lead to an image, 0 for never."""
    query = "SELECT coalesce(max(moved_ns), 0) FROM tag_history WHERE image_id = ?"
    return int(connection.execute(query, (image_id,)).fetchone()[0])


def note(connection: sqlite3.Connection, name: str, image_id: str, how: str) -> None:
    """Write down that a full name leads to an image ("" for none) from now on. In the caller's transaction. Again the same is
    no move.
    """
    row = connection.execute(
        "SELECT image_id FROM tag_history WHERE name = ? ORDER BY number DESC LIMIT 1", (name,)
    ).fetchone()
    if (row[0] if row else "") == image_id:
        return
    connection.execute(
        "INSERT INTO tag_history (name, image_id, moved_ns, how) VALUES (?, ?, ?, ?)",
        (name, image_id, time.time_ns(), how),
    )
    connection.execute(
        "DELETE FROM tag_history WHERE name = ?1 AND number <="
        " (SELECT number FROM tag_history WHERE name = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        (name, KEPT_MOVES),
    )


def moves(connection: sqlite3.Connection, wanted: str) -> list[Move]:
    """Give the moves of a name, the newest first. Raises NotFound for a name that never led anywhere, InvalidInput for none."""
    reference = parse(wanted)
    if reference.digest:
        raise InvalidInput(f"'{wanted}' is a digest, which always means the same: only a name has a history")
    rows = connection.execute(
        "SELECT image_id, moved_ns, how, EXISTS (SELECT 1 FROM images WHERE images.id = image_id)"
        " FROM tag_history WHERE name = ? ORDER BY number DESC",
        (reference.full,),
    ).fetchall()
    if not rows:
        raise NotFound(f"No such image: {wanted}")
    return [
        Move(number=place, image_id=image_id, moved_ns=moved_ns, how=how, is_here=bool(is_here))
        for place, (image_id, moved_ns, how, is_here) in enumerate(rows)
    ]


def rollback(images: Images, wanted: str, to: str = "") -> Move:
    """Let a name lead to what it led to before: to the move of number `to`, or to the image of that id. Gives where it leads now.

    "" is the newest move before the present one that leads to an image. Raises NotFound, InvalidInput; then nothing has changed.
    """
    from .adding import index_entries, set_tag

    with database.transaction(images.connection):
        move = _chosen(moves(images.connection, wanted), wanted, to)
        if not move.is_here:
            raise NotFound(f"roll back {wanted} to {move.short_id}: that image isn't here any more: load it again")
        set_tag(images.connection, parse(wanted).full, move.image_id, how="rollback")
        images.blobs.write_index(index_entries(images.connection))
    return move


def _chosen(found: list[Move], wanted: str, to: str) -> Move:
    name = familiar(parse(wanted).full)
    present = found[0].image_id
    if not to:
        for move in found[1:]:
            if move.image_id and move.image_id != present:
                return move
        raise NotFound(f"{name} never led to another image: there is nothing to go back to")
    if to.isascii() and to.isdecimal() and len(to) < 6:
        if int(to) >= len(found):
            raise NotFound(f"{name} has no move {to}: 'minirun image log {name}' lists them, 0 to {len(found) - 1}")
        move = found[int(to)]
        if not move.image_id:
            raise InvalidInput(f"move {to} of {name} took the name away: 'minirun rmi {name}' does that")
        return move
    digits = id_prefix(to)
    matching = {move.image_id: move for move in found if digits and move.image_id.startswith(f"sha256:{digits}")}
    if len(matching) != 1:
        why = "more than one image's id begins so" if matching else "it never led to that image"
        raise NotFound(f"roll back {name} to {to}: {why}: 'minirun image log {name}' lists where it led")
    return next(iter(matching.values()))


def still_reachable(connection: sqlite3.Connection, image_id: str, keep_seconds: float) -> bool:
    """Say whether a name led to an image within the last `keep_seconds`, so that `image rollback` may be meant to lead there again.

    For who removes images that have no name any more. 0 spares none.
    """
    since_ns = time.time_ns() - int(keep_seconds * 1e9)
    row = connection.execute(
        "SELECT 1 FROM tag_history AS move WHERE image_id = ? AND coalesce((SELECT min(later.moved_ns) FROM tag_history AS later"
        " WHERE later.name = move.name AND later.number > move.number), ?) > ? LIMIT 1",
        (image_id, since_ns, since_ns),
    ).fetchone()
    return row is not None
