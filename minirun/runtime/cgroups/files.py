"""One file of a cgroup: read, written, waited for.

Owns: these calls and the grammar of `cgroup.events`. Leaves to others: what is written where.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# ENODEV: the directory was removed while its file was open; the last two: no cgroup can be there
GONE = (errno.ENOENT, errno.ENODEV, errno.ENOTDIR, errno.ENAMETOOLONG)


def read(path: str, directory: int | None = None) -> str:
    """Give the content of a file, however long it is; OSError. A relative path starts at the descriptor `directory`."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        pieces = []
        while piece := os.read(fd, 1 << 16):
            pieces.append(piece)
        return b"".join(pieces).decode()
    finally:
        os.close(fd)


def write(path: str, value: str) -> None:
    """Write to a file in one call, as the kernel wants it; OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def write_if_there(path: str, value: str) -> None:
    """Write to a file; no error when it or its cgroup has gone."""
    try:
        write(path, value)
    except OSError as error:
        if error.errno not in GONE:
            raise


def events(path: str) -> dict[str, str]:
    """Give the content of a cgroup's cgroup.events: populated, frozen."""
    return _parse(read(f"{path}/cgroup.events").encode())


def wait(path: str, done: Callable[[dict[str, str]], bool], timeout_seconds: float) -> None:
    """Wait until cgroup.events satisfies `done`. TimeoutError."""
    for _ in _changes(f"{path}/cgroup.events", timeout_seconds):
        if done(events(path)):
            return
    raise TimeoutError(f"{path}: its processes didn't come to rest within {timeout_seconds:g} s")


def _changes(path: str, timeout_seconds: float) -> Iterator[None]:
    """Come back at once, and then each time that the file may have changed; ends when the time is over.

    The kernel raises POLLPRI on cgroup.events, when it was read after it was opened. cgroup-v2.rst, "[Un]populated Notification".
    """
    import select
    import time

    deadline = time.monotonic() + timeout_seconds
    poll = select.poll()
    with open(path, "rb", buffering=0) as file:
        poll.register(file, select.POLLPRI)
        while True:
            os.pread(file.fileno(), 4096, 0)
            yield
            left = deadline - time.monotonic()
            if left <= 0:
                return
            poll.poll(left * 1000)


def _parse(content: bytes) -> dict[str, str]:
    words = content.decode().split()
    return dict(zip(words[::2], words[1::2], strict=False))
