"""The life of a network and its leases: made, found broken, mended, given back."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable

import pytest

from minirun.database import transaction
from minirun.engine.config import PortMapping
from minirun.errors import Conflict, Exhausted, InvalidInput, NotSupported
from minirun.network import addresses
from minirun.network.networks import Endpoint, Networks
from minirun.network.ports import Reservation
from tests.integration.network.conftest import open_database
from tests.integration.network.wires import Container, Lan, Neighbour, is_silent, talk

Start = Callable[..., Container]
WEB = PortMapping(container_port=80, host_port=8080)


def reserve(networks: Networks, name: str, *mappings: PortMapping) -> Reservation:
    with transaction(networks.connection):
        return networks.reserve(name, networks.lease(name), mappings)


def publish(networks: Networks, name: str, *mappings: PortMapping) -> tuple[Endpoint, Reservation]:
    reservation = reserve(networks, name, *mappings)
    networks.publish(name)
    endpoint = networks.endpoint(name)
    assert endpoint is not None
    return endpoint, reservation


def elements(lan: Lan, table: str = "test") -> list[str]:
    """Every element of every map of the table."""
    lines = lan.host.run("nft", "list", "table", "inet", table).splitlines()
    return [line.strip() for line in lines if line.strip().startswith(("elements", "tcp .", "udp ."))]


# ---- making


def test_the_bridge_has_the_gateways_addresses(networks: Networks, lan: Lan) -> None:
    network = networks.ensure()
    shown = lan.host.run("ip", "address", "show", "test0")
    assert f"inet {network.gateway4}/16" in shown
    assert f"inet6 {network.gateway6}/64" in shown


def test_a_second_ensure_changes_nothing(networks: Networks, lan: Lan) -> None:
    before = lan.host.run("ip", "link", "show", "test0"), lan.host.run("nft", "-a", "list", "ruleset")
    networks.ensure()
    assert (lan.host.run("ip", "link", "show", "test0"), lan.host.run("nft", "-a", "list", "ruleset")) == before


def test_a_subnet_that_the_host_has_a_route_to_is_not_taken(lan: Lan, neighbour: Neighbour) -> None:
    lan.host.run("ip", "route", "add", "172.17.128.0/24", "dev", neighbour.host_interface)
    assert Networks(open_database(), bridge="test0", table="test").ensure().subnet4 == "172.18.0.0/16"


def test_a_bridge_that_lost_its_address_book_is_taken_over(networks: Networks, lan: Lan) -> None:
    lan.host.run("ip", "address", "add", "172.30.0.1/16", "dev", "test0")
    Networks(open_database(), bridge="test0", table="test").ensure()
    shown = lan.host.run("ip", "-4", "-o", "address", "show", "test0")
    assert len(shown.splitlines()) == 1


def test_an_interface_of_another_kind_is_left_alone_and_named(lan: Lan) -> None:
    lan.host.run("ip", "link", "add", "test0", "type", "veth", "peer", "test1")
    networks = Networks(open_database(), bridge="test0", table="test")
    with pytest.raises(Conflict, match=r"test0.*is no bridge"):
        networks.ensure()
    assert "test0" in lan.host.run("ip", "link", "show", "test0")
    assert lan.host.run("nft", "list", "ruleset") == ""


def test_a_host_without_ipv6_gets_a_network_without_it(lan: Lan) -> None:
    lan.host.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
    networks = Networks(open_database(), bridge="test0", table="test")
    assert networks.ensure().subnet6 == ""
    assert networks.lease("one").address6 == ""
    assert "inet6" not in lan.host.run("ip", "address", "show", "test0")


def test_routes_that_the_host_learned_from_its_router_stay(lan: Lan, neighbour: Neighbour) -> None:
    name = neighbour.host_interface
    lan.host.run("sysctl", "-qw", f"net.ipv6.conf.{name}.accept_ra=1")
    lan.host.run("ip", "-6", "route", "add", "default", "via", "fe80::99", "dev", name, "proto", "ra")
    Networks(open_database(), bridge="test0", table="test").ensure()
    accepts = lan.host.run("sysctl", "-n", f"net.ipv6.conf.{name}.accept_ra").strip()
    assert accepts == ("2" if _is_learned(lan) else "1")


def _is_learned(lan: Lan) -> bool:
    """Whether this kernel lets a test pass off a route as one from a router advertisement."""
    return any(int(line.split()[8], 16) & 0x40000 for line in lan.host.run("cat", "/proc/net/ipv6_route").splitlines())


def test_two_networks_of_two_data_roots_live_side_by_side(networks: Networks, lan: Lan, neighbour: Neighbour) -> None:
    other = Networks(open_database(), bridge="other0", table="other")
    assert other.ensure().subnet4 != networks.ensure().subnet4
    first, first_reservation = publish(networks, "one", WEB)
    second, second_reservation = publish(other, "two", WEB.replace(host_port=8081))
    one, two = Container(first), Container(second)
    try:
        for container, port in ((one, 8080), (two, 8081)):
            with container.listen("0.0.0.0", 80) as server, neighbour.connect(lan.host4, port) as client:
                talk(client, server)
        assert not one.reaches(second.address4, 80)
    finally:
        for thing in (one, two, first_reservation, second_reservation):
            thing.close()


# ---- mending


def test_published_ports_come_back_after_the_rules_were_flushed(
    start: Start, networks: Networks, lan: Lan, neighbour: Neighbour
) -> None:
    container = start("one", WEB)
    lan.host.run("nft", "flush", "ruleset")
    networks.ensure()
    with container.listen("0.0.0.0", 80) as server, neighbour.connect(lan.host4, 8080) as client:
        talk(client, server)


def test_rules_come_back_after_only_our_table_was_flushed(networks: Networks, lan: Lan) -> None:
    before = lan.host.run("nft", "list", "ruleset")
    lan.host.run("nft", "flush", "table", "inet", "test")
    networks.ensure()
    assert lan.host.run("nft", "list", "ruleset") == before


def test_containers_are_back_on_the_network_after_the_bridge_was_deleted(
    start: Start, networks: Networks, lan: Lan, neighbour: Neighbour
) -> None:
    container = start("one", WEB)
    lan.host.run("ip", "link", "delete", "test0")
    networks.ensure()
    with container.listen("0.0.0.0", 80) as server, neighbour.connect(lan.host4, 8080) as client:
        talk(client, server)


def test_forwarding_comes_back_after_it_was_switched_off(
    start: Start, networks: Networks, lan: Lan, neighbour: Neighbour
) -> None:
    container = start("one")
    lan.host.run("sysctl", "-qw", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
    networks.ensure()
    with neighbour.listen("0.0.0.0", 80) as server, container.connect(neighbour.address4, 80) as client:
        talk(client, server)


def test_the_network_keeps_its_subnets_when_it_is_made_again(networks: Networks, lan: Lan) -> None:
    before = networks.ensure()
    lan.host.run("ip", "link", "delete", "test0")
    lan.host.run("nft", "flush", "ruleset")
    assert networks.ensure() == before


# ---- leases


def test_two_containers_get_two_addresses(networks: Networks) -> None:
    first, second = networks.lease("one"), networks.lease("two")
    assert {first.address4, first.address6}.isdisjoint({second.address4, second.address6})
    assert first.mac != second.mac


def test_a_container_keeps_its_lease_when_it_asks_again(networks: Networks) -> None:
    assert networks.lease("one") == networks.lease("one") == networks.endpoint("one")


def test_an_address_that_was_given_back_is_the_last_to_be_leased_again(networks: Networks) -> None:
    first = networks.lease("one")
    networks.release("one")
    assert networks.lease("two").address4 != first.address4


def test_an_exhausted_pool_is_said(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "last_number", lambda _: 4)
    for name in ("one", "two", "three"):
        networks.lease(name)
    with pytest.raises(Exhausted, match="all 3 are in use"):
        networks.lease("four")


def test_an_address_that_is_given_back_to_an_exhausted_pool_is_leased_again(
    networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "last_number", lambda _: 4)
    leases = [networks.lease(name) for name in ("one", "two", "three")]
    networks.release("two")
    assert networks.lease("four").address4 == leases[1].address4


def test_a_host_that_uses_the_whole_pool_is_told_so(lan: Lan, neighbour: Neighbour) -> None:
    for subnet in ("172.16.0.0/12", "192.168.0.0/16"):
        lan.host.run("ip", "route", "add", subnet, "dev", neighbour.host_interface)
    networks = Networks(open_database(), bridge="test0", table="test")
    with pytest.raises(Exhausted, match="choose a subnet"):
        networks.ensure()
    assert networks.connection.execute("SELECT count(*) FROM networks").fetchone() == (0,)


def test_release_leaves_neither_element_nor_row(networks: Networks, lan: Lan) -> None:
    _, reservation = publish(networks, "one", WEB, WEB.replace(host_port=8081, protocol="udp"))
    assert len(elements(lan)) > 0
    networks.release("one")
    reservation.close()
    assert elements(lan) == []
    assert not networks.is_leased("one")


def test_release_is_safe_to_repeat(networks: Networks) -> None:
    _, reservation = publish(networks, "one", WEB)
    networks.release("one")
    networks.release("one")
    networks.release("never seen")
    reservation.close()


def test_release_removes_the_rest_when_one_element_is_gone_already(networks: Networks, lan: Lan) -> None:
    _, reservation = publish(networks, "one", WEB, WEB.replace(host_port=8081))
    lan.host.run("nft", "delete", "element", "inet", "test", "published4", "{ tcp . 8080 }")
    networks.release("one")
    reservation.close()
    assert elements(lan) == []


def test_release_works_when_the_table_is_gone(networks: Networks, lan: Lan) -> None:
    _, reservation = publish(networks, "one", WEB)
    lan.host.run("nft", "flush", "ruleset")
    networks.release("one")
    reservation.close()
    assert not networks.is_leased("one")


def test_release_leaves_other_containers_ports_alone(networks: Networks, lan: Lan) -> None:
    _, first = publish(networks, "one", WEB)
    _, second = publish(networks, "two", WEB.replace(host_port=8081))
    networks.release("one")
    assert all("8081" in line and "8080" not in line for line in elements(lan))
    first.close()
    second.close()


def test_destroy_leaves_nothing_on_the_host(networks: Networks, lan: Lan) -> None:
    _, reservation = publish(networks, "one", WEB)
    networks.destroy()
    reservation.close()
    assert lan.host.run("nft", "list", "ruleset") == ""
    assert "test0" not in lan.host.run("ip", "link")
    assert "test0" not in lan.host.run("ip", "route")
    for family in ("-4", "-6"):
        assert "blackhole" not in lan.host.run("ip", family, "rule")


def test_a_port_that_was_reserved_but_never_published_is_given_back(networks: Networks, lan: Lan) -> None:
    """Whoever is killed between the commit and `publish` leaves rows without elements."""
    reserve(networks, "one", WEB).close()
    networks.release("one")
    assert not networks.is_leased("one")


def test_publishing_twice_is_safe(networks: Networks, lan: Lan) -> None:
    _, reservation = publish(networks, "one", WEB)
    before = elements(lan)
    networks.publish("one")
    assert elements(lan) == before
    reservation.close()


# ---- host ports


def test_a_port_of_another_container_is_refused_by_name(networks: Networks) -> None:
    _, reservation = publish(networks, "one", WEB)
    with pytest.raises(Conflict, match=r"0\.0\.0\.0:8080 -> 80/tcp: port is already allocated by container one"):
        reserve(networks, "two", WEB)
    assert not networks.is_leased("two")
    reservation.close()


def test_a_port_on_one_address_is_refused_when_another_container_has_it_on_all(networks: Networks) -> None:
    _, reservation = publish(networks, "one", WEB)
    with pytest.raises(Conflict, match="already allocated by container one"):
        reserve(networks, "two", WEB.replace(host_address="127.0.0.1"))
    reservation.close()


def test_a_port_of_a_program_on_the_host_is_refused(networks: Networks, lan: Lan) -> None:
    with lan.host.listen("0.0.0.0", 8080):
        with pytest.raises(Conflict, match=r"8080.*address already in use by a program on this host"):
            reserve(networks, "one", WEB)


def test_a_port_of_a_udp_program_on_the_host_is_refused(networks: Networks, lan: Lan) -> None:
    with lan.host.bind("0.0.0.0", 8080):
        with pytest.raises(Conflict, match="address already in use"):
            reserve(networks, "one", WEB.replace(protocol="udp"))


def test_a_program_on_the_host_cannot_take_a_published_port(networks: Networks, lan: Lan) -> None:
    _, reservation = publish(networks, "one", WEB)
    with pytest.raises(OSError, match="Address already in use"):
        lan.host.listen("0.0.0.0", 8080)
    reservation.close()


def test_a_port_with_only_old_connections_of_an_ended_program_can_be_published(
    networks: Networks, lan: Lan, neighbour: Neighbour
) -> None:
    with lan.host.listen("0.0.0.0", 8080) as server, neighbour.connect(lan.host4, 8080) as client:
        server.accept()[0].close()
        client.recv(1)
    assert "TIME-WAIT" in lan.host.run("ss", "-tan") or "FIN-WAIT" in lan.host.run("ss", "-tan")
    _, reservation = publish(networks, "one", WEB)
    with pytest.raises(OSError, match="Address already in use"):
        lan.host.listen("0.0.0.0", 8080)
    reservation.close()


def test_the_reservation_is_free_again_when_the_last_holder_ends(networks: Networks, lan: Lan) -> None:
    _, reservation = publish(networks, "one", WEB)
    networks.release("one")
    reservation.close()
    lan.host.listen("0.0.0.0", 8080).close()


def test_a_failed_reservation_leaves_no_socket(networks: Networks, lan: Lan) -> None:
    before = os.listdir("/proc/self/fd")
    with lan.host.listen("0.0.0.0", 8081), pytest.raises(Conflict):
        reserve(networks, "one", WEB, WEB.replace(host_port=8081))
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_free_port_is_chosen_when_none_is_asked_for(networks: Networks) -> None:
    _, reservation = publish(networks, "one", PortMapping(container_port=80), PortMapping(container_port=81))
    first, second = (mapping.host_port for mapping in reservation.mappings)
    assert first != second
    assert min(first, second) >= 1024
    reservation.close()


def test_an_address_that_is_not_the_hosts_is_refused(networks: Networks) -> None:
    with pytest.raises(InvalidInput, match=r"this host has no address 203\.0\.113\.1"):
        reserve(networks, "one", WEB.replace(host_address="203.0.113.1"))


@pytest.mark.parametrize("address", ["1.2.3", "localhost", "::g", "127.0.0.1; drop", "1.2.3.4\n"])
def test_an_address_that_is_none_is_refused(networks: Networks, address: str) -> None:
    with pytest.raises(InvalidInput, match="is not an IP address"):
        reserve(networks, "one", WEB.replace(host_address=address))


def test_an_ipv6_address_is_refused_on_a_network_without_ipv6(lan: Lan) -> None:
    lan.host.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    networks = Networks(open_database(), bridge="test0", table="test")
    networks.ensure()
    with pytest.raises(NotSupported, match="no IPv6 on this host"):
        reserve(networks, "one", WEB.replace(host_address="::1"))


def test_a_mapping_that_is_named_twice_is_taken_once(networks: Networks) -> None:
    _, reservation = publish(networks, "one", WEB, WEB)
    assert reservation.mappings == (WEB,)
    reservation.close()


def test_a_host_port_that_is_to_lead_to_two_places_is_refused(networks: Networks) -> None:
    with pytest.raises(Conflict, match="allocated by this container, twice"):
        reserve(networks, "one", WEB, WEB.replace(container_port=81))


def test_many_ports_are_published_in_one_go(networks: Networks, lan: Lan) -> None:
    mappings = [WEB.replace(host_port=port) for port in range(20000, 21200)]
    _, reservation = publish(networks, "one", *mappings)
    assert lan.host.run("nft", "list", "map", "inet", "test", "published4").count("tcp .") == 1200
    networks.release("one")
    assert elements(lan) == []
    reservation.close()


# ---- what else is on the host


@pytest.fixture
def _docker_like(lan: Lan) -> None:
    lan.host.run(
        "nft", "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }"
    )


@pytest.mark.usefixtures("_docker_like")
def test_a_foreign_chain_that_drops_forwarded_packets_is_named(networks: Networks) -> None:
    (warning,) = networks.warnings()
    assert "FORWARD" in warning
    assert "iptables -I FORWARD -i test0 -j ACCEPT" in warning


@pytest.mark.usefixtures("_docker_like")
def test_the_remedy_that_a_warning_names_works(
    start: Start, networks: Networks, lan: Lan, neighbour: Neighbour
) -> None:
    container = start("one")
    assert is_silent(container, neighbour.address4, 1)
    (warning,) = networks.warnings()
    lan.host.run("sh", "-c", warning.partition("through: ")[2])
    with neighbour.listen("0.0.0.0", 80) as server, container.connect(neighbour.address4, 80) as client:
        talk(client, server)


def test_a_chain_of_the_iptables_of_old_that_drops_is_named_too(networks: Networks, lan: Lan) -> None:
    lan.host.run("iptables-legacy", "-P", "FORWARD", "DROP")
    (warning,) = networks.warnings()
    assert "iptables-legacy -I FORWARD -i test0 -j ACCEPT" in warning


def test_a_host_without_obstacles_gets_no_warning(networks: Networks) -> None:
    assert networks.warnings() == ()


def test_foreign_tables_are_left_as_they_are(lan: Lan) -> None:
    lan.host.run("nft", "add table inet other; add chain inet other input { type filter hook input priority 0; }")
    before = lan.host.run("nft", "list", "ruleset")
    networks = Networks(open_database(), bridge="test0", table="test")
    networks.ensure()
    networks.destroy()
    assert lan.host.run("nft", "list", "ruleset") == before


# ---- what a start costs


def test_the_hot_path_imports_nothing_heavy(networks: Networks, lan: Lan, tmp_path: object) -> None:
    """ensure, lease, reserve, publish, release by a process that finds the network made."""
    path = f"{tmp_path}/database"
    with sqlite3.connect(path) as copy:
        networks.connection.backup(copy)
    script = f"""
