"""Arithmetic on addresses, and the choice of the next one."""

from __future__ import annotations

import sqlite3

import pytest

from minirun.errors import Exhausted
from minirun.network import addresses
from minirun.network.schema import SCHEMA


@pytest.fixture
def connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    connection.execute("INSERT INTO networks VALUES ('net', 'br', '10.0.0.0/24', '10.0.0.1', '', '', 2)")
    return connection


def take(connection: sqlite3.Connection, *numbers: int) -> None:
    for number in numbers:
        row = ("net", number, f"c{number}", "", "", b"", f"i{number}")
        connection.execute("INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?, ?)", row)


@pytest.mark.parametrize(
    ("subnet", "number", "address"),
    [
        ("172.17.0.0/16", 1, "172.17.0.1"),
        ("172.17.0.0/16", 256, "172.17.1.0"),
        ("172.17.0.0/16", 65534, "172.17.255.254"),
        ("fd00:1:2::/64", 1, "fd00:1:2::1"),
        ("fd00:1:2::/64", 65534, "fd00:1:2::fffe"),
    ],
)
def test_an_address_is_its_number_in_the_subnet(subnet: str, number: int, address: str) -> None:
    assert addresses.numbered(subnet, number) == address


def test_the_hardware_address_holds_the_ipv4_address() -> None:
    assert addresses.mac("172.17.1.2") == b"\x02\x6d\xac\x11\x01\x02"


@pytest.mark.parametrize(
    ("one", "other", "result"),
    [
        ("172.17.0.0/16", "172.17.5.0/24", True),
        ("172.17.5.0/24", "172.17.0.0/16", True),
        ("172.17.0.0/16", "172.18.0.0/16", False),
        ("172.17.0.0/16", "172.16.0.0/12", True),
        ("172.17.0.0/16", "172.17.3.4/32", True),
        ("172.17.0.0/16", "0.0.0.0/0", True),
        ("172.17.0.0/16", "fd00::/8", False),
    ],
)
def test_subnets_overlap_when_they_share_an_address(one: str, other: str, result: bool) -> None:
    assert addresses.overlaps(one, other) is result


def test_the_first_free_subnet_of_the_pool_is_chosen() -> None:
    assert addresses.choose_subnet4([]) == "172.17.0.0/16"
    assert addresses.choose_subnet4(["172.17.3.0/24", "172.18.0.0/15", "10.0.0.0/8"]) == "172.20.0.0/16"


def test_the_smaller_subnets_are_chosen_when_the_large_ones_are_taken() -> None:
    assert addresses.choose_subnet4(["172.16.0.0/12", "192.168.1.0/24"]) == "192.168.16.0/20"


def test_no_free_subnet_is_said() -> None:
    with pytest.raises(Exhausted, match="remove a route"):
        addresses.choose_subnet4(["172.16.0.0/12", "192.168.0.0/16"])


def test_an_ipv6_subnet_is_random_unique_local_and_64_bits_long() -> None:
    one, other = addresses.choose_subnet6(), addresses.choose_subnet6()
    assert one != other
    base, prefix = addresses.split_subnet(one)
    assert (base[0], base[6:], prefix) == (0xFD, bytes(10), 64)


def test_the_last_number_leaves_the_broadcast_address_alone() -> None:
    assert addresses.numbered("172.17.0.0/16", addresses.last_number("172.17.0.0/16")) == "172.17.255.254"
    assert addresses.numbered("192.168.16.0/20", addresses.last_number("192.168.16.0/20")) == "192.168.31.254"


@pytest.mark.parametrize(
    ("taken", "cursor", "expected"),
    [
        ((), 2, 2),
        ((2, 3), 4, 4),
        ((2, 3, 5), 3, 4),
        ((2, 4, 5, 6), 4, 3),
        ((4, 5, 6), 4, 2),
        ((2, 3, 4, 5), 7, 6),
    ],
)
def test_the_next_number_is_the_first_free_one_from_the_cursor_round(
    connection: sqlite3.Connection, taken: tuple[int, ...], cursor: int, expected: int
) -> None:
    take(connection, *taken)
    assert addresses.next_number(connection, "net", cursor, 6) == expected


def test_an_exhausted_network_is_said(connection: sqlite3.Connection) -> None:
    take(connection, 2, 3, 4, 5, 6)
    with pytest.raises(Exhausted, match="all 5 are in use"):
        addresses.next_number(connection, "net", 4, 6)
