"""Layers on their way here: files that a cut, a kill or another process's pull leave usable.

Owns: `Incoming`, the directory; `Part`, one blob that is being fetched. Leaves to others: where the bytes come from
(images/fetching), whether they are the right ones (images/layers hashes them), how they become a blob (images/adding).

    images/incoming/HEX     the bytes so far, from the first on; who writes holds it exclusively, who reads a whole one shares it

Shared, because two pulls may each have fetched what the other needs, and would wait for each other for ever. One process
fetches, however many want it: the others wait for its lock, and then find the file whole, or gone because it has become a blob
by then. Nobody trusts what lies here: it is hashed by everybody who takes it in. What no pull came back for is removed after a
week (`sweep`).
"""

from __future__ import annotations

import fcntl
import os
import threading
import time

from ..errors import Corrupt, MinirunError
from ..light import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

KEPT_SECONDS = 7 * 24 * 3600
LOOK_SECONDS = 0.05


class Part:
    """A file of which `size` bytes are to come. One thread writes, one reads what has been written."""

    def __init__(self, path: str, blob: str, size: int) -> None:
        self.path = path
        self._blob = blob  # what it becomes, by whoever is first
        self.size = size
        self.fd = -1
        self.written = 0
        self._read_to = 0
        self._failure: BaseException | None = None
        self._is_interrupted = False
        self._changed = threading.Condition()

    # ---- the writer

    def take(self, waiting: Callable[[], None], stopped: threading.Event) -> None:
        """Open and lock it, alone unless it is whole; `waiting` is called when somebody else writes to it. Blocks, until `stopped`.

        Raises OSError.
        """
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                self._lock(fd, waiting, stopped)
                with suppress(FileNotFoundError):
                    named = os.stat(self.path, follow_symlinks=False)
                    here = os.fstat(fd)
                    if (named.st_dev, named.st_ino) == (here.st_dev, here.st_ino):
                        begin = here.st_size
                        if begin < self.size and self._take_blob():
                            os.unlink(self.path)
                            os.close(fd)
                            return
                        if begin > self.size:
                            os.ftruncate(fd, 0)
                            begin = 0
                        self._begin(fd, begin)
                        return
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)  # it was removed while we waited

    def _take_blob(self) -> bool:
        """Read from the blob, when it has become one while we waited: it is whole, and nobody writes to it."""
        try:
            fd = os.open(self._blob, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._begin(fd, self.size)
        return True

    def _lock(self, fd: int, waiting: Callable[[], None], stopped: threading.Event) -> None:
        """flock(2) has no time limit, and a signal doesn't reach a thread: it is asked again and again."""
        first = True
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            with suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # nobody writes
                if os.fstat(fd).st_size == self.size:
                    return
                fcntl.flock(fd, fcntl.LOCK_UN)
            if first:
                waiting()
                first = False
            if stopped.wait(LOOK_SECONDS):
                raise MinirunError("given up")

    def restart(self) -> None:
        """Forget what is there: the server can't go on from the middle. Only while nobody has read of it."""
        with self._changed:
            if self._read_to:
                raise MinirunError("the server can't go on where the connection broke: try again")
            os.ftruncate(self.fd, 0)
            self.written = 0

    @property
    def can_restart(self) -> bool:
        """Has nobody read of it yet?"""
        return self._read_to == 0

    def write(self, data: bytes) -> None:
        """Append; Corrupt when more comes than there is to be."""
        if self.written + len(data) > self.size:
            raise Corrupt(f"more than the {self.size} bytes that its manifest names were sent")
        view = memoryview(data)
        offset = self.written
        while view:
            done = os.pwrite(self.fd, view, offset)
            view, offset = view[done:], offset + done
        with self._changed:
            self.written = offset
            self._changed.notify_all()

    def finish(self, failure: BaseException | None = None) -> None:
        """Let others at it: it is whole, or `failure` is why it isn't."""
        with self._changed:
            self._failure = failure
            if self.fd >= 0:
                fcntl.flock(self.fd, fcntl.LOCK_SH)
            self._changed.notify_all()

    # ---- the reader

    def read(self, size: int) -> bytes:
        """Give the next bytes as soon as there are any, b"" after the last; raises what the writer failed with."""
        with self._changed:
            while self.written <= self._read_to < self.size and self._failure is None and not self._is_interrupted:
                self._changed.wait()
            if self._is_interrupted:
                raise MinirunError("given up")
            if self._failure is not None and self.written <= self._read_to:
                raise self._failure
            room = min(size, self.written - self._read_to)
            if room <= 0:
                return b""
            data = os.pread(self.fd, room, self._read_to)
            self._read_to += len(data)
            return data

    def rewind(self) -> None:
        """Read from the first byte again."""
        with self._changed:
            self._read_to = 0
            self._is_interrupted = False

    def interrupt(self) -> None:
        """Let a `read` that waits in another thread fail, and those after it, until `rewind`."""
        with self._changed:
            self._is_interrupted = True
            self._changed.notify_all()

    def wait_taken(self) -> None:
        """Block until the writer has opened it, or failed."""
        with self._changed:
            while self.fd < 0 and self._failure is None:
                self._changed.wait()
            if self.fd < 0 and self._failure is not None:
                raise self._failure

    # ---- the end

    def discard(self) -> None:
        """Remove it: it has become a blob, or is worth nothing. One that somebody else is reading stays for him to remove."""
        if self.fd < 0:
            return
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            here, named = os.fstat(self.fd), os.stat(self.path, follow_symlinks=False)
            if (here.st_dev, here.st_ino) == (named.st_dev, named.st_ino):
                os.unlink(self.path)

    def close(self) -> None:
        """Let go of it; it stays for the next pull."""
        descriptor, self.fd = self.fd, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _begin(self, fd: int, written: int) -> None:
        with self._changed:
            self.fd = fd
            self.written = written
            self._changed.notify_all()


class Incoming:
    """The directory of parts; made by need."""

    def __init__(self, root: str) -> None:
        self.directory = f"{root}/incoming"

    def part(self, digest: str, blob: str, size: int) -> Part:
        """Give the place of a blob that is to come to the path `blob`; the digest has been checked where it came in."""
        os.makedirs(self.directory, 0o700, exist_ok=True)
        return Part(f"{self.directory}/{digest[7:]}", blob, size)

    def sweep(self, older_than_seconds: float = KEPT_SECONDS) -> int:
        """Remove what nobody has written to for so long and nobody holds; gives how many bytes that were."""
        freed = 0
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return 0
        for name in names:
            path = f"{self.directory}/{name}"
            with suppress(OSError):
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    status = os.fstat(fd)
                    if time.time() - status.st_mtime >= older_than_seconds:
                        os.unlink(path)
                        freed += status.st_blocks * 512
                finally:
                    os.close(fd)
        return freed