import sqlite3, sys
before = set(sys.modules)
from minirun.network.networks import Networks
from minirun.database import transaction
from minirun.engine.config import PortMapping
networks = Networks(sqlite3.connect({path!r}, isolation_level=None), bridge="test0", table="test")
networks.ensure()
with transaction(networks.connection):
    reservation = networks.reserve("one", networks.lease("one"), [PortMapping(container_port=80)])
networks.publish("one")
networks.release("one")
print(*sorted(set(sys.modules) - before))
"""
    imported = set(lan.host.run(sys.executable, "-I", "-c", script).split())
    heavy = {
        "pyroute2",
        "socket",
        "re",
        "ipaddress",
        "subprocess",
        "typing",
        "dataclasses",
        "asyncio",
        "signal",
        "random",
    }
    assert imported & heavy == set()
    assert "minirun.network.ruleset" not in imported


def test_a_frame_passes_as_soon_as_the_link_is_up(start: Start, lan: Lan) -> None:
    """The first connection of the first container: a lost frame would cost it a second."""
    with lan.host.listen("0.0.0.0", 99):
        container = start("one")
        probe = container.open_socket(socket.AF_INET, socket.SOCK_STREAM)
        probe.settimeout(0.9)
        probe.connect((container.endpoint.gateway4, 99))
        probe.close()


def test_nft_refusing_the_rules_is_told_in_one_line(lan: Lan, monkeypatch: pytest.MonkeyPatch) -> None:
    from minirun.network import ruleset

    monkeypatch.setattr(ruleset, "text", lambda *_: "table inet test { nonsense }")
    with pytest.raises(NotSupported, match=r"load the nftables rules of the network: .*Error: ") as caught:
        Networks(open_database(), bridge="test0", table="test").ensure()
    assert "\n" not in str(caught.value)
    assert subprocess.run(["ip", "link", "show", "test0"], capture_output=True, check=False).returncode != 0
