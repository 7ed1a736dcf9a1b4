"""Reading a container's log: from its end, from a time on, and on and on while it is written and rotated.

Owns: `read`. Leaves to others: writing (native/log.c), the text of a line (records), showing entries (cli).

    path.2   path.1   path      older to newer; the monitor renames path to path.1 when it is full, and begins a new path

A file is known by its inode, so a rename under our hands neither repeats nor loses a line. Who follows waits for inotify(7)
events of the directory, not for time to pass.
"""

from __future__ import annotations

import os

from .records import Decoder, LogEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

__all__ = ["LogEntry", "read"]

BLOCK = 64 * 1024
DYING_MS = 50  # between the moment a monitor's log is closed and the moment it counts as dead


def read(
    path: str,
    *,
    tail: int | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
    follow: bool = False,
    is_alive: Callable[[], bool] = lambda: False,
) -> Iterator[LogEntry]:
    """Give the entries of a log, oldest first: at most the last `tail`, of them those from `since_ns` to `until_ns`.

    With `follow` it goes on with new entries as long as `is_alive()`, and blocks meanwhile. A log that doesn't exist has no
    entries; lines that can't be read are left out.
    """
    decoder = Decoder()
    for line in _lines(path, tail, since_ns, follow, is_alive):
        entry = decoder.decode(line)
        if entry is None or (since_ns is not None and entry.time_ns < since_ns):
            continue
        if until_ns is not None and entry.time_ns > until_ns:
            return
        yield entry


def _lines(
    path: str, tail: int | None, since_ns: int | None, follow: bool, is_alive: Callable[[], bool]
) -> Iterator[bytes]:
    changes = _Changes(path) if follow else None  # before the first look, so that nothing comes between
    files: list[BinaryIO] = []
    try:
        files = _open_all(path)
        while (
            changes and not files and is_alive()
        ):  # it is made any moment: the monitor does so before the container starts
            changes.wait()
            files = _open_all(path)
        if tail is not None:
            _seek_tail(files, tail)
        elif since_ns is not None:
            _drop_older(files, since_ns)
        while files:
            if changes and len(files) == 1:
                yield from _follow(path, files.pop(), changes, is_alive)
            else:
                yield from (line for line in files[0] if line.endswith(b"\n"))
                files.pop(0).close()
    finally:
        for file in files:
            file.close()
        if changes:
            changes.close()


# ---- files


def _open_all(path: str) -> list[BinaryIO]:
    """Open a log and its older files, oldest first.

    The newest is opened first: a rotation meanwhile then shows as a file that we have already, instead of as a gap.
    """
    files: list[BinaryIO] = []
    seen: set[int] = set()
    number = 0
    while True:
        try:
            file = open(f"{path}.{number}" if number else path, "rb", buffering=BLOCK)  # noqa: SIM115  (the caller closes it)
        except FileNotFoundError:
            if number:
                return files[::-1]
        else:
            inode = os.fstat(file.fileno()).st_ino
            if inode in seen:
                file.close()
            else:
                seen.add(inode)
                files.append(file)
        number += 1


def _seek_tail(files: list[BinaryIO], wanted: int) -> None:
    """Leave the files that the last `wanted` lines lie in, the first of them at the first of these lines."""
    for place in range(len(files) - 1, -1, -1):
        wanted -= _seek_lines_back(files[place], wanted)
        if wanted == 0:
            for file in files[:place]:
                file.close()
            del files[:place]
            return


def _seek_lines_back(file: BinaryIO, wanted: int) -> int:
    """Move to the beginning of the `wanted`-th line from the end, or of the file; gives how many lines follow."""
    position = file.seek(0, os.SEEK_END)
    found = -1  # the newline that ends the last line is not the beginning of one
    while position > 0:
        start = max(0, position - BLOCK)
        file.seek(start)
        block = file.read(position - start)
        if found < 0:
            if wanted == 0:
                file.seek(position)
                return 0
            block = block[: block.rfind(b"\n") + 1] if b"\n" in block else b""
            if not block:
                position = start
                continue
        count = block.count(b"\n")
        if found + count >= wanted:
            at = len(block)
            for _ in range(wanted - found):
                at = block.rindex(b"\n", 0, at)
            file.seek(start + at + 1)
            return wanted
        found += count
        position = start
    file.seek(0)
    return found + 1


def _drop_older(files: list[BinaryIO], since_ns: int) -> None:
    """Close files that end before a time: those whose successor begins before it."""
    decoder = Decoder()
    while len(files) > 1:
        entry = decoder.decode(files[1].readline())
        files[1].seek(0)
        if entry is None or entry.time_ns >= since_ns:
            return
        files.pop(0).close()


# ---- following


def _follow(path: str, file: BinaryIO, changes: _Changes, is_alive: Callable[[], bool]) -> Iterator[bytes]:
    """Give the lines of the newest file and of its successors until nobody writes any more. Closes the file."""
    torn = b""
    try:
        while True:
            alive = is_alive()  # before we read: what a monitor wrote in its last moment is still read
            replaced = not _is_same(path, file)
            for line in file:
                torn += line
                if torn.endswith(b"\n"):
                    yield torn
                    torn = b""
            if replaced:
                successor = _successor(path, file)
                if successor is not None:
                    file.close()
                    file, torn = successor, b""
                    continue
            if not alive:
                return
            if os.fstat(file.fileno()).st_size < file.tell():  # emptied: a log of one file only
                file.seek(0)
                torn = b""
                continue
            changes.wait()
    finally:
        file.close()


def _is_same(path: str, file: BinaryIO) -> bool:
    try:
        return os.stat(path).st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def _successor(path: str, file: BinaryIO) -> BinaryIO | None:
    """Open the file that was begun after this one; the oldest there is when this one was removed by rotation already."""
    files = _open_all(path)
    inode = os.fstat(file.fileno()).st_ino
    inodes = [os.fstat(other.fileno()).st_ino for other in files]
    place = inodes.index(inode) + 1 if inode in inodes else 0
    chosen = files[place] if place < len(files) else None
    for other in files:
        if other is not chosen:
            other.close()
    return chosen


class _Changes:
    """Events of a log's directory: something was written, created, renamed, or its writer has closed it."""

    def __init__(self, path: str) -> None:
        from .._native import lib

        directory, self._name = os.path.split(os.path.abspath(path))
        self._descriptor: int = lib.mr_watch_directory(os.fsencode(directory))
        if self._descriptor < 0:
            raise OSError(-self._descriptor, f"inotify: {os.strerror(-self._descriptor)}", directory)
        self._is_closed = False

    def wait(self) -> None:
        """Block until something happened.

        Once the log's writer has closed it, no further event is sure to come: then for DYING_MS at most.
        """
        import select

        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if not poll.poll(DYING_MS if self._is_closed else None):
            return
        # struct inotify_event: int wd; uint32_t mask, cookie, len; char name[len]
        from struct import unpack_from

        events = os.read(self._descriptor, BLOCK)
        at = 0
        while at < len(events):
            _, mask, _, length = unpack_from("iIII", events, at)
            if events[at + 16 : at + 16 + length].rstrip(b"\0") == os.fsencode(self._name):
                self._is_closed = bool(mask & 0x8)  # IN_CLOSE_WRITE: the last that one hears of a writer
            at += 16 + length

    def close(self) -> None:
        """Stop watching."""
        os.close(self._descriptor)
