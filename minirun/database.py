"""One SQLite database for all metadata: opening it, its version, transactions, and the event that each change leaves.

Owns: the connection's settings, the rule "one transaction per change that a user can see", the table `events`.
Leaves to others: tables and queries, which live beside their noun (engine/schema, images/schema, ...).

WAL lets `ps` read while another command writes. `synchronous=NORMAL` may lose the last transactions in a power cut but never
tears the database (https://www.sqlite.org/pragma.html#pragma_synchronous); what a lost row described is in a passing
state or unreferenced afterwards and is swept (engine/reconcile).
"""

from __future__ import annotations

import time

from .errors import Corrupt, Exhausted, MinirunError, NotSupported
from .light import contextmanager, import_sqlite3

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any
else:
    sqlite3 = import_sqlite3()

IntegrityError = sqlite3.IntegrityError

VERSION = 7
BUSY_TIMEOUT_SECONDS = 30.0
CHECKPOINT_PAGES = 200  # 800 KiB, of a connection that is never closed; SQLite's own measure is 1000


EVENTS = """
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,
    kind TEXT NOT NULL,
    action TEXT NOT NULL,
    actor TEXT NOT NULL,
    attributes TEXT NOT NULL
) STRICT
"""
KEPT_EVENTS = 10_000
KEPT_EVENTS_NS = 30 * 24 * 3600 * 10**9
PRUNE_EVERY = 256  # events: one of so many looks for what is too old


class Connection(sqlite3.Connection):
    """A connection whose refusals are sentences: Exhausted for a full disk, Corrupt, MinirunError for all that the host does."""

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        try:
            return super().execute(*arguments)
        except sqlite3.IntegrityError:
            raise  # about the rows: the caller knows what it means
        except sqlite3.DatabaseError as error:
            raise _translated(error) from error


def _translated(error: sqlite3.DatabaseError) -> MinirunError:
    code = error.sqlite_errorcode & 0xFF  # without the extended part
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Corrupt(f"read the database: {error}; move it away to start afresh")
    if code == sqlite3.SQLITE_FULL:
        return Exhausted("write the database: the disk is full: free some space and try again")
    if code == sqlite3.SQLITE_BUSY:
        held = f"{BUSY_TIMEOUT_SECONDS:g} seconds"
        return MinirunError(f"write the database: another minirun command has held it for {held}; is it stopped?")
    return MinirunError(f"use the database: {error}")


def connect(
    path: str, schema: Callable[[], str], steps: Callable[[], Sequence[tuple[int, str]]] | None = None
) -> sqlite3.Connection:
    """Open the database at `path`, made with the text that `schema` gives when it is new, brought up to date by `steps` when it
    is old.

    A step is the version that it leads to, and its statements; those above the file's own version are done, all or none.

    Raises MinirunError when the file can't be opened, NotSupported when a newer minirun wrote it, Corrupt when it is no
    database. Waits up to 30 seconds for another process's transaction.
    """
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False, factory=Connection
        )
        connection.execute("PRAGMA synchronous=NORMAL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            _create(connection, schema())
        elif version < VERSION and steps is not None:
            _bring_up_to_date(connection, steps())
        elif version != VERSION:
            raise NotSupported(
                f"{path} was written by a newer minirun (format {version}, this one knows {VERSION}): upgrade minirun"
            )
    except sqlite3.DatabaseError as error:
        raise MinirunError(f"open the database {path}: {error}") from error
    except (Corrupt, Exhausted) as error:
        raise type(error)(f"open {path}: {error}") from error
    return connection


def leave_open(connection: sqlite3.Connection) -> None:
    """Keep a connection open until this process ends, however its other references go.

    Closing the last connection to a WAL database makes SQLite write everything back, with two fdatasync(2) and two unlinked
    files: milliseconds at the end of every command. The end of a process does none of that, and loses nothing: the log is
    read by whoever comes next, as a whole, and so is written back earlier than usual, every CHECKPOINT_PAGES.
    """
    connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    _left_open.append(connection)


_left_open: list[sqlite3.Connection] = []


def _create(connection: sqlite3.Connection, schema: str) -> None:
    _keep_log(connection)
    with transaction(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:  # nobody was faster
            _run(connection, schema)
            connection.execute(f"PRAGMA user_version={VERSION}")


def _keep_log(connection: sqlite3.Connection) -> None:
    """Make it a WAL database. Of several that do so at once, SQLite lets none wait that has looked at it already: it can't be sure
    not to wait for one who waits for it. So it looks again.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            sqlite3.Connection.execute(connection, "PRAGMA journal_mode=WAL")
            return
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise _translated(error) from error
        time.sleep(0.002)


def _bring_up_to_date(connection: sqlite3.Connection, steps: Sequence[tuple[int, str]]) -> None:
    with transaction(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for leads_to, statements in steps:
            if version < leads_to:  # and nobody was faster
                _run(connection, statements)
                connection.execute(f"PRAGMA user_version={leads_to}")


def _run(connection: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            connection.execute(statement)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock; commit at the end, roll back on any exception. Nested use joins the outer transaction."""
    if _is_open(connection):
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Also after a commit that failed; SQLite itself may have rolled back when the disk is full.
        if _is_open(connection):
            connection.execute("ROLLBACK")
        raise


def record_event(
    connection: sqlite3.Connection, kind: str, action: str, actor: str, attributes: Mapping[str, str] | None = None
) -> None:
    """Write down that something was done: `kind` is container, image, volume or network, `actor` its id or name.

    To be called inside the transaction that makes the change, so that nobody sees one without the other. `minirun events`
    shows it. The newest KEPT_EVENTS of the last KEPT_EVENTS_NS are kept, give or take PRUNE_EVERY; the newest always is,
    so that no number is given twice.
    """
    from .jsontext import dumps

    now_ns = time.time_ns()
    number = connection.execute(
        "INSERT INTO events (time_ns, kind, action, actor, attributes) VALUES (?, ?, ?, ?, ?)",
        (now_ns, kind, action, actor, dumps(attributes or {})),
    ).lastrowid
    if number and number % PRUNE_EVERY == 0:
        connection.execute(
            "DELETE FROM events WHERE number <= ?1 - ?2 OR (time_ns < ?3 AND number < ?1)",
            (number, KEPT_EVENTS, now_ns - KEPT_EVENTS_NS),
        )


def _is_open(connection: sqlite3.Connection) -> bool:
    return connection.in_transaction
