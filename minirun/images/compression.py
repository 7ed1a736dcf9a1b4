"""Decompression of a stream, with an eye on bombs.

Owns: recognising gzip and zstd by their first bytes (media types lie), reading all their members and frames, the bound on how much
may come out. Leaves to others: what the bytes are. xz and bzip2 are recognised and refused with a sentence.
"""

from __future__ import annotations

import os

from ..errors import Corrupt, InvalidInput, NotSupported
from ..units import whole_number
from .digest import PIECE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Protocol

    class Source(Protocol):
        def __call__(self, size: int, /) -> bytes: ...


GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
SKIPPABLE = tuple(
    bytes([0x50 + low]) + b"\x2a\x4d\x18" for low in range(16)
)  # RFC 8878, 3.1.2: what may stand before a frame
WINDOW_MAX = (
    128 * 1024 * 1024
)  # bytes of memory that a zstd frame may ask for: RFC 8878, 3.1.1.1.2, wants 8 MiB at least
REFUSED = {b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2"}

ZSTD_STEP = 1024  # bytes taken at once: each 4 of them may become a block of 128 KiB (RFC 8878, 3.1.1.2.3)

# gzip itself reaches 1032:1. What is beyond both bounds is nothing but a bomb, or zeros that could as well come as a plain tar.
BOMB_BYTES = 4 * 1024**3
BOMB_RATIO = 400
EXPANSION = "MINIRUN_MAX_EXPANSION"  # the variable that sets another ratio


def is_gzip(start: bytes) -> bool:
    """Say whether a stream that begins so is gzip. Raises NotSupported for another compression."""
    for magic, name in REFUSED.items():
        if start.startswith(magic):
            raise NotSupported(f"it is compressed with {name}, which isn't supported yet: decompress it, or use gzip")
    return start.startswith(GZIP)


def compression_of(start: bytes) -> str:
    """Give what a stream that begins so is compressed with: "gzip", "zstd", or "" for nothing. Raises NotSupported."""
    if start.startswith((ZSTD, *SKIPPABLE)):
        return "zstd"
    return "gzip" if is_gzip(start) else ""


def pieces(read: Source, start: bytes) -> Iterator[bytes]:
    """Give the plain content of a stream piece by piece; `start` is what was read of it already.

    Raises Corrupt when it is cut off, damaged or a bomb, and whatever `read` raises. Memory stays flat.
    """
    kind = compression_of(start)
    if not kind:
        while start:
            yield start
            start = read(PIECE)
        return
    taken, given = 0, 0
    ratio = _ratio()

    def counted() -> Iterator[bytes]:
        nonlocal taken
        data = start
        while data:
            taken += len(data)
            yield data
            data = read(PIECE)

    for plain in (_gunzipped if kind == "gzip" else _unzstd)(counted()):
        given += len(plain)
        if given > BOMB_BYTES and given > ratio * taken:
            raise Corrupt(
                f"it expands more than {ratio}-fold: this is a decompression bomb, or {EXPANSION}=N allows N-fold"
            )
        yield plain


def _ratio() -> int:
    """Give how many bytes may come out of one, once there are many. Raises InvalidInput."""
    text = os.environ.get(EXPANSION, "")
    ratio = whole_number(text, 10**9) if text else BOMB_RATIO
    if not ratio:
        raise InvalidInput(f"{EXPANSION}={text[:100]!a}: it is how many bytes may come out of one: a number")
    return ratio


def _gunzipped(source: Iterator[bytes]) -> Iterator[bytes]:
    """All members one after the other. RFC 1952, 2.2"""
    library = _inflater()
    member: Any = None
    seen = False
    for data in source:
        more = True  # the decompressor may hold output back although it has taken all input
        while data or more:
            if member is None:
                data = data.lstrip(b"\0") if seen else data  # gzip(1): padding to blocks of a tape
                if not data:
                    break
                if not data.startswith(GZIP[: len(data)]):
                    raise Corrupt("the gzip stream is damaged: something else follows it")
                member = library.decompressobj(wbits=31)
            try:
                plain = member.decompress(data, PIECE)
            except library.error as error:
                raise Corrupt(f"the gzip stream is damaged: {error}") from error
            if plain:
                seen = True
                yield plain
            more = len(plain) == PIECE
            data = member.unconsumed_tail
            if member.eof:
                seen = True
                data, member = member.unused_data, None
    if member is not None:
        raise Corrupt("the gzip stream is cut off")


def _inflater() -> Any:
    """isal's zlib, which is twice as fast; else the standard library's."""
    try:
        from isal import isal_zlib
    except ImportError:
        import zlib

        return zlib
    return isal_zlib


def _unzstd(source: Iterator[bytes]) -> Iterator[bytes]:
    """All frames one after the other; what stands between them for other readers is skipped. RFC 8878, 3.1"""
    import zstandard

    frame: Any = None
    skip = 0
    rest = b""
    for data in source:
        rest += data
        place = 0
        while place < len(rest):
            if skip:
                cut = min(skip, len(rest) - place)
                skip, place = skip - cut, place + cut
                continue
            if frame is None:
                head = rest[place : place + 8]
                if len(head) < 8:
                    break
                if head.startswith(SKIPPABLE):
                    skip, place = int.from_bytes(head[4:], "little"), place + 8
                    continue
                frame = zstandard.ZstdDecompressor(max_window_size=WINDOW_MAX).decompressobj()
            step = rest[place : place + ZSTD_STEP]
            try:
                plain = frame.decompress(step)
            except zstandard.ZstdError as error:
                raise Corrupt(f"the zstd stream is damaged: {error}") from error
            place += len(step)
            if plain:
                yield plain
            if frame.eof:
                place -= len(frame.unused_data)
                frame = None
        rest = rest[place:]
    if frame is not None or skip or rest:
        raise Corrupt("the zstd stream is cut off")
