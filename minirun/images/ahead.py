"""Pieces of a stream, made by a thread that runs a little ahead of who takes them.

Owns: `ahead`. Leaves to others: what makes the pieces (images/compression), what becomes of them (images/layers).

Reading, hashing what is stored and decompressing takes as long as hashing the content and unpacking it: each lets go of Python's
lock, so two threads take half the time where there are two processors.
"""

from __future__ import annotations

import threading
from itertools import islice
from queue import Full, Queue

from ..light import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH = 8  # pieces that are handed over together: on a busy machine each hand-over may cost a turn of the scheduler
DEPTH = 4  # batches that wait at most
LOOK_SECONDS = 0.1


@contextmanager
def ahead(source: Iterator[bytes], interrupt: Callable[[], object]) -> Iterator[Iterator[bytes]]:
    """Give an iterator over `source`, which a thread runs; at the block's end the thread is gone, too.

    What `source` raises is raised where its piece would have come. `interrupt` ends a read that blocks: it is called when the
    block ends before the source does.
    """
    batches: Queue[list[bytes] | BaseException] = Queue(DEPTH)
    stopped = threading.Event()

    def put(item: list[bytes] | BaseException) -> None:
        while not stopped.is_set():
            with suppress(Full):
                batches.put(item, timeout=LOOK_SECONDS)
                return

    def work() -> None:
        try:
            while batch := list(islice(source, BATCH)):
                put(batch)
                if stopped.is_set():
                    return
            put([])
        except BaseException as error:
            put(error)

    def taken() -> Iterator[bytes]:
        while batch := batches.get():
            if isinstance(batch, BaseException):
                raise batch
            yield from batch

    thread = threading.Thread(target=work, name="ahead")
    thread.start()
    try:
        yield taken()
    finally:
        stopped.set()
        if thread.is_alive():
            interrupt()
        thread.join()
