"""Fetching blobs: several at a time, each from where the last attempt ended.

Owns: `Fetcher`, its threads and their patience. Leaves to others: requests (images/registry), files (images/incoming), hashing.
"""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue

import urllib3

from ..errors import Corrupt, MinirunError
from ..light import suppress
from .answers import Unreachable
from .layers import host_error
from .transport import PAUSE_SECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .incoming import Part
    from .manifest import Descriptor
    from .registry import Registry

    Progress = Callable[[str, str, int, int], None]  # layer (""), status, bytes so far, bytes in all

AT_A_TIME = 3
ATTEMPTS = 5  # in a row that bring nothing
READ_BYTES = 1 << 20
SLOW_SECONDS, SLOW_BYTES = 60.0, 64 * 1024  # less than that in so long is a stalled connection


class Stopped(MinirunError):
    """Another part of the pull has failed: this one is given up."""


class Fetcher:
    """Fetches parts in the order given. Use it as a context manager: at its end no thread is left."""

    def __init__(self, registry: Registry, wanted: Sequence[tuple[Descriptor, Part]], progress: Progress) -> None:
        self._registry = registry
        self._progress = progress
        self._stopped = threading.Event()
        self._answers: set[urllib3.BaseHTTPResponse] = set()  # that are being read
        self._queue: SimpleQueue[tuple[Descriptor, Part]] = SimpleQueue()
        for item in wanted:
            self._queue.put(item)
        count = min(AT_A_TIME, len(wanted))
        self._threads = [threading.Thread(target=self._work, name=f"fetch-{number}") for number in range(count)]

    def __enter__(self) -> Fetcher:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._registry.give_up()
        for answer in tuple(self._answers):
            with suppress(RuntimeError, OSError):  # it has been read to its end meanwhile, or is cut already
                answer.shutdown()  # whoever reads from it reads the end
        for thread in self._threads:
            thread.join()
        self._registry.go_on()

    def _work(self) -> None:
        while True:
            try:
                descriptor, part = self._queue.get_nowait()
            except Empty:
                return
            name = descriptor.digest[7:19]
            try:
                part.take(lambda name=name: self._progress(name, "Waiting", 0, 0), self._stopped)  # type: ignore[misc]
                self._fetch(descriptor, part, name)
            except OSError as error:
                part.finish(host_error(error, f"layer {name}"))
            except BaseException as error:
                part.finish(error)
            else:
                part.finish()
                self._progress(name, "Download complete", part.size, part.size)

    def _fetch(self, descriptor: Descriptor, part: Part, name: str) -> None:
        failures = 0
        while part.written < part.size:
            before = part.written
            try:
                self._continue(descriptor.digest, part, name)
                if part.written < part.size:
                    raise Unreachable(f"layer {name}: the connection ended after {part.written} of {part.size} bytes")
            except (Unreachable, urllib3.exceptions.HTTPError) as error:
                failures = 0 if part.written > before else failures + 1
                if failures >= ATTEMPTS:
                    text = str(error) if isinstance(error, Unreachable) else " ".join(str(error).split())
                    raise Unreachable(f"layer {name}: {text}: what has come is kept for the next try") from error
                self._progress(name, "Retrying", part.written, part.size)
                if self._stopped.wait(PAUSE_SECONDS * 2**failures):
                    raise Stopped("given up") from error

    def _continue(self, digest: str, part: Part, name: str) -> None:
        answer, begin = self._registry.blob(digest, part.written)
        self._answers.add(answer)
        try:
            if begin != part.written:
                if part.can_restart:
                    part.restart()
                else:
                    _skip(answer, part.written)
            since, then = time.monotonic(), part.written
            while data := answer.read1(READ_BYTES):  # what is there: one that trickles isn't waited for
                if self._stopped.is_set():
                    raise Stopped("given up")
                part.write(data)
                self._progress(name, "Downloading", part.written, part.size)
                now = time.monotonic()
                if now - since > SLOW_SECONDS:
                    if part.written - then < SLOW_BYTES:
                        raise Unreachable(f"layer {name}: the connection stalled")
                    since, then = now, part.written
        except BaseException:
            answer.close()
            raise
        finally:
            self._answers.discard(answer)
        answer.release_conn()


def _skip(answer: urllib3.BaseHTTPResponse, count: int) -> None:
    """Read past what we have: the server has no ranges, and somebody has read the beginning already."""
    while count > 0:
        data = answer.read(min(count, READ_BYTES))
        if not data:
            raise Corrupt("the second answer is shorter than the first")
        count -= len(data)
