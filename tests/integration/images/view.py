"""What a container would see: mounts stacks of layers with overlayfs in a mount namespace of its own, and lists them.

Run as a program by the test of stacked layers: `unshare -m --propagation private python view.py DIRECTORY`, with a JSON
list on stdin, each item a list of lower directories, the top first; prints a JSON list of listings. DIRECTORY is empty
and stays so.
"""

from __future__ import annotations

import ctypes
import json
import os
import stat
import sys

LIBC = ctypes.CDLL(None, use_errno=True)


def view(lowers: list[str], mountpoint: str, empty: str) -> dict[str, list[object]]:
    options = "lowerdir=" + ":".join([*lowers, empty])  # overlayfs wants two lowers when there is no upper
    if LIBC.mount(b"overlay", mountpoint.encode(), b"overlay", 1, options.encode()) < 0:
        raise OSError(ctypes.get_errno(), f"mount {options}: {os.strerror(ctypes.get_errno())}")
    try:
        return listing(mountpoint)
    finally:
        LIBC.umount2(mountpoint.encode(), 0)


def listing(root: str) -> dict[str, list[object]]:
    """Type, mode, owner, and what is in it, by name; times of files and of directories that a layer names."""
    found: dict[str, list[object]] = {}
    for directory, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            facts: list[object] = [stat.S_IFMT(status.st_mode), stat.S_IMODE(status.st_mode), status.st_uid]
            if stat.S_ISLNK(status.st_mode):
                facts.append(os.readlink(path))
            elif stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    facts.append(file.read().decode())
                facts.append(int(status.st_mtime))
            found[os.path.relpath(path, root)] = facts
    return found


def main() -> None:
    top = sys.argv[1]
    mountpoint, empty = f"{top}/mountpoint", f"{top}/empty"
    os.mkdir(mountpoint)
    os.mkdir(empty)
    json.dump([view(lowers, mountpoint, empty) for lowers in json.load(sys.stdin)], sys.stdout)
    os.rmdir(mountpoint)
    os.rmdir(empty)


if __name__ == "__main__":
    main()
