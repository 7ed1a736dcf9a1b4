"""Small file duties that every storey has: whole-file writes that are atomic, and locks that the kernel drops.

Owns: `write_atomically`, `read_text`, `Lock`. Leaves to others: what the files mean.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType


def write_atomically(path: str, data: bytes, mode: int = 0o600, *, durable: bool = False) -> None:
    """Put `data` at `path` so that a reader sees the old content or the new, never a part.

    `durable` also syncs the data before the rename and the directory after it (fsync(2)). Raises OSError; on failure the temporary
    file is gone and the old content stands.
    """
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    try:
        write_new(temporary, data, mode, durable=durable)
        os.rename(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    if durable:
        directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def write_new(path: str, data: bytes, mode: int = 0o600, *, durable: bool = False) -> None:
    """Make a new file with `data`; raises FileExistsError when there is one (it follows no link)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(descriptor, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bytes(path: str, limit: int = 1 << 20) -> bytes | None:
    """Give the content of a small file, None when there is none; at most `limit` bytes are read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)


class Lock:
    """An exclusive flock(2) on a file that is made for it; the kernel drops it when the process ends, however it ends.

    The file is removed by `release(remove=True)`. A waiter that then holds a lock on a removed file notices (the name
    no longer leads to its inode) and starts again, so that two never believe to hold the same name.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor = -1

    def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; gives False when `wait` is False and somebody has it. Blocks otherwise. Raises OSError."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                if _leads_to(self.path, descriptor):
                    self._descriptor = descriptor
                    return True
            except OSError as error:
                os.close(descriptor)
                if error.errno == errno.EWOULDBLOCK:
                    return False
                raise
            os.close(descriptor)

    def release(self, *, remove: bool = False) -> None:
        """Give the lock back; `remove` deletes its file first, while it is still held."""
        if self._descriptor < 0:
            return
        if remove:
            with suppress(FileNotFoundError):
                os.unlink(self.path)
        os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _leads_to(path: str, descriptor: int) -> bool:
    try:
        named = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino)
