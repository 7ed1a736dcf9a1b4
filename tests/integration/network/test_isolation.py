"""What must not get through. Threats B.9; each has a control that shows the way to be open otherwise."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from pathlib import Path

from minirun.engine.config import PortMapping
from minirun.network.networks import Networks
from tests.integration.network.wires import SILENCE_SECONDS, Container, Lan, Neighbour, is_silent, talk

Start = Callable[..., Container]
WEB = PortMapping(container_port=80, host_port=8080)
WEB_ON_LOOPBACK = PortMapping(container_port=80, host_port=8080, host_address="127.0.0.1")


def test_an_unpublished_port_is_not_reachable_by_the_hosts_address(
    start: Start, neighbour: Neighbour, lan: Lan
) -> None:
    with start("one", WEB).listen("0.0.0.0", 81):
        assert not neighbour.reaches(lan.host4, 81)


def test_a_lan_host_with_a_route_to_the_subnet_reaches_no_unpublished_port(start: Start, neighbour: Neighbour) -> None:
    container = start("one")
    with container.listen("0.0.0.0", 80):
        assert is_silent(neighbour, container.endpoint.address4, 80)


def test_a_lan_host_with_a_route_to_the_subnet_reaches_no_unpublished_port_over_ipv6(
    start: Start, neighbour: Neighbour
) -> None:
    container = start("one")
    with container.listen("::", 80):
        assert is_silent(neighbour, container.endpoint.address6, 80)


def test_a_lan_host_with_a_route_does_not_reach_what_is_published_on_another_address(
    start: Start, neighbour: Neighbour
) -> None:
    container = start("one", WEB_ON_LOOPBACK)
    with container.listen("0.0.0.0", 80):
        assert is_silent(neighbour, container.endpoint.address4, 80)


def test_a_lan_host_with_a_route_reaches_nothing_after_the_rules_were_flushed(
    start: Start, networks: Networks, neighbour: Neighbour, lan: Lan
) -> None:
    """CVE-2025-54388: nobody is there to notice, so what is left has to be shut."""
    container = start("one", WEB)
    lan.host.run("nft", "flush", "ruleset")
    with container.listen("0.0.0.0", 80), container.listen("::", 81):
        assert is_silent(neighbour, container.endpoint.address4, 80)
        assert is_silent(neighbour, container.endpoint.address6, 81)
        assert lan.host.reaches(container.endpoint.address4, 80)


def test_a_lan_host_does_not_reach_the_loopback_address_through_a_published_port(
    start: Start, neighbour: Neighbour, lan: Lan
) -> None:
    """moby#45610: a packet for 127.0.0.1 injected on the wire is translated before the kernel sees that it is a martian."""
    container = start("one", WEB_ON_LOOPBACK)
    neighbour.run("ip", "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local")
    neighbour.run("ip", "route", "del", "local", "127.0.0.1", "dev", "lo", "table", "local")
    neighbour.run("sysctl", "-qw", "net.ipv4.conf.eth0.route_localnet=1")
    neighbour.run("ip", "route", "add", "127.0.0.0/8", "via", lan.host4)
    with container.listen("0.0.0.0", 80) as server:
        assert is_silent(neighbour, "127.0.0.1", 8080)
        with lan.host.connect("127.0.0.1", 8080) as client:
            talk(client, server)


def test_a_container_does_not_reach_services_on_the_hosts_loopback_address(start: Start, lan: Lan) -> None:
    container = start("one")
    container.run("ip", "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local")
    container.run("ip", "route", "del", "local", "127.0.0.1", "dev", "lo", "table", "local")
    container.run("sysctl", "-qw", "net.ipv4.conf.eth0.route_localnet=1")
    with lan.host.listen("127.0.0.1", 631):
        assert is_silent(container, "127.0.0.1", 631)


def test_a_container_that_sends_from_the_loopback_address_is_not_heard(start: Start, lan: Lan) -> None:
    container = start("one")
    gateway = container.endpoint.gateway4
    with lan.host.bind("0.0.0.0", 4000) as server, container.open_socket(socket.AF_INET, socket.SOCK_RAW, 255) as raw:
        raw.sendto(_datagram(container.endpoint.address4, gateway, 4000), (gateway, 0))
        assert _heard(server) == [container.endpoint.address4]
        raw.sendto(_datagram("127.0.0.1", gateway, 4000), (gateway, 0))
        assert _heard(server) == []


