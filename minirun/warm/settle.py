"""How memory lies in the preloaded process before it forks its first worker.

Owns: the order, and Python's own heap. Leaves to others: the C library's (native/preload.c).
A worker pays for each page that it is the first to write to: a fault, and a copy. So nothing that a worker allocates shall lie in
the holes between what is held: everything new lies together, on few pages. (Large pages make the fork cheaper, but each of them
holds something that is written to, and breaks at the first.)
"""

from __future__ import annotations

import gc

from .._native import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SMALL = range(
    48, 513, 16
)  # in which Python's heap (obmalloc) cuts its pools; the two below are for an object and a number
_BYTES = 33  # sys.getsizeof(b"")
_POOL = 16 << 10
_HEAD = 48  # of a pool
_fillers: list[object] = []


def settle() -> None:
    """Do it all, once. What the kernel or the C library doesn't offer is left out."""
    gc.collect()
    _fill_pools()
    lib.mr_pages_remember()
    lib.mr_fill_holes()
    gc.freeze()  # a worker's collection doesn't touch what is there


def _fill_pools() -> None:
    """Allocate what is free in half-filled pools, until the first block of a fresh one has come."""
    makers: tuple[Callable[[], object], ...] = (
        object,
        lambda: len(_fillers) + (1 << 40),
        *(_bytes_of(size) for size in _SMALL),
    )
    for make in makers:
        while True:
            filler = make()
            _fillers.append(filler)
            if id(filler) % _POOL == _HEAD:
                break


def _bytes_of(size: int) -> Callable[[], bytes]:
    return lambda: bytes(size - _BYTES)
