"""Small file duties that every storey has: whole-file writes that are atomic, and locks that the kernel drops.

Owns: `write_atomically`, `write_new`, `read_bytes`, `Lock`. Leaves to others: what the files mean.
"""

from __future__ import annotations

import errno
import fcntl
import os
from struct import pack

from .light import suppress

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
    except OSError as error:
        error.filename = path  # a call on a descriptor names none
        raise
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
    """An exclusive lock on one number, by a file that all numbers share; the kernel drops it when the process ends, however.

    It is a lock on one byte of the file (open file description locks, fcntl(2)): nothing has to be made for it, so nothing is
    left of it, neither by a kill nor by the end of what it guards, and no waiter can hold a lock whose file is gone.
    """

    def __init__(self, path: str, number: int) -> None:
        self.path = path
        self.number = number
        self._descriptor = -1

    def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; gives False when `wait` is False and somebody has it. Blocks otherwise. Raises OSError."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        # struct flock: l_type, l_whence, l_start, l_len, l_pid
        byte = pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, self.number, 1, 0)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, byte)
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back. Safe to repeat."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
