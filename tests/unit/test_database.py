"""Transactions that fail at their last moment, and refusals as sentences."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from minirun import database
from minirun.errors import Corrupt, Exhausted, MinirunError


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = database.connect(str(tmp_path / "db"), lambda: "CREATE TABLE things (name TEXT UNIQUE, size INTEGER)")
    yield opened
    opened.close()


def test_a_full_disk_is_said_in_a_sentence_and_nothing_stays_open(connection: sqlite3.Connection) -> None:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    def fill() -> None:
        with database.transaction(connection):
            for number in range(1000):
                connection.execute("INSERT INTO things VALUES (?, ?)", (f"{number:0200}", number))

    with pytest.raises(Exhausted, match="free some space"):
        fill()
    assert not connection.in_transaction
    with database.transaction(connection):
        connection.execute("INSERT INTO things VALUES ('small', 1)")
    assert connection.execute("SELECT count(*) FROM things").fetchone() == (1,)


def test_a_commit_that_fails_is_rolled_back(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("CREATE TABLE parts (thing TEXT REFERENCES things (name) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(Exception, match="FOREIGN KEY"), database.transaction(connection):
        connection.execute("INSERT INTO parts VALUES ('nothing')")
    assert not connection.in_transaction
    assert connection.execute("SELECT count(*) FROM parts").fetchone() == (0,)


def test_another_who_holds_the_lock_too_long_is_named(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_SECONDS", 0.01)
    other = database.connect(str(tmp_path / "db"), lambda: "")
    with (
        database.transaction(connection),
        pytest.raises(MinirunError, match="another minirun command"),
        database.transaction(other),
    ):
        pass
    other.close()


def test_a_file_that_is_no_database_is_said_to_be_corrupt(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"no database at all " * 100)
    with pytest.raises(Corrupt, match="start afresh"):
        database.connect(str(tmp_path / "db"), lambda: "")


def test_an_older_database_is_brought_up_to_date_and_keeps_its_rows(tmp_path: Path) -> None:
    path = str(tmp_path / "old")
    now = database.VERSION
    second = "CREATE TABLE second (name TEXT); CREATE INDEX second_by_name ON second (name)"
    steps = ((now, second), (now + 1, "nonsense"))
    old = database.connect(path, lambda: "CREATE TABLE first (name TEXT); INSERT INTO first VALUES ('kept')")
    old.execute(f"PRAGMA user_version = {now - 1}")
    old.close()
    with pytest.raises(MinirunError, match="syntax error"):
        database.connect(path, lambda: "", lambda: steps)
    for _ in range(2):  # the second time there is nothing to do
        again = database.connect(path, lambda: "", lambda: steps[:1])
        assert again.execute("SELECT name FROM first").fetchall() == [("kept",)]
        assert again.execute("SELECT name FROM second").fetchall() == []
        assert again.execute("PRAGMA user_version").fetchone() == (database.VERSION,)
        again.close()


def test_a_data_root_of_the_first_format_is_still_read(tmp_path: Path) -> None:
    from minirun.engine.engine import _schema, _steps

    path = str(tmp_path / "old")
    old = database.connect(path, _schema)
    old.execute("DROP TABLE tag_history")
    for table in ("digests", "volumes", "events"):
        old.execute(f"DROP TABLE {table}")
    old.execute("DROP INDEX containers_with_links")
    for column in ("restart_count", "restart_delay_ms", "restart_at_ns", "stopped_by_hand"):
        old.execute(f"ALTER TABLE containers DROP COLUMN {column}")
    old.execute("PRAGMA user_version = 1")
    old.close()
    now = database.connect(path, _schema, _steps)
    assert now.execute("SELECT count(*) FROM tag_history").fetchone() == (0,)
    assert now.execute("SELECT count(*) FROM containers WHERE restart_count > 0").fetchone() == (0,)
    assert "containers_with_links" in str(now.execute("SELECT name FROM sqlite_schema").fetchall())
    now.close()


def test_events_are_kept_within_their_bound_and_no_number_is_given_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "KEPT_EVENTS", 100)
    connection = database.connect(str(tmp_path / "db"), lambda: database.EVENTS)

    def numbers() -> list[int]:
        return [number for (number,) in connection.execute("SELECT number FROM events ORDER BY number")]

    with database.transaction(connection):
        for _ in range(2 * database.PRUNE_EVERY):
            database.record_event(connection, "image", "tag", "sha256:0", {"name": "busybox"})
    last = 2 * database.PRUNE_EVERY
    assert numbers() == list(range(last - 99, last + 1))
    monkeypatch.setattr(database, "KEPT_EVENTS_NS", -(10**9))  # all of them are too old
    with database.transaction(connection):
        for _ in range(database.PRUNE_EVERY):
            database.record_event(connection, "image", "untag", "sha256:0")
    assert numbers() == [last + database.PRUNE_EVERY]
    connection.close()


def test_several_that_make_it_at_once_all_get_it(tmp_path: Path) -> None:
    """SQLite refuses one of two who make a WAL database of it in the same moment, without waiting."""
    for number in range(40):
        path = str(tmp_path / f"db{number}")
        go, begin = os.pipe()
        children = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    os.close(begin)
                    os.read(go, 1)
                    made = database.connect(path, lambda: "CREATE TABLE things (name TEXT)")
                    code = made.execute("SELECT count(*) FROM things").fetchone()[0]
                finally:
                    os._exit(code)
            children.append(child)
        os.close(begin)
        os.close(go)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
