"""The noun: a network that containers join, and what each of them holds of it.

Owns: `Network`, `Endpoint`, and their life: made when first needed, found broken and mended, leased from, given back to.
Leaves to others: the bridge (bridge), rules and map elements (firewall), host ports (ports), the veth pair itself, which the
plan of a start makes (native/rtnetlink.c), and the order of things within a start (engine).

    ensure()                                   the bridge and the rules are there; 2 requests when they are
    with transaction:
        lease(id)      -> Endpoint             a row: addresses and interface names for the plan
        reserve(id)    -> Reservation          rows, and sockets that keep the host ports; the monitor inherits them
    publish(id)                                after the commit: map elements of those rows
    ...
    with transaction:
        release(id)                            elements away, then the rows; safe to repeat, also for one who has nothing

Rows come before what they describe and go after it, so whoever cleans up after a kill finds everything by `release`.
"""

from __future__ import annotations

import os

from ..database import transaction
from ..light import cached_property
from ..record import Record
from . import addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from .firewall import Element, Firewall
    from .ports import Mapping, Reservation

DEFAULT_NETWORK = "bridge"  # docker's name for the network of containers that ask for none
PORT_PREFIX = "mr"  # of the host's ends of veth pairs


class Network(Record):
    """A bridge with its subnets; the IPv6 fields are "" on a host without IPv6."""

    name: str
    bridge: str
    subnet4: str  # address/prefix
    gateway4: str
    subnet6: str = ""
    gateway6: str = ""


class Endpoint(Record):
    """What one container holds of a network."""

    network: str
    bridge: str
    host_interface: str
    interface: str = "eth0"
    mac: bytes
    address4: str
    prefix4: int
    gateway4: str
    address6: str = ""
    prefix6: int = 0
    gateway6: str = ""


