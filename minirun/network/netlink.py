"""Netlink messages as bytes: packing requests, walking answers.

Owns: headers, attributes, alignment. Leaves to others: what the messages mean (bridge, firewall, conntrack) and sending
them (linux.syscalls.netlink_request).

This is the little of netlink that every start needs; importing a library for it would cost more than the start itself.
Sources: netlink(7), rtnetlink(7), linux/netlink.h.
"""

from __future__ import annotations

from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP = 0x300
NLM_F_CREATE = 0x400

_HEADER = Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = Struct("=HH")  # length, type
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF


def message(kind: int, flags: int, body: bytes) -> bytes:
    """Give one request; `body` is the family's header and the attributes."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | NLM_F_REQUEST, 0, 0) + body + b"\0" * (-len(body) % 4)


def attribute(kind: int, value: bytes) -> bytes:
    """Give one attribute, padded. Raises struct.error when `value` is longer than an attribute can be (CVE-2021-43784)."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + b"\0" * (-len(value) % 4)


def nest(kind: int, *attributes: bytes) -> bytes:
    """Give one attribute that holds others."""
    return attribute(kind | _NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """Give one attribute that holds a NUL-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def messages(answer: bytes) -> Iterator[tuple[int, bytes]]:
    """Walk an answer: type and body of each message."""
    place = 0
    while place + _HEADER.size <= len(answer):
        length, kind, _flags, _sequence, _port = _HEADER.unpack_from(answer, place)
        if length < _HEADER.size:
            return
        yield kind, answer[place + _HEADER.size : place + length]
        place += length + (-length % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """Give the attributes of a message body (past its family header) or of a nest; the last of a type wins."""
    found: dict[int, bytes] = {}
    place = 0
    while place + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, place)
        if length < _ATTRIBUTE.size:
            return found
        found[kind & _TYPE_MASK] = data[place + _ATTRIBUTE.size : place + length]
        place += length + (-length % 4)
    return found
