"""The text of /etc/hosts and /etc/resolv.conf."""

from __future__ import annotations

import pytest

from minirun.engine.config import ContainerConfig
from minirun.errors import InvalidInput
from minirun.network.names import FALLBACK_NAME_SERVERS, hosts_text, resolv_text
from minirun.network.networks import Endpoint

ENDPOINT = Endpoint(
    network="bridge",
    bridge="br0",
    host_interface="mr0",
    mac=b"\x02m\xac\x11\x00\x02",
    address4="172.17.0.2",
    prefix4=16,
    gateway4="172.17.0.1",
    address6="fd00::2",
    prefix6=64,
    gateway6="fd00::1",
)
CONFIG = ContainerConfig(image="busybox")
LINE_BREAKERS = ["a\nb", "a\rb", "a b", "a\tb", "a\x00b", "a\x0bb", "a\u2028b", "a#b", ""]


def test_localhost_comes_first_and_the_container_last() -> None:
    lines = hosts_text("web", ENDPOINT, ["db:10.0.0.9"]).splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[-3:] == ["10.0.0.9\tdb", "172.17.0.2\tweb", "fd00::2\tweb"]


def test_linked_containers_stand_before_the_container_itself() -> None:
    lines = hosts_text("web", ENDPOINT, ["x:10.0.0.9"], [("172.17.0.3", "db 0123 store")]).splitlines()
    assert lines[-4:-2] == ["10.0.0.9\tx", "172.17.0.3\tdb 0123 store"]


def test_a_link_smuggles_no_line() -> None:
    with pytest.raises(InvalidInput, match="--link"):
        hosts_text("web", ENDPOINT, [], [("172.17.0.3", "db\n1.2.3.4")])


def test_a_full_name_has_its_short_form_beside_it() -> None:
    assert "172.17.0.2\tweb.example.org web\n" in hosts_text("web.example.org", ENDPOINT)


def test_a_container_without_a_network_has_only_localhost() -> None:
    assert "web" not in hosts_text("web", None)


def test_host_gateway_is_the_bridge() -> None:
    assert "172.17.0.1\thost\nfd00::1\thost\n" in hosts_text("web", ENDPOINT, ["host:host-gateway"])


def test_host_gateway_without_a_bridge_is_refused() -> None:
    with pytest.raises(InvalidInput, match="needs the network bridge"):
        hosts_text("web", None, ["host:host-gateway"])


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        ("db:10.0.0.9", "10.0.0.9\tdb"),
        ("db=10.0.0.9", "10.0.0.9\tdb"),
        ("db:fd00::9", "fd00::9\tdb"),
        ("db=fd00::9", "fd00::9\tdb"),
        ("db:[fd00::9]", "fd00::9\tdb"),
    ],
)
def test_an_extra_host_is_written_as_docker_accepts_it(extra: str, line: str) -> None:
    assert line in hosts_text("web", ENDPOINT, [extra]).splitlines()


@pytest.mark.parametrize(
    "extra", ["db", "db:", ":10.0.0.9", "db:10.0.0", "db:10.0.0.9\n6.6.6.6 bank", "db:::g", "db:1.2.3.4\0"]
)
def test_a_malformed_extra_host_is_refused(extra: str) -> None:
    with pytest.raises(InvalidInput, match="--add-host"):
        hosts_text("web", ENDPOINT, [extra])


@pytest.mark.parametrize("name", [name for name in LINE_BREAKERS if name])
def test_a_name_cannot_smuggle_a_line_into_hosts(name: str) -> None:
    with pytest.raises(InvalidInput, match="printable"):
        hosts_text(name, ENDPOINT)
    with pytest.raises(InvalidInput, match="printable"):
        hosts_text("web", ENDPOINT, [f"{name}:10.0.0.9"])


def test_the_hosts_resolvers_are_the_containers() -> None:
    host = "# made by hand\nnameserver 10.0.0.53\nnameserver fd00::53\nsearch example.org corp\noptions ndots:2 timeout:1\n"
    expected = "nameserver 10.0.0.53\nnameserver fd00::53\nsearch example.org corp\noptions ndots:2 timeout:1\n"
    assert resolv_text(CONFIG, host) == expected


def test_resolvers_on_the_hosts_loopback_are_left_out() -> None:
    host = "nameserver 127.0.0.1\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.53\n"
    assert resolv_text(CONFIG, host) == "nameserver 10.0.0.53\n"


def test_resolvers_on_the_loopback_stay_with_the_hosts_network() -> None:
    assert resolv_text(CONFIG, "nameserver 127.0.0.53\n", loopback_works=True) == "nameserver 127.0.0.53\n"


def test_resolvers_that_a_container_cannot_reach_are_left_out() -> None:
    host = "nameserver fe80::1%eth0\nnameserver fd00::53\nnameserver 10.0.0.53\n"
    assert resolv_text(CONFIG, host, has_ipv6=False) == "nameserver 10.0.0.53\n"


def test_a_host_without_a_usable_resolver_gets_dockers_fallback() -> None:
    text = resolv_text(CONFIG, "nameserver 127.0.0.1\n")
    assert text == "".join(f"nameserver {server}\n" for server in FALLBACK_NAME_SERVERS)


def test_what_was_asked_for_replaces_the_hosts() -> None:
    config = CONFIG.replace(dns=("10.9.9.9", "fd00::9"), dns_search=("a.test", "b.test"), dns_options=("rotate",))
    text = resolv_text(config, "nameserver 10.0.0.53\nsearch example.org\noptions ndots:2\n")
    assert text == "nameserver 10.9.9.9\nnameserver fd00::9\nsearch a.test b.test\noptions rotate\n"


def test_a_dot_means_no_search_domains() -> None:
    assert "search" not in resolv_text(CONFIG.replace(dns_search=(".",)), "nameserver 10.0.0.53\nsearch example.org\n")


def test_a_loopback_resolver_that_was_asked_for_is_taken() -> None:
    assert resolv_text(CONFIG.replace(dns=("127.0.0.1",)), "") == "nameserver 127.0.0.1\n"


@pytest.mark.parametrize("server", ["dns.test", "1.2.3", "1.2.3.4\nnameserver 6.6.6.6", "", "1.2.3.4 "])
def test_a_resolver_that_is_no_address_is_refused(server: str) -> None:
    with pytest.raises(InvalidInput, match="not an IP address"):
        resolv_text(CONFIG.replace(dns=(server,)), "")


@pytest.mark.parametrize("word", LINE_BREAKERS)
def test_a_word_cannot_smuggle_a_line_into_resolv_conf(word: str) -> None:
    with pytest.raises(InvalidInput, match="--dns-search"):
        resolv_text(CONFIG.replace(dns_search=(word,)), "")
    with pytest.raises(InvalidInput, match="--dns-option"):
        resolv_text(CONFIG.replace(dns_options=(word,)), "")