class Networks:
    """The networks of one data root. For now there is one, the default bridge."""

    def __init__(self, connection: sqlite3.Connection, *, bridge: str = "minirun0", table: str = "minirun") -> None:
        self.bridge = bridge
        self.connection = connection
        self._table = table

    @cached_property
    def firewall(self) -> Firewall:
        from .firewall import Firewall

        return Firewall(self._table)

    def ensure(self) -> Network:
        """Give the network, made or mended when it isn't as it should be: first use, reboot, `nft flush ruleset`.

        Mending puts the elements and bridge ports of live leases back. Microseconds when nothing is wrong, else some 0.3 s.
        Raises NotSupported when the host lacks what a bridge needs, Exhausted when every subnet of the pool is in use.
        """
        from . import bridge

        network = self._stored()
        if network is not None and bridge.is_ready(network) and self.firewall.is_current(network):
            return network
        with transaction(self.connection):  # one process mends, the others wait and find it done
            network = self._stored()
            if network is not None and bridge.is_ready(network) and self.firewall.is_current(network):
                return network
            return self._made(network)

    def warnings(self) -> tuple[str, ...]:
        """Give a sentence for each thing of this host that keeps the network from working fully. Cold: asks nft and iptables."""
        from . import bridge
        from .ruleset import obstacles

        without_ipv6 = () if bridge.has_ipv6() else ("this host has no IPv6: containers get IPv4 addresses only",)
        return without_ipv6 + obstacles(self.bridge, self.firewall.table)

    def lease(self, container_id: str, mac: bytes = b"") -> Endpoint:
        """Give a container its addresses, the same ones when it has some. In the caller's transaction, after `ensure`.

        `mac` is the hardware address that was asked for; one that belongs to the IPv4 address unless it is set.
        Raises Exhausted when all addresses are in use.
        """
        network = self._stored()
        if network is None:
            raise LookupError("lease() comes after ensure()")
        endpoint = self._endpoint(network, container_id)
        if endpoint is not None:
            return endpoint
        (cursor,) = self.connection.execute("SELECT cursor FROM networks WHERE name = ?", (network.name,)).fetchone()
        number = addresses.next_number(self.connection, network.name, cursor, addresses.last_number(network.subnet4))
        address4 = addresses.numbered(network.subnet4, number)
        address6 = addresses.numbered(network.subnet6, number) if network.subnet6 else ""
        mac = mac or addresses.mac(address4)
        # A fresh name each time: the kernel removes the pair of a dead container when it gets round to it.
        host_interface = PORT_PREFIX + os.urandom(6).hex()
        self.connection.execute(
            "INSERT INTO leases (network, number, container_id, address4, address6, mac, host_interface)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (network.name, number, container_id, address4, address6, mac, host_interface),
        )
        self.connection.execute("UPDATE networks SET cursor = ? WHERE name = ?", (number + 1, network.name))
        return _endpoint_of(network, address4, address6, mac, host_interface)

    def reserve(self, container_id: str, endpoint: Endpoint, mappings: Iterable[Mapping]) -> Reservation:
        """Take host ports for a container. In the caller's transaction; `publish` makes them work.

        Gives the mappings with their real host ports, and descriptors that the container's monitor has to inherit.
        Raises Conflict when a port is taken. Leaves no socket behind on failure.
        """
        from . import ports

        return ports.reserve(self.connection, container_id, endpoint, mappings)

    def publish(self, container_id: str) -> None:
        """Lead the container's reserved host ports to it. After the commit of `reserve`; a no-op without ports."""
        elements = self._elements(container_id)
        if elements:
            self._forget_datagrams(container_id)
            self.firewall.add(elements)

    def release(self, container_id: str) -> None:
        """Take back all that a container holds: elements, host ports, addresses. Safe to repeat."""
        self.withdraw(container_id)
        with transaction(self.connection):
            self.forget(container_id)

    def withdraw(self, container_id: str) -> None:
        """Take back the first half: host ports lead nowhere from now on. Safe to repeat; `forget` has to follow."""
        elements = self._elements(container_id)
        if elements:
            self.firewall.remove(elements)
            self._forget_datagrams(container_id)

    def forget(self, container_id: str) -> None:
        """Take back the second half, host ports and addresses. In the caller's transaction, after `withdraw`."""
        self.connection.execute("DELETE FROM port_leases WHERE container_id = ?", (container_id,))
        self.connection.execute("DELETE FROM leases WHERE container_id = ?", (container_id,))

    def is_leased(self, container_id: str) -> bool:
        """Say whether the container holds an address or a port."""
        query = "SELECT 1 FROM leases WHERE container_id = ? UNION ALL SELECT 1 FROM port_leases WHERE container_id = ? LIMIT 1"
        return self.connection.execute(query, (container_id, container_id)).fetchone() is not None

    def _elements(self, container_id: str) -> Sequence[Element]:
        """Give the map elements of a container's ports; most have none, and need no code of ports'."""
        query = "SELECT 1 FROM port_leases WHERE container_id = ? LIMIT 1"
        if self.connection.execute(query, (container_id,)).fetchone() is None:
            return ()
        from . import ports

        return ports.elements(self.connection, container_id)

    def endpoint(self, container_id: str) -> Endpoint | None:
        """Give what a container holds, None when that is nothing."""
        network = self._stored()
        return self._endpoint(network, container_id) if network is not None else None

    def destroy(self) -> None:
        """Remove bridge, rules and rows: for uninstalling, and for tests. Containers that run lose their network."""
        from . import bridge

        network = self._stored()
        if network is not None:
            bridge.delete(network)
        self.firewall.delete()
        with transaction(self.connection):
            self.connection.execute("DELETE FROM port_leases")
            self.connection.execute("DELETE FROM leases")
            self.connection.execute("DELETE FROM networks")

    def _stored(self) -> Network | None:
        row = self.connection.execute(
            "SELECT name, bridge, subnet4, gateway4, subnet6, gateway6 FROM networks WHERE name = ?", (DEFAULT_NETWORK,)
        ).fetchone()
        if row is None:
            return None
        return Network(name=row[0], bridge=row[1], subnet4=row[2], gateway4=row[3], subnet6=row[4], gateway6=row[5])

    def _made(self, stored: Network | None) -> Network:
        """Make what is missing of the network, and put back what live leases had in it."""
        from . import bridge, ports

        network = self._settled(stored)
        leases = self.connection.execute("SELECT host_interface FROM leases WHERE network = ?", (network.name,))
        host_interfaces = [name for (name,) in leases]
        self.firewall.install(network)  # first: a bridge is never without its rules
        try:
            bridge.build(network, host_interfaces)
        except BaseException:
            if stored is None:  # with containers on the bridge, rules are better than none
                self.firewall.delete()
            raise
        self.firewall.add(ports.elements(self.connection))
        return network

    def _settled(self, network: Network | None) -> Network:
        """Decide subnets where they aren't yet, and store them. The host may have gained or lost IPv6 since."""
        from . import bridge

        subnet4 = network.subnet4 if network else addresses.choose_subnet4(bridge.occupied())
        subnet6 = (network.subnet6 if network else "") or addresses.choose_subnet6()
        if not bridge.has_ipv6():
            subnet6 = ""
        settled = Network(
            name=DEFAULT_NETWORK,
            bridge=self.bridge,
            subnet4=subnet4,
            gateway4=addresses.numbered(subnet4, addresses.GATEWAY_NUMBER),
            subnet6=subnet6,
            gateway6=addresses.numbered(subnet6, addresses.GATEWAY_NUMBER) if subnet6 else "",
        )
        columns = (settled.bridge, settled.subnet4, settled.gateway4, settled.subnet6, settled.gateway6)
        self.connection.execute(
            "INSERT INTO networks (name, bridge, subnet4, gateway4, subnet6, gateway6, cursor) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET bridge = ?, subnet4 = ?, gateway4 = ?, subnet6 = ?, gateway6 = ?",
            (settled.name, *columns, addresses.FIRST_NUMBER, *columns),
        )
        return settled

    def _endpoint(self, network: Network, container_id: str) -> Endpoint | None:
        row = self.connection.execute(
            "SELECT address4, address6, mac, host_interface FROM leases WHERE container_id = ? AND network = ?",
            (container_id, network.name),
        ).fetchone()
        return _endpoint_of(network, *row) if row is not None else None

    def _forget_datagrams(self, container_id: str) -> None:
        rows = self.connection.execute(
            "SELECT DISTINCT host_port FROM port_leases WHERE container_id = ? AND protocol = 'udp'", (container_id,)
        ).fetchall()
        if rows:
            from .conntrack import forget
            from .firewall import PROTOCOLS

            for (host_port,) in rows:
                forget(PROTOCOLS["udp"], host_port)


def _endpoint_of(network: Network, address4: str, address6: str, mac: bytes, host_interface: str) -> Endpoint:
    return Endpoint(
        network=network.name,
        bridge=network.bridge,
        host_interface=host_interface,
        mac=mac,
        address4=address4,
        prefix4=addresses.split_subnet(network.subnet4)[1],
        gateway4=network.gateway4,
        address6=address6,
        prefix6=addresses.split_subnet(network.subnet6)[1] if address6 else 0,
        gateway6=network.gateway6 if address6 else "",
    )
