"""The writable layer of a container: its overlay's upper and work directories.

Owns: containers/ID/upper and containers/ID/work, what is special about the layer of a container that is removed when it ends, and
removing trees that a container has written. Leaves to others: the mount (runtime), the layers below (storage/snapshots),
everything else in the container's directory (engine).

Whoever unmounts an overlay waits until all that is unwritten of the file system below is on the disk, whoever has written it; and
fsync(2) in a container waits for the disk. For files that are removed a moment later nobody needs to wait: they are mounted
`volatile` (Documentation/filesystems/overlayfs.rst, "Volatile mount"; docs/decisions/0024).
"""

from __future__ import annotations

import os

UPPER = "upper"
WORK = "work"
VOLATILE = "volatile"  # the option of the mount


def create(container_directory: str) -> None:
    """Make the upper and work directories; they must lie on one file system. Raises OSError.

    The upper's owner and mode are those of the container's root directory: root's, 0755, whatever the umask.
    """
    upper = f"{container_directory}/{UPPER}"
    os.mkdir(upper, 0o755)
    os.chmod(upper, 0o755)
    os.mkdir(f"{container_directory}/{WORK}", 0o700)


def allow_again(container_directory: str) -> None:
    """Let a layer that was mounted `volatile` be mounted again, which the kernel refuses in case the host has crashed meanwhile: it
    doesn't know that we throw such a layer away then. Nothing to be done is fine. Raises OSError.
    """
    from ..linux import trees

    work = f"{container_directory}/{WORK}/work"
    if os.path.lexists(f"{work}/incompat"):
        parent = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            trees.remove_tree(parent, "incompat")
        finally:
            os.close(parent)


def remove(container_directory: str) -> None:
    """Remove the upper and work directories with all that the container wrote; nothing there is fine. Raises OSError."""
    parent = os.open(container_directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        remove_tree(parent, UPPER)
        remove_tree(parent, WORK)
    finally:
        os.close(parent)


def remove_tree(parent_fd: int, name: str) -> None:
    """Remove a hostile tree beneath an open directory: linux/trees. The common case, an empty directory, loads nothing for it."""
    try:
        os.rmdir(name, dir_fd=parent_fd)
        return
    except FileNotFoundError:
        return
    except OSError:
        pass
    from ..linux import trees

    trees.remove_tree(parent_fd, name)
