"""Whole directory trees: removing one whose content is hostile, getting one safely to disk.

Owns: the door to native/tree.c. Leaves to others: which trees (storage, engine).
"""

from __future__ import annotations

import errno
import os

from .._native import lib
from .syscalls import reason


def remove_tree(parent_fd: int, name: str) -> None:
    """Remove `name` beneath the open directory `parent_fd` with all that is in it; nothing there is fine.

    Follows no link, crosses no mount (EBUSY), clears immutable flags, and costs the same memory however deep it goes.
    Raises OSError; what could not be removed then stays. An empty directory is one system call. Blocks.
    """
    result = lib.mr_remove_tree(parent_fd, os.fsencode(name))
    if result < 0:
        raise OSError(-result, f"remove the tree: {reason(-result)}", name)


def sync_file_system(fd: int) -> None:
    """Write all that the file system of `fd` holds in memory to disk. Blocks, maybe for seconds. syncfs(2)."""
    result = lib.mr_sync_file_system(fd)
    if result < 0:
        raise OSError(-result, f"syncfs: {os.strerror(-result)}")


def copy_beneath(root_fd: int, path: str, target_fd: int) -> bool:
    """Copy the directory at `path` of a view (linux/view) into the open directory `target_fd`, which is new; False when nothing
    is there.

    Links in `path` are followed inside the view, those below it are copied as they are. Owners, modes, times, attributes and
    hard links are kept, those of the directory itself too. The view can't be written to afterwards. Raises
    NotADirectoryError, OSError: a part of the copy may be there then. Blocks.
    """
    result = lib.mr_copy_beneath(root_fd, os.fsencode(path), target_fd)
    if result == -errno.ENOENT:
        return False
    if result < 0:
        raise OSError(-result, f"copy what the image has there: {reason(-result)}", path)
    return True
