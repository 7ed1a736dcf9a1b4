"""Forgetting connections: a UDP port that is published anew, or no longer, has to lose what the kernel remembers of it.

Owns: deleting connection tracking entries of one protocol and host port.
Leaves to others: knowing when that is needed (networks).

NAT is decided by a connection's first packet and remembered. UDP has no end that a kernel could see: a client that keeps
sending would go on reaching nobody after a port was published, and the address's next tenant after it was withdrawn. TCP
needs none of this: a stray segment is answered with a reset.

Source: linux/netfilter/nfnetlink_conntrack.h; the filter for dumps needs Linux 5.8.
"""

from __future__ import annotations

from struct import pack

from ..light import suppress
from ..linux.syscalls import netlink_request
from . import netlink

_GET, _DELETE = 0x101, 0x102
_TUPLE_ORIGINAL, _ID, _FILTER = 1, 12, 25
_TUPLE_PROTOCOL = 2
_PROTOCOL_NUMBER, _PROTOCOL_DESTINATION = 1, 3
_FILTER_ORIGINAL, _FILTER_REPLY = 1, 2
_BY_NUMBER_AND_DESTINATION = 1 << 3 | 1 << 5
_NESTED = 0x8000
_ANSWER_BYTES = 1 << 20  # some thousand entries


def forget(protocol: int, host_port: int) -> None:
    """Delete the entries of connections to `host_port`, whatever their address. A kernel that can't is left in peace."""
    wanted = netlink.nest(
        _TUPLE_PROTOCOL,
        netlink.attribute(_PROTOCOL_NUMBER, pack("B", protocol)),
        netlink.attribute(_PROTOCOL_DESTINATION, pack(">H", host_port)),
    )
    flags = netlink.attribute(_FILTER_ORIGINAL, pack("=I", _BY_NUMBER_AND_DESTINATION)) + netlink.attribute(
        _FILTER_REPLY, bytes(4)
    )
    for family in (b"\x02", b"\x0a"):
        head = family + b"\0\0\0"
        question = head + netlink.nest(_TUPLE_ORIGINAL, wanted) + netlink.nest(_FILTER, flags)
        try:
            answer = netlink_request(
                netlink.NETLINK_NETFILTER, netlink.message(_GET, netlink.NLM_F_DUMP, question), _ANSWER_BYTES
            )
        except OSError:
            continue  # no connection tracking in this kernel, or none that can be asked: then nothing is remembered wrongly
        for _kind, body in netlink.messages(answer):
            found = netlink.attributes(body[4:])
            if _TUPLE_ORIGINAL in found and _ID in found:
                _delete(head, found[_TUPLE_ORIGINAL], found[_ID])


def _delete(head: bytes, original: bytes, identity: bytes) -> None:
    body = head + netlink.attribute(_TUPLE_ORIGINAL | _NESTED, original) + netlink.attribute(_ID, identity)
    with suppress(OSError):  # it ended in the meantime
        netlink_request(netlink.NETLINK_NETFILTER, netlink.message(_DELETE, netlink.NLM_F_ACK, body))
