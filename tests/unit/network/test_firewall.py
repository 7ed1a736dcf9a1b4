"""The shape of elements, and what the rules' text promises to the code that checks it."""

from __future__ import annotations

import pytest

from minirun.network import netlink, ruleset
from minirun.network.firewall import FORWARD_RULES, elements_of, revision_of
from minirun.network.networks import Network

NETWORK = Network(
    name="bridge", bridge="br0", subnet4="172.17.0.0/16", gateway4="172.17.0.1", subnet6="fd00::/64", gateway6="fd00::1"
)
TARGETS = ("172.17.0.2", "fd00::2", 80)


def test_a_mapping_without_an_address_is_one_element_per_family() -> None:
    four, six = elements_of("tcp", "", 8080, *TARGETS)
    assert (four.map, four.key, four.data) == (
        "published4",
        b"\x06\0\0\0\x1f\x90\0\0",
        b"\xac\x11\x00\x02\x00\x50\0\0",
    )
    assert (six.map, six.key) == ("published6", b"\x06\0\0\0\x1f\x90\0\0")


def test_a_mapping_of_an_address_names_it_in_the_key() -> None:
    (element,) = elements_of("udp", "127.0.0.1", 53, *TARGETS)
    assert (element.map, element.key) == ("published4_at", b"\x11\0\0\0\x7f\0\0\x01\0\x35\0\0")


@pytest.mark.parametrize(("address", "table"), [("0.0.0.0", "published4"), ("::", "published6")])
def test_a_mapping_of_every_address_of_one_family_is_one_element(address: str, table: str) -> None:
    (element,) = elements_of("tcp", address, 8080, *TARGETS)
    assert element.map == table


def test_a_container_without_ipv6_gets_no_ipv6_element() -> None:
    assert [element.map for element in elements_of("tcp", "", 8080, "172.17.0.2", "", 80)] == ["published4"]


def test_the_number_of_forward_rules_that_a_start_checks_is_the_texts() -> None:
    chain = ruleset.text("test", NETWORK).partition("chain forward {")[2].partition("}")[0]
    rules = [line for line in chain.splitlines() if line.strip() and "hook" not in line]
    assert len(rules) == FORWARD_RULES


def test_the_tables_comment_fits_what_nft_takes() -> None:
    widest = NETWORK.replace(
        bridge="b" * 15, subnet4="192.168.240.0/20", subnet6="fdff:ffff:ffff:ffff:ffff:ffff:ffff::/64"
    )
    assert len(revision_of(widest)) <= 128


def test_a_network_without_ipv6_lets_none_in() -> None:
    text = ruleset.text("test", NETWORK.replace(subnet6="", gateway6=""))
    assert 'iifname "br0" meta nfproto ipv6 drop' in text
    assert "ip6 saddr" not in text


def test_attributes_survive_the_way_there_and_back() -> None:
    data = netlink.text(1, "name") + netlink.nest(2, netlink.attribute(3, b"12345"), netlink.attribute(4, b""))
    found = netlink.attributes(data)
    assert found[1] == b"name\0"
    assert netlink.attributes(found[2]) == {3: b"12345", 4: b""}


def test_messages_are_walked_one_by_one() -> None:
    answer = netlink.message(16, 0, b"12345") + netlink.message(17, 0, b"")
    assert list(netlink.messages(answer)) == [(16, b"12345"), (17, b"")]


@pytest.mark.parametrize("answer", [b"", b"\1", b"\0" * 16, b"\xff" * 16, b"\x10\0\0\0" + b"\xff" * 12 + b"\0"])
def test_an_answer_that_makes_no_sense_ends_the_walk(answer: bytes) -> None:
    for _kind, body in netlink.messages(answer):
        netlink.attributes(body)


def test_an_attribute_that_is_too_long_is_refused() -> None:
    with pytest.raises(Exception, match="format requires"):  # CVE-2021-43784: never a length that wraps round
        netlink.attribute(1, bytes(65533))
