"""Directories for unfinished work: they die with their process, however it ends.

Owns: `Stage`, a private directory under a flock(2), and `Staging`, the place where stages lie. Leaves to others: what is put
into a stage, and moving it out by rename(2) once it is whole.

    mkdir staging/NAME, flock it, work in it, rename results out of it, remove it
              a kill anywhere here leaves a directory that nobody holds: the next sweep removes it

A stage that nobody holds is also the evidence that something was interrupted: without one, a sweep costs one listing.
"""

from __future__ import annotations

import fcntl
import os

from ..linux.syscalls import require_openat2
from ..linux.trees import remove_tree, sync_file_system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Stage:
    """One private directory; `close` (or the end of a `with`) removes it with all that still is in it."""

    def __init__(self, directory: str, name: str, fd: int) -> None:
        self.path = f"{directory}/{name}"
        self.fd = fd
        self._directory = directory
        self._name = name

    def make_directory(self, name: str) -> str:
        """Make a directory in it, and give its path."""
        path = f"{self.path}/{name}"
        os.mkdir(path, 0o700)
        return path

    def sync(self) -> None:
        """Write all that lies in it to disk, together with whatever else its file system holds back. Blocks."""
        sync_file_system(self.fd)

    def close(self) -> None:
        """Remove it; raises OSError when that fails (the next sweep tries again)."""
        if self.fd < 0:
            return
        parent = os.open(self._directory, DIRECTORY)
        try:
            remove_tree(parent, self._name)
        finally:
            os.close(parent)
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Staging:
    """The directory that stages lie in; it is made by need."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def create(self) -> Stage:
        """Make a stage that this process holds until it closes it or dies. Raises OSError."""
        os.makedirs(self.directory, 0o700, exist_ok=True)
        require_openat2()
        while True:
            name = os.urandom(8).hex()
            path = f"{self.directory}/{name}"
            os.mkdir(path, 0o700)
            fd = _hold(path)
            if fd is not None:
                return Stage(self.directory, name, fd)
            # A sweep saw it in the moment before it was held, and has taken it.

    def abandoned(self) -> list[Stage]:
        """Give the stages whose process has died, now held by the caller, who closes them."""
        try:
            names = os.listdir(self.directory)
        except FileNotFoundError:
            return []
        stages = []
        for name in names:
            fd = _hold(f"{self.directory}/{name}")
            if fd is not None:
                stages.append(Stage(self.directory, name, fd))
        return stages


def is_held(path: str) -> bool:
    """Say whether the process that made a stage still lives; one that is gone is held by nobody."""
    fd = os.open(path, DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _hold(path: str) -> int | None:
    """Lock a stage and give its descriptor; None when it is gone or somebody else's."""
    try:
        fd = os.open(path, DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held, named = os.fstat(fd), os.stat(path, follow_symlinks=False)
        if (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None
