"""A container's log written by the real C code, without a container."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minirun._native import ffi, lib

STDOUT, STDERR = 0, 1
NOON = 1_767_355_445_123_456_789  # 2026-01-02T12:04:05.123456789Z


class Journal:
    """An open log; `append` is one read of the monitor."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self.now = NOON

    def append(self, data: bytes, stream: int = STDOUT) -> None:
        lib.mr_log_append(self._log, stream, data, len(data), self.now)
        self.now += 1_000_000

    def idle(self) -> None:
        lib.mr_log_idle(self._log)

    def finish(self) -> None:
        lib.mr_log_finish(self._log, self.now)


@contextmanager
def journal(path: Path, *, max_bytes: int = 0, max_files: int = 1, attributes: bytes = b"") -> Iterator[Journal]:
    """Open a log for the time of a `with`; unfinished lines are written at its end, as when a container ends."""
    opened = ffi.new("struct mr_log **")
    status = lib.mr_log_open(opened, os.fsencode(path), max_bytes, max_files, attributes, len(attributes))
    if status < 0:
        raise OSError(-status, os.strerror(-status), str(path))
    try:
        writer = Journal(opened[0])
        yield writer
        writer.finish()
    finally:
        lib.mr_log_close(opened[0])


def write(path: Path, reads: Iterable[bytes], *, max_bytes: int = 0, max_files: int = 1) -> None:
    """Write what a container said on stdout, one item for each read of the monitor."""
    with journal(path, max_bytes=max_bytes, max_files=max_files) as log:
        for data in reads:
            log.append(data)
