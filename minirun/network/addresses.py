"""Addresses: choosing a network's subnets, and which addresses the next lease gets.

Owns: arithmetic on addresses, the pool, the choice of the next free number in a network.
Leaves to others: asking the host which addresses it uses (bridge), the lease's row (networks).

An address is its number within its subnet: the n-th IPv4 address and the n-th IPv6 address of a network belong to one
lease, and the hardware address is the IPv4 address behind two fixed bytes. So a lease that reuses an address reuses the
hardware address too, and no neighbour holds a stale entry.
"""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from ..errors import Exhausted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

# What docker's users are used to first: 172.17.0.0/16 .. 172.31.0.0/16, then 192.168.0.0/20 .. 192.168.240.0/20.
POOL = tuple(f"172.{second}.0.0/16" for second in range(17, 32)) + tuple(
    f"192.168.{third}.0/20" for third in range(0, 256, 16)
)
MAC_PREFIX = b"\x02\x6d"  # locally administered, unicast
GATEWAY_NUMBER = 1
FIRST_NUMBER = 2


def packed(address: str) -> bytes:
    """Give 4 or 16 bytes in network order; OSError when `address` is no address."""
    return inet_pton(AF_INET6 if ":" in address else AF_INET, address)


def text(address: bytes) -> str:
    """Give the usual text of 4 or 16 bytes."""
    return inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address)


def split_subnet(subnet: str) -> tuple[bytes, int]:
    """Give base address and prefix length of `address/prefix`."""
    base, _, prefix = subnet.partition("/")
    return packed(base), int(prefix)


def numbered(subnet: str, number: int) -> str:
    """Give the `number`-th address of `subnet`."""
    base, _prefix = split_subnet(subnet)
    return text((int.from_bytes(base, "big") + number).to_bytes(len(base), "big"))


def mac(address4: str) -> bytes:
    """Give the hardware address that belongs to an IPv4 address."""
    return MAC_PREFIX + packed(address4)


def overlaps(one: str, other: str) -> bool:
    """Say whether two subnets of the same family share an address; of different families they never do."""
    base, prefix = split_subnet(one)
    other_base, other_prefix = split_subnet(other)
    if len(base) != len(other_base):
        return False
    shift = len(base) * 8 - min(prefix, other_prefix)
    return int.from_bytes(base, "big") >> shift == int.from_bytes(other_base, "big") >> shift


def choose_subnet4(occupied: Iterable[str]) -> str:
    """Give the first subnet of the pool that overlaps nothing of `occupied`; Exhausted when there is none."""
    taken = tuple(occupied)
    for subnet in POOL:
        if not any(overlaps(subnet, other) for other in taken):
            return subnet
    raise Exhausted(
        "choose a subnet for the bridge: this host has routes to all of 172.17.0.0/16 .. 172.31.0.0/16 and 192.168.0.0/16;"
        " remove a route that isn't needed, or run containers with --network host or none"
    )


def choose_subnet6() -> str:
    """Give a random unique local subnet (RFC 4193): no host was asked for it, and none will have the same."""
    return text(b"\xfd" + os.urandom(5) + bytes(10)) + "/64"


def last_number(subnet4: str) -> int:
    """Give the number of the last address that can be leased: the one after it is the broadcast address."""
    return (1 << 32 - int(subnet4.rpartition("/")[2])) - 2


def next_number(connection: sqlite3.Connection, network: str, cursor: int, last: int) -> int:
    """Give a free number from `cursor` on, then from the start; Exhausted when every number is leased.

    Going round instead of taking the lowest keeps a number unused for as long as possible: what the network still
    remembers of the container that had it (connections, name servers' answers) has time to be forgotten.
    """
    for first in (cursor, FIRST_NUMBER):
        row = connection.execute(
            "SELECT candidate FROM"
            " (SELECT ? AS candidate UNION ALL SELECT number + 1 FROM leases WHERE network = ? AND number >= ?)"
            " WHERE candidate BETWEEN ? AND ? AND NOT EXISTS (SELECT 1 FROM leases WHERE network = ? AND number = candidate)"
            " ORDER BY candidate LIMIT 1",
            (first, network, first, FIRST_NUMBER, last, network),
        ).fetchone()
        if row is not None:
            return int(row[0])
    raise Exhausted(
        f"lease an address of the network {network}: all {last - FIRST_NUMBER + 1} are in use; remove or stop containers"
    )
