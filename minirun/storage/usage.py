"""How much of the disk a tree takes, as du(1) counts it: blocks, and each file once however many names it has.

Owns: `Counter`, the walk. Leaves to others: which trees, what the numbers mean (engine/usage).

Trees are a container's and may be hostile: links aren't followed, mounts aren't entered, depth costs memory but no descriptors. A
container may change its tree meanwhile; then the numbers are of no one moment, and nothing outside the tree is counted: the way
back up is checked.
"""

from __future__ import annotations

import os
import stat

from ..record import Record

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 512  # unit of st_blocks, stat(3type)


class Size(Record):
    """What a tree takes. `content_bytes` is what its files say of their length: docker's size of a container."""

    disk_bytes: int = 0
    content_bytes: int = 0
    inodes: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(
            disk_bytes=self.disk_bytes + other.disk_bytes,
            content_bytes=self.content_bytes + other.content_bytes,
            inodes=self.inodes + other.inodes,
        )


class Counter:
    """Counts trees; a file that has names in several of them is counted with the first."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def measure(self, path: str) -> Size:
        """Give what a file or directory takes with all that is in it; nothing when it isn't there. Blocks while it walks."""
        try:
            top = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            return Size()
        size = self._own(top)
        if not stat.S_ISDIR(top.st_mode):
            return size
        try:
            descriptor = os.open(path, _DIRECTORY)
        except OSError:  # it was removed, or replaced, meanwhile
            return size
        return size + self._below(descriptor, (top.st_dev, top.st_ino))

    def _own(self, status: os.stat_result) -> Size:
        if stat.S_ISDIR(status.st_mode):
            return Size(disk_bytes=status.st_blocks * _BLOCK, inodes=1)
        if status.st_nlink > 1:
            identity = (status.st_dev, status.st_ino)
            if identity in self._seen:
                return Size()
            self._seen.add(identity)
        return Size(disk_bytes=status.st_blocks * _BLOCK, content_bytes=status.st_size, inodes=1)

    def _below(self, descriptor: int, top: tuple[int, int]) -> Size:
        """Walk down from an open directory, which it closes; at any moment one directory is open."""
        disk = content = inodes = 0
        way: list[tuple[tuple[int, int], list[str]]] = []  # each directory above, and what is still to be visited there
        here, waiting = top, None
        try:
            while True:
                if waiting is None:
                    size, waiting = self._list(descriptor, top[0])
                    disk, content, inodes = (
                        disk + size.disk_bytes, content + size.content_bytes, inodes + size.inodes,
                    )  # fmt: skip
                if waiting:
                    entered = _enter(descriptor, waiting.pop())
                    if entered is not None:
                        way.append((here, waiting))
                        os.close(descriptor)
                        descriptor, here = entered
                        waiting = None
                    continue
                if not way:
                    break
                above, left = way.pop()
                raised = _enter(descriptor, "..")
                if raised is None or raised[1] != above:  # it was moved away: what is left of this branch isn't counted
                    if raised is not None:
                        os.close(raised[0])
                    break
                os.close(descriptor)
                descriptor, here, waiting = raised[0], above, left
        finally:
            os.close(descriptor)
        return Size(disk_bytes=disk, content_bytes=content, inodes=inodes)

    def _list(self, descriptor: int, device: int) -> tuple[Size, list[str]]:
        """Count the entries of an open directory; give the directories among them, on the same file system."""
        size, directories = Size(), []
        with os.scandir(descriptor) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if status.st_dev != device:
                    continue
                size += self._own(status)
                if stat.S_ISDIR(status.st_mode):
                    directories.append(entry.name)
        return size, directories


def _enter(descriptor: int, name: str) -> tuple[int, tuple[int, int]] | None:
    try:
        entered = os.open(name, _DIRECTORY, dir_fd=descriptor)
    except OSError:  # removed meanwhile, or something else by now
        return None
    status = os.fstat(entered)
    return entered, (status.st_dev, status.st_ino)
