"""Layer chains unpacked on disk: each link of a chain once, shared by all images and containers above it.

Owns: snapshots/N/fs and the table of snapshots. Leaves to others: how a layer is unpacked (images/layers), which chains
are wanted (images/store), the mount (runtime).

    snapshots/staging/NAME/...        unfinished work (storage/staging)
    snapshots/7/fs                    what layer 1 holds
    snapshots/9/fs                    what layer 2 changes about it: overlayfs whiteouts, opaque directories
    snapshots/0/fs                    always empty: what an image without layers stands on

Publishing is a rename under the database's write lock, together with the row: a directory without a row is left over from a
killed process and is removed by `sweep`, a row without a directory can't be.
"""

from __future__ import annotations

import os

from .. import database
from ..errors import Corrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from ..light import ExitStack
    from .staging import Stage, Staging

    class Prepared(Protocol):
        """An unpacked layer that waits in a stage: `directory` holds `fs`; `parent` is the chain below, "" for none."""

        @property
        def chain_id(self) -> str: ...
        @property
        def parent(self) -> str: ...
        @property
        def directory(self) -> str: ...
        @property
        def size_bytes(self) -> int: ...


CHAIN = """
WITH RECURSIVE chain (number, parent, depth) AS (
    SELECT number, parent, 0 FROM snapshots WHERE chain_id = ?
    UNION ALL
    SELECT below.number, below.parent, depth + 1 FROM snapshots AS below JOIN chain ON below.number = chain.parent
)
SELECT number FROM chain ORDER BY depth
"""


class Snapshots:
    """All snapshots of one data root."""

    def __init__(self, root: str, connection: sqlite3.Connection) -> None:
        self.root = root
        self._connection = connection
        self._staging_directory = f"{root}/staging"

    def lowers(self, chain_id: str) -> tuple[str, ...]:
        """Give the directories of a chain beneath `root`, the top first. One query; raises Corrupt when it isn't there."""
        if not chain_id:
            return ("0/fs",)
        numbers = self._connection.execute(CHAIN, (chain_id,)).fetchall()
        if not numbers:
            raise Corrupt(f"the layers of {chain_id} are missing below {self.root}: remove the image and load it again")
        return tuple(f"{number}/fs" for (number,) in numbers)

    def size_bytes(self, chain_id: str) -> int | None:
        """Give what a chain's top layer holds; None when the chain isn't there."""
        row = self._connection.execute("SELECT size_bytes FROM snapshots WHERE chain_id = ?", (chain_id,)).fetchone()
        return None if row is None else int(row[0])

    def stage(self) -> Stage:
        """Make a private directory on this file system for unfinished work; it dies with the process."""
        return self._staging().create()

    def prepare_empty(self) -> None:
        """Make sure that snapshots/0/fs is there."""
        os.makedirs(f"{self.root}/0/fs", 0o755, exist_ok=True)

    def publish(self, prepared: Sequence[Prepared], aside: str, undo: ExitStack) -> list[str]:
        """Move prepared layers to their places, below ones first, and give the chain ids that are new.

        In the caller's transaction: `undo` gets what moves the directories back into the stage if it isn't committed.
        What lies in the way goes into `aside`, the directory of a stage. A chain that another process has published
        meanwhile is left as it is. Raises OSError, KeyError (the parent is gone).
        """
        published = []
        for snapshot in prepared:
            if self.size_bytes(snapshot.chain_id) is not None:
                continue
            parent = self._number(snapshot.parent) if snapshot.parent else None
            values = (snapshot.chain_id, parent, snapshot.size_bytes)
            number = self._connection.execute(
                "INSERT INTO snapshots (chain_id, parent, size_bytes) VALUES (?, ?, ?)", values
            ).lastrowid
            home = f"{self.root}/{number}"
            if os.path.lexists(home):  # of a process that was killed before its commit; the row is ours now
                os.rename(home, f"{aside}/orphan-{number}")
            os.rename(snapshot.directory, home)
            undo.callback(os.rename, home, snapshot.directory)
            published.append(snapshot.chain_id)
        if published:
            _sync_directory(self.root)
        return published

    def release(self, chain_id: str, is_wanted: Callable[[str], bool]) -> list[str]:
        """Forget a chain from its top down to the first link that an image or another chain stands on; gives the chain ids.

        In the caller's transaction. The directories go with `collect`, after the commit.
        """
        released = []
        while chain_id and not is_wanted(chain_id):
            row = self._connection.execute(
                "SELECT number, parent FROM snapshots WHERE chain_id = ?", (chain_id,)
            ).fetchone()
            if (
                row is None
                or self._connection.execute("SELECT 1 FROM snapshots WHERE parent = ?", (row[0],)).fetchone()
            ):
                break
            self._connection.execute("DELETE FROM snapshots WHERE number = ?", (row[0],))
            released.append(chain_id)
            below = self._connection.execute("SELECT chain_id FROM snapshots WHERE number = ?", (row[1],)).fetchone()
            chain_id = below[0] if below else ""
        return released

    def collect(self, aside: str) -> None:
        """Move the directories that no row names into `aside`, the directory of a stage, whose end removes them."""
        with database.transaction(self._connection):
            for path in self.orphans():
                os.rename(path, f"{aside}/orphan-{os.path.basename(path)}")

    def orphans(self) -> list[str]:
        """Give the directories that no row names."""
        rows = self._connection.execute("SELECT number FROM snapshots")
        known = {str(number) for (number,) in rows} | {"0", "staging"}
        try:
            return [f"{self.root}/{name}" for name in sorted(os.listdir(self.root)) if name not in known]
        except FileNotFoundError:
            return []

    def sweep(self, also: Callable[[str], None] | None = None) -> bool:
        """Remove what killed processes have left; says whether there was something. One listing when there is nothing.

        `also` collects further leftovers into the directory that it is given. The abandoned stages, which are the
        evidence, go last, so that a sweep that is killed is done again.
        """
        try:
            if not os.listdir(self._staging_directory):
                return False
        except FileNotFoundError:
            return False
        abandoned = self._staging().abandoned()
        if not abandoned:
            return False
        with self.stage() as stage:
            self.collect(stage.path)
            if also is not None:
                also(stage.path)
        for each in abandoned:
            each.close()
        return True

    def _staging(self) -> Staging:
        from .staging import Staging  # not on the way of a start

        return Staging(self._staging_directory)

    def _number(self, chain_id: str) -> int:
        row = self._connection.execute("SELECT number FROM snapshots WHERE chain_id = ?", (chain_id,)).fetchone()
        if row is None:
            raise KeyError(chain_id)
        return int(row[0])


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
