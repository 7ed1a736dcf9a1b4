"""Decompression of a stream, with an eye on bombs.

Owns: recognising gzip by its first bytes (media types lie), reading all its members, the bound on how much may come out.
Leaves to others: what the bytes are. zstd, xz and bzip2 are recognised and refused with a sentence.
"""

from __future__ import annotations

import zlib

from ..errors import Corrupt, NotSupported
from .digest import PIECE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class Source(Protocol):
        def __call__(self, size: int, /) -> bytes: ...


GZIP = b"\x1f\x8b"
REFUSED = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\x00": "xz", b"BZh": "bzip2"}

# gzip itself reaches 1032:1. What is beyond both bounds is nothing but a bomb, or zeros that could as well come as a plain tar.
BOMB_BYTES = 4 * 1024**3
BOMB_RATIO = 400


def is_gzip(start: bytes) -> bool:
    """Say whether a stream that begins so is gzip. Raises NotSupported for another compression."""
    for magic, name in REFUSED.items():
        if start.startswith(magic):
            raise NotSupported(f"it is compressed with {name}, which isn't supported yet: decompress it, or use gzip")
    return start.startswith(GZIP)


def pieces(read: Source, start: bytes) -> Iterator[bytes]:
    """Give the plain content of a stream piece by piece; `start` is what was read of it already.

    Raises Corrupt when it is cut off, damaged or a bomb, and whatever `read` raises. Memory stays flat.
    """
    if not is_gzip(start):
        while start:
            yield start
            start = read(PIECE)
        return
    member = None
    taken, given = 0, 0
    data = start
    while data:
        taken += len(data)
        more = True  # the decompressor may hold output back although it has taken all input
        while data or more:
            if member is None:
                data = data.lstrip(b"\0") if given else data  # gzip(1): padding to blocks of a tape
                if not data:
                    break
                member = zlib.decompressobj(wbits=31)
            try:
                plain = member.decompress(data, PIECE)
            except zlib.error as error:
                raise Corrupt(f"the gzip stream is damaged: {error}") from error
            given += len(plain)
            if given > BOMB_BYTES and given > BOMB_RATIO * taken:
                raise Corrupt(f"it expands more than {BOMB_RATIO}-fold: this is a decompression bomb")
            if plain:
                yield plain
            more = len(plain) == PIECE
            data = member.unconsumed_tail
            if member.eof:
                data, member = member.unused_data, None
        data = read(PIECE)
    if member is not None:
        raise Corrupt("the gzip stream is cut off")
