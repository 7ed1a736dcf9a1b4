"""A container's file system as a descriptor, mounted where nobody sees it: the door to native/view.c.

Owns: making views. Leaves to others: whose file system (engine/view), what is done in it: by descriptors alone, beneath it.
A view goes with the last descriptor of it, however its process ends.
"""

from __future__ import annotations

import os
from struct import pack

from .._native import ffi, lib
from ..record import Record
from .syscalls import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# As for a container's own root: nothing in an upper may lead elsewhere in the layers.
OPTIONS = ("index=off", "metacopy=off", "redirect_dir=nofollow")


class Cover(Record):
    """A directory or file of the host that lies over a place of the view. `make`: the place is made when it isn't there."""

    source: str
    target: str
    part: str = ""  # of the source: a path in it, links in which lead nowhere outside
    read_only: bool = False
    make: bool = False


def overlay(
    mountpoint: str, base: str, lowers: Sequence[str], upper: str = "", work: str = "", *, namespace: int = -1
) -> int:
    """Stack `lowers` (the top first, relative to `base`) and give the descriptor of the root.

    With an `upper` it can be written to. `namespace` maps the ids of the lowers. `mountpoint` is any directory. Raises OSError.
    """
    options = OPTIONS
    result = lib.mr_view_overlay(
        os.fsencode(mountpoint),
        os.fsencode(base),
        _vector(lowers),
        len(lowers),
        os.fsencode(upper),
        os.fsencode(work),
        _vector(options),
        len(options),
        namespace,
    )
    return _checked(result, "mount the container's layers")


def of_running(pidfd: int) -> int:
    """Give the root file system of a running process, without what is mounted in it. Raises OSError."""
    return _checked(lib.mr_view_running(pidfd), "look into the container")


def covered(root: int, mountpoint: str, covers: Sequence[Cover]) -> int:
    """Give `root` with mounts over it, as a new descriptor; the old one is closed. Raises OSError.

    Links in a target are followed inside the root. A source that is gone is left out, and so is a target without `make`.
    """
    keep = [[ffi.new("char[]", os.fsencode(text)) for text in (c.source, c.target, c.part)] for c in covers]
    mounts = ffi.new(
        "struct mr_view_mount[]",
        [(*texts, c.read_only, c.make) for texts, c in zip(keep, covers, strict=True)],
    )
    try:
        return _checked(lib.mr_view_mounts(root, os.fsencode(mountpoint), mounts, len(covers)), "mount the volumes")
    finally:
        del keep  # they had to live until here
        os.close(root)


def _vector(texts: Sequence[str]) -> bytes:
    """Encode strings as native/plan.c reads them: length, bytes, NUL, filled up to a multiple of 8."""
    encoded = b""
    for text in map(os.fsencode, texts):
        item = pack("=I", len(text)) + text + b"\0"
        encoded += item + bytes(-len(item) % 8)
    return encoded


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(-result, f"{what}: {reason(-result)}")
    return int(result)
