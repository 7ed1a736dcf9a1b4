"""One layer: its bytes are hashed as they are stored, hashed as they unpack, and unpacked, in one pass.

Owns: the stream through digest, decompression, digest and the applier; the limits. Leaves to others: what an entry becomes
(native/untar.c and layer.c), where the result goes (storage/snapshots), whether the digests are the right ones (the caller).

    read -> sha256 (blob) -> gunzip   |   -> sha256 (diff id) -> untar beneath a directory
         -> a file, when the source is a pipe
    a thread of its own (images/ahead)
"""

from __future__ import annotations

import errno
import hashlib
import os

from ..errors import Corrupt, Exhausted, MinirunError, NotSupported
from ..light import ExitStack, contextmanager
from ..linux.untar import BadArchive, Untar
from ..record import Record
from . import compression
from .ahead import ahead
from .digest import PIECE
from .manifest import OCI_LAYER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .compression import Source

ENTRIES_MAX = 10_000_000
RECOGNISED = 512  # bytes that say what a stream is
FREE_FLOOR_BYTES = 64 * 1024 * 1024  # of the file system stay free: a full disk breaks more than the load


class Layer(Record):
    """What came out of one pass: the blob as stored, the tar inside it, how much it unpacked to."""

    digest: str
    size: int
    diff_id: str
    media_type: str
    unpacked_bytes: int


def read_layer(
    read: Source,
    what: str,
    *,
    target: str = "",
    lowers: Sequence[str] = (),
    keep: int = -1,
    needs_end_mark: bool = False,
    interrupt: Callable[[], object] | None = None,
) -> Layer:
    """Take a layer in: hash it, and unpack it into the new directory `target` when one is given.

    `lowers` are the directories of the layers below, the nearest first. `keep` gets the bytes as they come. `what` names
    the layer in errors: Corrupt (the archive), Exhausted (no space), MinirunError (the host). What was written by then
    stays, for the caller's stage to remove. Blocks; memory stays flat. With `interrupt`, which ends a `read` that blocks, a second
    thread calls `read`.
    """
    with _named(what):
        return _read_layer(read, target, lowers, keep, needs_end_mark, interrupt)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Say in errors what it was that couldn't be read."""
    try:
        yield
    except (BadArchive, Corrupt) as error:
        raise Corrupt(f"{what}: {error}") from error
    except NotSupported as error:
        raise NotSupported(f"{what}: {error}") from error
    except OSError as error:
        raise host_error(error, what) from error


def host_error(error: OSError, what: str) -> MinirunError:
    """Turn the host's refusal into the sentence and class that a user gets."""
    text = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Exhausted(f"{what}: {text}: free some space and try again")
    return MinirunError(f"{what}: {text}")


def free_bytes(path: str) -> int:
    """Give how much may be written to the file system of `path` before it counts as full. statvfs(3)"""
    status = os.statvfs(path)
    return max(status.f_bavail * status.f_frsize - FREE_FLOOR_BYTES, 0)


def _read_layer(
    read: Source,
    target: str,
    lowers: Sequence[str],
    keep: int,
    needs_end_mark: bool,
    interrupt: Callable[[], object] | None,
) -> Layer:
    stored, plain = hashlib.sha256(), hashlib.sha256()
    size = 0

    def tapped(length: int) -> bytes:
        nonlocal size
        data = read(length)
        size += len(data)
        stored.update(data)
        if keep >= 0:
            _write(keep, data)
        return data

    start = _first(tapped, RECOGNISED if interrupt is None else PIECE)
    kind = compression.compression_of(start)
    unpacked = 0
    with ExitStack() as stack:
        untar = _untar(stack, target, lowers, needs_end_mark) if target else None
        pieces = compression.pieces(tapped, start)
        if interrupt is not None and len(start) >= PIECE:  # less than that is done before a thread has begun
            pieces = stack.enter_context(ahead(pieces, interrupt))
        for data in pieces:
            if kind:
                plain.update(data)
            if untar is not None:
                untar.feed(data)
        if untar is not None:
            untar.finish()
            unpacked = untar.bytes_written
    digest = f"sha256:{stored.hexdigest()}"
    return Layer(
        digest=digest,
        size=size,
        diff_id=f"sha256:{plain.hexdigest()}" if kind else digest,
        media_type=f"{OCI_LAYER}+{kind}" if kind else OCI_LAYER,
        unpacked_bytes=unpacked,
    )


def _untar(stack: ExitStack, target: str, lowers: Sequence[str], needs_end_mark: bool) -> Untar:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    os.mkdir(target, 0o755)
    descriptors = []
    for path in (target, *lowers):
        descriptors.append(os.open(path, flags))
        stack.callback(os.close, descriptors[-1])
    os.fchmod(descriptors[0], 0o755)  # whatever the umask: this is the container's root directory
    return stack.enter_context(
        Untar(
            descriptors[0],
            descriptors[1:],
            max_entries=ENTRIES_MAX,
            max_bytes=free_bytes(target),
            needs_end_mark=needs_end_mark,
        )
    )


def spool(read: Source, directory: str, what: str) -> None:
    """Unpack an archive of archives (`docker save`, an OCI layout) into a new directory: files, directories and links only.

    Raises as `read_layer` does. Memory stays flat, a pipe will do.
    """
    os.mkdir(directory, 0o700)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with _named(what), ExitStack() as stack:
        stack.callback(os.close, descriptor)
        room = free_bytes(directory)
        untar = stack.enter_context(
            Untar(descriptor, max_entries=ENTRIES_MAX, max_bytes=room, spool=True, needs_end_mark=True)
        )
        for data in compression.pieces(read, _first(read, RECOGNISED)):
            untar.feed(data)
        untar.finish()


def _first(read: Source, enough: int) -> bytes:
    """Read until there are `enough` bytes, or all; a pipe, or a layer that is on its way, gives less than is asked for."""
    start = read(PIECE)
    while 0 < len(start) < enough and (more := read(PIECE)):
        start += more
    return start


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