def test_a_container_that_sends_from_a_foreign_address_is_not_heard_outside(
    start: Start, neighbour: Neighbour, lan: Lan
) -> None:
    container = start("one")
    with neighbour.bind("0.0.0.0", 4000) as server, container.open_socket(socket.AF_INET, socket.SOCK_RAW, 255) as raw:
        raw.sendto(_datagram(container.endpoint.address4, neighbour.address4, 4000), (neighbour.address4, 0))
        assert _heard(server) == [lan.host4]
        raw.sendto(_datagram("203.0.113.9", neighbour.address4, 4000), (neighbour.address4, 0))
        assert _heard(server) == []


def test_a_router_advertisement_from_a_container_changes_no_route_of_the_host(start: Start, lan: Lan) -> None:
    """CVE-2020-13401."""
    container = start("one")
    before = lan.host.run("ip", "-6", "route"), lan.host.run("ip", "-6", "address")
    _advertise(container)
    assert (lan.host.run("ip", "-6", "route"), lan.host.run("ip", "-6", "address")) == before


def test_the_host_accepts_no_router_advertisements_on_the_bridge(start: Start, lan: Lan) -> None:
    start("one")
    assert Path("/proc/sys/net/ipv6/conf/test0/accept_ra").read_text().strip() == "0"


def test_the_hosts_end_of_a_containers_wire_has_no_address(start: Start, lan: Lan) -> None:
    container = start("one")
    assert "inet" not in lan.host.run("ip", "address", "show", container.endpoint.host_interface)


def test_only_the_bridge_routes_loopback_addresses(networks: Networks, neighbour: Neighbour) -> None:
    on = [
        path.parent.name
        for path in Path("/proc/sys/net/ipv4/conf").glob("*/route_localnet")
        if path.read_text().strip() != "0"
    ]
    assert on == ["test0"]


def test_a_connection_that_a_container_opened_is_answered(start: Start, neighbour: Neighbour, lan: Lan) -> None:
    container = start("one")
    with neighbour.listen("0.0.0.0", 80) as server, container.connect(neighbour.address4, 80) as client:
        assert talk(client, server) == lan.host4


def test_a_connection_that_a_container_opened_over_ipv6_is_answered(
    start: Start, neighbour: Neighbour, lan: Lan
) -> None:
    container = start("one")
    with neighbour.listen("::", 80) as server, container.connect(neighbour.address6, 80) as client:
        assert talk(client, server) == lan.host6


def _datagram(source: str, target: str, port: int) -> bytes:
    """An IPv4 packet with one UDP datagram; the kernel fills in the checksum of the header."""
    payload = struct.pack(">HHHH", 4001, port, 12, 0) + b"word"
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, 17, 0)
    return header + socket.inet_aton(source) + socket.inet_aton(target) + payload


def _heard(server: socket.socket) -> list[str]:
    server.settimeout(SILENCE_SECONDS)
    try:
        return [server.recvfrom(100)[1][0]]
    except TimeoutError:
        return []


def _advertise(container: Container) -> None:
    """A router advertisement with a prefix, to all nodes, and a moment for it to be believed."""
    prefix = struct.pack(">BBBBIII", 3, 4, 64, 0xC0, 86400, 14400, 0) + socket.inet_pton(
        socket.AF_INET6, "2001:db8:bad::"
    )
    advertisement = struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix
    container.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0")
    container.run("ip", "address", "replace", "fe80::bad/64", "dev", "eth0", "nodad")
    with container.open_socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        index = container.call(lambda: socket.if_nametoindex("eth0"))
        raw.bind(("fe80::bad", 0, 0, index))
        raw.sendto(advertisement, ("ff02::1", 0, 0, index))
        # The bridge answers a question that it got after the advertisement: by then it has dealt with both.
        with container.bind("::", 0) as probe, container.bind("::", 0):
            probe.sendto(b"", (container.endpoint.gateway6, 9))
