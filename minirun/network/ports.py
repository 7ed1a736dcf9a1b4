"""Host ports: who has which, and keeping the host's own programs off them.

Owns: the rows of port_leases, the sockets that reserve a host port, the choice of a free one.
Leaves to others: reading `-p` (cli), the map elements (firewall), handing the sockets to the monitor (engine).

A published port is translated before any socket sees the packet, so nothing would stop a program of the host from binding it
too and wondering why nobody comes. Therefore each mapping holds a socket that is bound and never listens; the monitor inherits
it, and the port is free again when the container ends. Whether two mappings are in each other's way (0.0.0.0 and 127.0.0.1,
[::] and everything) is thus the kernel's own judgement; the rows say who was first.
"""

from __future__ import annotations

import errno
import os
from _socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_IPV6,
    IPV6_V6ONLY,
    SO_REUSEADDR,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
)

from ..errors import Conflict, InvalidInput, MinirunError, NotSupported
from .addresses import packed, text
from .firewall import PROTOCOLS, Element, elements_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from typing import Any, Protocol, Self

    from .networks import Endpoint

    class Mapping(Protocol):
        """What a port mapping has to have; engine.config.PortMapping does."""

        @property
        def container_port(self) -> int: ...
        @property
        def protocol(self) -> str: ...
        @property
        def host_address(self) -> str: ...
        @property
        def host_port(self) -> int: ...
        @property
        def host_port_last(self) -> int: ...
        def replace(self, **changes: Any) -> Self: ...


ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - what "no address" is called in messages, and bound to without IPv6
ATTEMPTS = 16  # at a port of the kernel's choice; it chooses among free ones, so the second is rarely needed


class Reservation:
    """Sockets that keep host ports taken for as long as somebody holds them: pass `descriptors` on, then close."""

    def __init__(self) -> None:
        self.mappings: tuple[Any, ...] = ()  # as they were asked for, with the real host ports
        self.descriptors: list[int] = []

    def close(self) -> None:
        """Close this process's descriptors; inherited ones live on."""
        while self.descriptors:
            os.close(self.descriptors.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def reserve(
    connection: sqlite3.Connection, container_id: str, endpoint: Endpoint, mappings: Iterable[Mapping]
) -> Reservation:
    """Take the host ports of `mappings` for a container: rows in the caller's transaction, and sockets.

    Raises Conflict when a port is taken (naming by whom), InvalidInput for an address that isn't the host's. After a failure
    no socket is left; the rows go with the caller's transaction.
    """
    reservation = Reservation()
    try:
        taken = [
            _reserve_first(connection, container_id, endpoint, mapping, reservation)
            for mapping in dict.fromkeys(mappings)
        ]
    except BaseException:
        reservation.close()
        raise
    reservation.mappings = tuple(taken)
    return reservation


def elements(connection: sqlite3.Connection, container_id: str | None = None) -> list[Element]:
    """Give the map elements of a container's rows, or of all rows."""
    columns = (
        "SELECT protocol, host_address, host_port, address4, address6, container_port,"
        " 'container ' || substr(container_id, 1, 12) FROM port_leases"
    )
    if container_id is None:
        rows = connection.execute(columns)
    else:
        rows = connection.execute(f"{columns} WHERE container_id = ?", (container_id,))
    return [element for row in rows for element in elements_of(*row)]


def _reserve_first(
    connection: sqlite3.Connection, container_id: str, endpoint: Endpoint, mapping: Mapping, reservation: Reservation
) -> Mapping:
    """Take the first free port of a range."""
    if not mapping.host_port_last:
        return _reserve_one(connection, container_id, endpoint, mapping, reservation)
    for port in range(mapping.host_port, mapping.host_port_last + 1):
        single = mapping.replace(host_port=port, host_port_last=0)
        try:
            return _reserve_one(connection, container_id, endpoint, single, reservation)
        except Conflict:
            continue
    raise Conflict(f"publish {_shown(mapping)}: all ports up to {mapping.host_port_last} are already allocated")


def _reserve_one(
    connection: sqlite3.Connection, container_id: str, endpoint: Endpoint, mapping: Mapping, reservation: Reservation
) -> Mapping:
    address = _checked_address(mapping, endpoint)
    for _ in range(ATTEMPTS):
        try:
            descriptor, port = _bind(mapping.protocol, address, mapping.host_port)
        except OSError as error:
            raise _refusal(connection, container_id, mapping, error) from error
        if descriptor >= 0:
            reservation.descriptors.append(descriptor)
        row = (
            mapping.protocol,
            port,
            address,
            container_id,
            endpoint.address4,
            endpoint.address6,
            mapping.container_port,
        )
        done = connection.execute("INSERT INTO port_leases VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row)
        if done.rowcount == 1:
            return mapping.replace(host_address=address, host_port=port)
        # A row whose monitor has died and that nobody has released yet. A port of our choice can be another one.
        if mapping.host_port:
            if descriptor >= 0:
                os.close(reservation.descriptors.pop())
            break
    raise _refusal(connection, container_id, mapping, OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)))


