"""Pieces of a stream, made by a thread that runs a little ahead of who takes them.

Owns: `ahead`. Leaves to others: what makes the pieces (images/compression), what becomes of them (images/layers).

Reading, hashing what is stored and decompressing takes as long as hashing the content and unpacking it: each lets go of Python's
lock, so two threads take half the time where there are two processors.
"""

from __future__ import annotations

import threading
from queue import Full, Queue

from ..light import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEPTH = 4  # pieces that wait at most
LOOK_SECONDS = 0.1


@contextmanager
def ahead(source: Iterator[bytes], interrupt: Callable[[], object]) -> Iterator[Iterator[bytes]]:
    """Give an iterator over `source`, which a thread runs; at the block's end the thread is gone, too.

    What `source` raises is raised where its piece would have come. `interrupt` ends a read that blocks: it is called when the
    block ends before the source does.
    """
    pieces: Queue[bytes | BaseException | None] = Queue(DEPTH)
    stopped = threading.Event()

    def put(item: bytes | BaseException | None) -> None:
        while not stopped.is_set():
            with suppress(Full):
                pieces.put(item, timeout=LOOK_SECONDS)
                return

    def work() -> None:
        try:
            for piece in source:
                put(piece)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    def taken() -> Iterator[bytes]:
        while (item := pieces.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=work, name="ahead")
    thread.start()
    try:
        yield taken()
    finally:
        stopped.set()
        if thread.is_alive():
            interrupt()
        thread.join()
