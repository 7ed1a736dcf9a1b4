"""The calls of native/rtnetlink.c: what they make, and what they refuse before the kernel is asked."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable

import pytest

from minirun.linux.syscalls import netlink_request
from minirun.network import netlink
from minirun.network.networks import Networks
from tests.integration.network.wires import Container, Lan, operate

Start = Callable[..., Container]

MAC = b"\x02\x6d\0\0\0\1"
VETH: tuple[str | bytes | int, ...] = ("test0", "mrtest", "eth0", MAC, 6, os.getpid())
RTM_GETLINK = 18


def error_of(name: str, *arguments: str | bytes | int) -> int:
    with pytest.raises(OSError, match=name) as caught:
        operate(name, *arguments)
    assert caught.value.errno is not None
    return caught.value.errno


def with_argument(place: int, value: str | bytes | int) -> list[str | bytes | int]:
    return [value if index == place else argument for index, argument in enumerate(VETH)]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, ""),
        (0, "b" * 16),
        (1, ""),
        (1, "h" * 16),
        (2, ""),
        (2, "p" * 300),
        (4, 5),
        (4, 7),
        (4, 300),
        (5, 0),
        (5, -1),
    ],
)
def test_a_malformed_pair_is_refused(networks: Networks, lan: Lan, place: int, value: str | int) -> None:
    assert error_of("mr_op_veth", *with_argument(place, value)) == errno.EINVAL
    assert "mrtest" not in lan.host.run("ip", "link")


def test_a_pair_for_a_bridge_that_is_not_there_is_not_made(networks: Networks, lan: Lan) -> None:
    assert error_of("mr_op_veth", *with_argument(0, "none0")) == errno.ENODEV
    assert "mrtest" not in lan.host.run("ip", "link")


def test_a_pair_for_a_process_that_is_not_there_is_not_made(networks: Networks, lan: Lan) -> None:
    assert error_of("mr_op_veth", *with_argument(5, 0x7FFFFFF0)) == errno.ESRCH
    assert "mrtest" not in lan.host.run("ip", "link")


def test_a_pair_whose_name_is_taken_leaves_the_owner_of_the_name_alone(start: Start, lan: Lan) -> None:
    container = start("one")
    name = container.endpoint.host_interface
    assert error_of("mr_op_veth", "test0", name, "eth1", MAC, 6, os.getpid()) == errno.EEXIST
    assert f"{name}@" in lan.host.run("ip", "link")


def test_a_pair_cannot_be_put_under_something_that_is_no_bridge(networks: Networks, lan: Lan) -> None:
    error_of("mr_op_veth", *with_argument(0, "lo"))
    assert "mrtest" not in lan.host.run("ip", "link")


def test_the_container_has_what_its_lease_says(start: Start) -> None:
    container = start("one")
    endpoint = container.endpoint
    shown = container.run("ip", "address", "show", "eth0")
    assert f"link/ether {endpoint.mac.hex(':')}" in shown
    assert f"inet {endpoint.address4}/16 brd 172.17.255.255 scope global eth0" in shown
    assert f"inet6 {endpoint.address6}/64 scope global nodad" in shown
    assert f"default via {endpoint.gateway4} dev eth0" in container.run("ip", "route")
    assert f"default via {endpoint.gateway6} dev eth0" in container.run("ip", "-6", "route")


def test_the_hosts_end_may_send_a_frame_back_where_it_came_from(start: Start, lan: Lan) -> None:
    container = start("one")
    assert "hairpin on" in lan.host.run("ip", "-d", "link", "show", container.endpoint.host_interface)


@pytest.mark.parametrize(
    ("address", "prefix"),
    [(b"", 0), (b"\x0a\0\0", 8), (bytes(5), 8), (b"\x0a\0\0\1", 33), (bytes(16), 129), (bytes(17), 64)],
)
def test_a_malformed_address_is_refused(lan: Lan, address: bytes, prefix: int) -> None:
    assert error_of("mr_op_address", "lo", address, len(address), prefix) == errno.EINVAL


@pytest.mark.parametrize("gateway", [b"", b"\x0a\0\0", bytes(17)])
def test_a_malformed_gateway_is_refused(lan: Lan, gateway: bytes) -> None:
    assert error_of("mr_op_route", "lo", gateway, len(gateway)) == errno.EINVAL


@pytest.mark.parametrize("name", ["", "n" * 16, "n" * 4096])
def test_a_name_that_is_no_interface_name_is_refused(lan: Lan, name: str) -> None:
    assert error_of("mr_op_link_up", name) == errno.EINVAL
    assert error_of("mr_op_address", name, bytes(4), 4, 8) == errno.EINVAL
    assert error_of("mr_op_route", name, bytes(4), 4) == errno.EINVAL


def test_an_interface_that_is_not_there_is_said(lan: Lan) -> None:
    assert error_of("mr_op_link_up", "none0") == errno.ENODEV
    assert error_of("mr_op_address", "none0", bytes(4), 4, 8) == errno.ENODEV


@pytest.mark.parametrize("length", [0, 15, 33, 0xFFFFFFFF])
def test_a_request_whose_length_lies_is_not_sent(lan: Lan, length: int) -> None:
    request = struct.pack("=IHHII", length, RTM_GETLINK, netlink.NLM_F_REQUEST | netlink.NLM_F_ACK, 0, 0) + bytes(16)
    with pytest.raises(OSError, match="netlink") as caught:
        netlink_request(netlink.NETLINK_ROUTE, request)
    assert caught.value.errno == errno.EINVAL


def test_an_answer_that_is_larger_than_the_room_for_it_is_an_error(lan: Lan) -> None:
    request = netlink.message(RTM_GETLINK, netlink.NLM_F_DUMP, bytes(16))
    with pytest.raises(OSError, match="netlink") as caught:
        netlink_request(netlink.NETLINK_ROUTE, request, 64)
    assert caught.value.errno == errno.EMSGSIZE


def test_a_dump_is_collected_to_its_end(networks: Networks, lan: Lan) -> None:
    lan.host.run("sh", "-c", "for n in $(seq 60); do echo link add a$n type veth peer b$n; done | ip -batch -")
    answer = netlink_request(
        netlink.NETLINK_ROUTE, netlink.message(RTM_GETLINK, netlink.NLM_F_DUMP, bytes(16)), 1 << 20
    )
    assert len(list(netlink.messages(answer))) >= 122