def _checked_address(mapping: Mapping, endpoint: Endpoint) -> str:
    shown = _shown(mapping)
    if mapping.protocol not in PROTOCOLS:
        raise InvalidInput(f"publish {shown}: the protocol is tcp, udp or sctp")
    if not 1 <= mapping.container_port <= 65535 or not 0 <= mapping.host_port <= 65535:
        raise InvalidInput(f"publish {shown}: a port is a number from 1 to 65535")
    if not mapping.host_address:
        return ""
    try:
        address = text(packed(mapping.host_address))
    except OSError as error:
        raise InvalidInput(f"publish {shown}: {mapping.host_address!r} is not an IP address") from error
    if ":" in address and not endpoint.address6:
        raise NotSupported(
            f"publish {shown}: the network {endpoint.network} has no IPv6 on this host; name an IPv4 address"
        )
    return address


def _bind(protocol: str, address: str, port: int) -> tuple[int, int]:
    """Give a descriptor that holds the port (-1 for a protocol that this kernel has no sockets for), and the port."""
    families = (
        ((AF_INET6, "::"), (AF_INET, ANY_ADDRESS))
        if not address
        else ((AF_INET6 if ":" in address else AF_INET, address),)
    )
    kind = SOCK_DGRAM if protocol == "udp" else SOCK_STREAM
    for family, name in families:
        try:
            holder = socket(family, kind, PROTOCOLS[protocol])
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT and family == AF_INET6 and not address:
                continue
            if error.errno in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT) and port:
                return -1, port
            raise
        try:
            if family == AF_INET6:
                holder.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0 if not address else 1)
            _take(holder, protocol, name, port)
            taken = port or int(holder.getsockname()[1])
            return holder.detach(), taken
        finally:
            holder.close()
    raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))


def _take(holder: socket, protocol: str, address: str, port: int) -> None:
    try:
        holder.bind((address, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE or protocol != "tcp":
            raise
        # Perhaps only old connections of a program that has ended (TIME_WAIT). SO_REUSEADDR sees past them, and past other
        # bound sockets too; those are found by listening for a moment. Without the option no one else gets past us.
        holder.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        holder.bind((address, port))
        holder.listen(0)
        holder.shutdown(2)  # no longer listening, still bound
        holder.setsockopt(SOL_SOCKET, SO_REUSEADDR, 0)


def _refusal(connection: sqlite3.Connection, container_id: str, mapping: Mapping, error: OSError) -> MinirunError:
    attempt = f"publish {_shown(mapping)}"
    if error.errno == errno.EADDRINUSE:
        row = connection.execute(
            "SELECT container_id FROM port_leases WHERE protocol = ? AND host_port = ?",
            (mapping.protocol, mapping.host_port),
        ).fetchone()
        if row is None:
            return Conflict(f"{attempt}: address already in use by a program on this host")
        owner = "this container, twice" if row[0] == container_id else f"container {row[0][:12]}"
        return Conflict(f"{attempt}: port is already allocated by {owner}")
    if error.errno == errno.EADDRNOTAVAIL:
        return InvalidInput(f"{attempt}: this host has no address {mapping.host_address}")
    return MinirunError(f"{attempt}: {error.strerror}")


def _shown(mapping: Mapping) -> str:
    address = mapping.host_address or ANY_ADDRESS
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{mapping.host_port or '(free)'} -> {mapping.container_port}/{mapping.protocol}"
