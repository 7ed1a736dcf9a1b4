"""An image store of its own for each test, and archives to load into it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun import database
from minirun.images.schema import SCHEMA as IMAGES
from minirun.images.store import Images
from minirun.storage.schema import SCHEMA as SNAPSHOTS
from minirun.storage.snapshots import Snapshots

# What images ask of the engine's table.
CONTAINERS = "CREATE TABLE containers (id TEXT PRIMARY KEY, image_id TEXT NOT NULL, status TEXT NOT NULL, config TEXT)"


def open_store(root: Path) -> Images:
    """Open the store below `root`, made when it isn't there."""
    (root / "snapshots").mkdir(parents=True, exist_ok=True)
    connection = database.connect(
        str(root / "minirun.db"), lambda: ";".join((SNAPSHOTS, IMAGES, CONTAINERS, database.EVENTS))
    )
    return Images(str(root / "images"), connection, Snapshots(str(root / "snapshots"), connection))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Images]:
    images = open_store(tmp_path / "root")
    try:
        yield images
    finally:
        images.connection.close()


def files_of(images: Images) -> list[str]:
    """Everything that the store has on disk, the database apart: relative names of files and of empty directories."""
    root = Path(images.root).parent
    found = []
    for path in sorted(root.rglob("*")):
        if path.name.startswith("minirun.db") or (path.is_dir() and not path.is_symlink() and any(path.iterdir())):
            continue
        found.append(str(path.relative_to(root)))
    return found


def rows_of(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Every row of every table that a load or import writes."""
    return [
        row
        for table in ("images", "tags", "snapshots")
        for row in connection.execute(f"SELECT '{table}', * FROM {table} ORDER BY 2")  # noqa: S608  (three names of ours)
    ]
