"""Published ports: who reaches them, and by which address."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from minirun.engine.config import PortMapping
from minirun.network.networks import Networks
from tests.integration.network.wires import DEADLINE_SECONDS, Container, Lan, Neighbour, ask, is_silent, talk

Start = Callable[..., Container]
WEB = PortMapping(container_port=80, host_port=8080)
WEB_ON_LOOPBACK = PortMapping(container_port=80, host_port=8080, host_address="127.0.0.1")
WEB_ON_LAN = PortMapping(container_port=80, host_port=8080, host_address=Lan.host4)
NAMES = PortMapping(container_port=53, host_port=5353, protocol="udp")


def test_another_host_reaches_a_published_tcp_port(start: Start, neighbour: Neighbour, lan: Lan) -> None:
    with start("one", WEB).listen("0.0.0.0", 80) as server, neighbour.connect(lan.host4, 8080) as client:
        assert talk(client, server) == neighbour.address4  # and the container sees who asks


def test_another_host_reaches_a_published_udp_port(start: Start, neighbour: Neighbour, lan: Lan) -> None:
    with start("one", NAMES).bind("0.0.0.0", 53) as server, neighbour.bind("0.0.0.0", 0) as client:
        assert ask(client, lan.host4, 5353, server) == neighbour.address4


def test_another_host_reaches_a_published_tcp_port_over_ipv6(start: Start, neighbour: Neighbour, lan: Lan) -> None:
    with start("one", WEB).listen("::", 80) as server, neighbour.connect(lan.host6, 8080) as client:
        assert talk(client, server) == neighbour.address6


def test_another_host_reaches_a_published_udp_port_over_ipv6(start: Start, neighbour: Neighbour, lan: Lan) -> None:
    with start("one", NAMES).bind("::", 53) as server, neighbour.bind("::", 0) as client:
        assert ask(client, lan.host6, 5353, server) == neighbour.address6


def test_the_host_reaches_a_published_port_by_its_own_address(start: Start, neighbour: Neighbour, lan: Lan) -> None:
    with start("one", WEB).listen("0.0.0.0", 80) as server, lan.host.connect(lan.host4, 8080) as client:
        assert talk(client, server) == lan.host4


def test_the_host_reaches_a_published_port_by_its_own_ipv6_address(
    start: Start, neighbour: Neighbour, lan: Lan
) -> None:
    with start("one", WEB).listen("::", 80) as server, lan.host.connect(lan.host6, 8080) as client:
        assert talk(client, server) == lan.host6


def test_the_host_reaches_a_published_tcp_port_by_its_loopback_address(start: Start, lan: Lan) -> None:
    container = start("one", WEB)
    with container.listen("0.0.0.0", 80) as server, lan.host.connect("127.0.0.1", 8080) as client:
        assert (
            talk(client, server) == container.endpoint.gateway4
        )  # never 127.0.0.1, which servers trust: CVE-2021-20199


def test_the_host_reaches_a_published_udp_port_by_its_loopback_address(start: Start, lan: Lan) -> None:
    container = start("one", NAMES)
    with container.bind("0.0.0.0", 53) as server, lan.host.bind("0.0.0.0", 0) as client:
        assert ask(client, "127.0.0.1", 5353, server) == container.endpoint.gateway4


def test_the_ipv6_loopback_address_refuses_at_once_so_that_localhost_works(
    start: Start, networks: Networks, lan: Lan
) -> None:
    with start("one", WEB).listen("0.0.0.0", 80) as server:
        with pytest.raises(ConnectionRefusedError):
            lan.host.connect("::1", 8080)
        with lan.host.call(lambda: socket.create_connection(("localhost", 8080), DEADLINE_SECONDS)) as client:
            talk(client, server)


def test_a_container_reaches_its_own_published_port_by_the_hosts_address(
    start: Start, neighbour: Neighbour, lan: Lan
) -> None:
    container = start("one", WEB)
    with container.listen("0.0.0.0", 80) as server, container.connect(lan.host4, 8080) as client:
        assert talk(client, server) == container.endpoint.gateway4


def test_a_container_reaches_a_siblings_published_port_by_the_hosts_address(
    start: Start, neighbour: Neighbour, lan: Lan
) -> None:
    with start("one", WEB).listen("0.0.0.0", 80) as server, start("two").connect(lan.host4, 8080) as client:
        talk(client, server)


def test_a_container_reaches_a_siblings_published_port_by_the_hosts_ipv6_address(
    start: Start, neighbour: Neighbour, lan: Lan
) -> None:
    with start("one", WEB).listen("::", 80) as server, start("two").connect(lan.host6, 8080) as client:
        talk(client, server)


def test_a_port_published_on_an_address_of_the_host_works_there(start: Start, neighbour: Neighbour, lan: Lan) -> None:
    with start("one", WEB_ON_LAN).listen("0.0.0.0", 80) as server, neighbour.connect(lan.host4, 8080) as client:
        talk(client, server)


def test_a_port_published_on_an_address_of_the_host_does_not_work_on_another(
    start: Start, neighbour: Neighbour, lan: Lan
) -> None:
    container = start("one", WEB_ON_LAN)
    with container.listen("0.0.0.0", 80):
        assert not lan.host.reaches(container.endpoint.gateway4, 8080)


def test_a_port_published_on_the_loopback_address_works_there(start: Start, lan: Lan) -> None:
    with start("one", WEB_ON_LOOPBACK).listen("0.0.0.0", 80) as server, lan.host.connect("127.0.0.1", 8080) as client:
        talk(client, server)


def test_a_port_published_on_the_loopback_address_is_not_published_on_the_lan(
    start: Start, neighbour: Neighbour, lan: Lan
) -> None:
    with start("one", WEB_ON_LOOPBACK).listen("0.0.0.0", 80):
        assert not neighbour.reaches(lan.host4, 8080)


def test_two_containers_publish_the_same_port_on_two_host_ports(start: Start, neighbour: Neighbour, lan: Lan) -> None:
    first, second = start("one", WEB), start("two", WEB.replace(host_port=8081))
    with first.listen("0.0.0.0", 80) as server, neighbour.connect(lan.host4, 8080) as client:
        talk(client, server)
    with second.listen("0.0.0.0", 80) as server, neighbour.connect(lan.host4, 8081) as client:
        talk(client, server)


def test_two_containers_publish_the_same_port_number_for_two_protocols(
    start: Start, neighbour: Neighbour, lan: Lan
) -> None:
    first = start("one", NAMES)
    second = start("two", NAMES.replace(protocol="tcp"))
    with first.bind("0.0.0.0", 53) as server, neighbour.bind("0.0.0.0", 0) as client:
        ask(client, lan.host4, 5353, server)
    with second.listen("0.0.0.0", 53) as server, neighbour.connect(lan.host4, 5353) as client:
        talk(client, server)


def test_a_udp_client_that_was_sending_before_reaches_the_container(
    start: Start, networks: Networks, neighbour: Neighbour, lan: Lan
) -> None:
    with neighbour.bind("0.0.0.0", 0) as client:
        client.sendto(b"too early", (lan.host4, 5353))  # the kernel remembers this connection, untranslated
        with start("one", NAMES).bind("0.0.0.0", 53) as server:
            ask(client, lan.host4, 5353, server)


def test_a_published_port_whose_server_has_ended_refuses(start: Start, neighbour: Neighbour, lan: Lan) -> None:
    start("one", WEB)
    assert not neighbour.reaches(lan.host4, 8080)
    assert not is_silent(neighbour, lan.host4, 8080)  # the container's own reset comes through
