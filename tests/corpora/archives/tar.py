"""Tar archives byte by byte: no library stands between a test and the bad name that it wants to write.

Owns: headers, extended headers, the end mark. Leaves to others: which archives are worth writing (cases).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

BLOCK = 512
END = b"\0" * (2 * BLOCK)


def octal(value: int, length: int) -> bytes:
    """A number as ustar has it: octal digits and a NUL."""
    return f"{value:0{length - 1}o}".encode() + b"\0"


def base256(value: int, length: int) -> bytes:
    """A number as GNU tar has it when octal digits don't suffice, or when it is negative."""
    if value < 0:
        return ((1 << (8 * length)) + value).to_bytes(length, "big")
    return (value | (0x80 << (8 * (length - 1)))).to_bytes(length, "big")


def pad(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % BLOCK)


def header(
    name: bytes | str,
    kind: bytes = b"0",
    *,
    size: int = 0,
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = 1_000_000_000,
    link: bytes | str = b"",
    prefix: bytes | str = b"",
    major: int = 0,
    minor: int = 0,
    magic: bytes = b"ustar\x0000",
    fields: dict[int, bytes] | None = None,
    checksum: int | None = None,
) -> bytes:
    """One header block; `fields` writes raw bytes at offsets, last of all before the checksum."""
    block = bytearray(BLOCK)

    def put(offset: int, value: bytes) -> None:
        block[offset : offset + len(value)] = value

    put(0, raw(name)[:100])
    put(100, octal(mode, 8))
    put(108, octal(uid, 8) if uid < 0o10000000 else base256(uid, 8))
    put(116, octal(gid, 8) if gid < 0o10000000 else base256(gid, 8))
    put(124, octal(size, 12) if 0 <= size < 1 << 33 else base256(size, 12))
    put(136, octal(mtime, 12) if 0 <= mtime < 1 << 33 else base256(mtime, 12))
    put(156, kind)
    put(157, raw(link)[:100])
    put(257, magic)
    put(329, octal(major, 8))
    put(337, octal(minor, 8))
    put(345, raw(prefix)[:155])
    for offset, value in (fields or {}).items():
        put(offset, value)
    put(148, b" " * 8)
    put(148, f"{sum(block) if checksum is None else checksum:06o}\0 ".encode())
    assert len(block) == BLOCK
    return bytes(block)


def raw(text: bytes | str) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def record(key: bytes | str, value: bytes | str) -> bytes:
    """One PAX record: its length counts itself."""
    body = b" " + raw(key) + b"=" + raw(value) + b"\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def pax(records: Mapping[str, bytes | str] | bytes, kind: bytes = b"x") -> bytes:
    """An extended header for the next entry (`g`: for all)."""
    data = records if isinstance(records, bytes) else b"".join(record(key, value) for key, value in records.items())
    return header("PaxHeaders/x", kind, size=len(data)) + pad(data)


def long(value: bytes | str, kind: bytes = b"L") -> bytes:
    """GNU's long name (L) or link (K)."""
    data = raw(value) + b"\0"
    return header("././@LongLink", kind, size=len(data), magic=b"ustar  \0") + pad(data)


def file(name: bytes | str, data: bytes = b"content\n", **more: object) -> bytes:
    return header(name, b"0", size=len(data), **more) + pad(data)  # type: ignore[arg-type]


def directory(name: bytes | str, mode: int = 0o755, **more: object) -> bytes:
    return header(name, b"5", mode=mode, **more)  # type: ignore[arg-type]


def symlink(name: bytes | str, target: bytes | str, **more: object) -> bytes:
    return header(name, b"2", link=target, mode=0o777, **more)  # type: ignore[arg-type]


def hardlink(name: bytes | str, target: bytes | str, **more: object) -> bytes:
    return header(name, b"1", link=target, **more)  # type: ignore[arg-type]


def device(name: bytes | str, kind: bytes, major: int, minor: int, **more: object) -> bytes:
    return header(name, kind, major=major, minor=minor, **more)  # type: ignore[arg-type]


def fifo(name: bytes | str) -> bytes:
    return header(name, b"6")


def with_xattrs(entry: bytes, attributes: dict[str, bytes], *, libarchive: bool = False) -> bytes:
    """An entry with extended attributes, as star and GNU tar write them or as libarchive does."""
    if libarchive:
        return (
            pax({f"LIBARCHIVE.xattr.{key}": base64.b64encode(value).rstrip(b"=") for key, value in attributes.items()})
            + entry
        )
    return pax({f"SCHILY.xattr.{key}": value for key, value in attributes.items()}) + entry


def archive(*entries: bytes) -> bytes:
    """Entries and the end mark."""
    return b"".join(entries) + END
