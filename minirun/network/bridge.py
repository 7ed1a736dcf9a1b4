"""The bridge: is it there, making it, the kernel's settings that it needs.

Owns: one bridge interface and the sysctls of the host that forwarding depends on.
Leaves to others: rules (firewall), the veth pairs of containers (native/rtnetlink.c), which subnet it has (networks).

`is_ready` runs at every start: a handful of system calls. The rest happens once per boot and goes through pyroute2, which is
imported only there: its import costs a hundred times what these do.
"""

from __future__ import annotations

import _socket
import errno
import fcntl
import os
from struct import pack, unpack_from

from ..errors import Conflict, MinirunError, NotSupported
from ..light import suppress
from ..linux.syscalls import netlink_request
from . import netlink
from .addresses import split_subnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from pyroute2 import IPRoute

    from .networks import Network

_RTM_DELLINK = 17
_IFLA_IFNAME = 3
_SIOCGIFFLAGS = 0x8913
_AF_INET, _AF_INET6 = 2, 10
_IFF_UP = 1
_IFA_F_NODAD = 0x02
_TABLE_MAIN = 254

LINK_LOCAL = "fe80::1"
# One bit of the packet mark, set by the rule set on what may go to the containers from outside (ruleset, chain `admit`).
ADMITTED = 0x0100_0000
RULE_PRIORITY = 17170  # of the first of four routing rules; before the table main, after the table local
SYSCTL = "/proc/sys/net"


def is_ready(network: Network) -> bool:
    """Say whether the bridge is up and the settings that it depends on are as `build` left them.

    Asks nothing that takes the RTNL lock, as RTM_GETLINK does: starts side by side would queue for it behind the kernel, which
    holds it for milliseconds while it clears dead network namespaces away. netdevice(7), ip-sysctl.
    """
    wanted = [("ipv4", "forwarding", b"1\n"), ("ipv4", "route_localnet", b"1\n")]
    if network.subnet6:
        wanted += [("ipv6", "forwarding", b"1\n"), ("ipv6", "accept_ra", b"0\n")]
    try:
        return _is_up(network.bridge) and all(
            _setting(f"{SYSCTL}/{family}/conf/{network.bridge}/{name}") == value for family, name, value in wanted
        )
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ENODEV:
            return False
        raise MinirunError(f"look for the bridge {network.bridge}: {error.strerror}") from error


def _is_up(interface: str) -> bool:
    any_socket = _socket.socket(_AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        answer = fcntl.ioctl(any_socket.fileno(), _SIOCGIFFLAGS, pack("16s24x", interface.encode()))
    finally:
        any_socket.close()
    return bool(unpack_from("=H", answer, 16)[0] & _IFF_UP)


def _setting(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 16)
    finally:
        os.close(descriptor)


def has_ipv6() -> bool:
    """Say whether this host has IPv6, and not switched off for new interfaces."""
    return all(_read(f"{SYSCTL}/ipv6/conf/{scope}/disable_ipv6") == "0" for scope in ("all", "default"))


def occupied() -> list[str]:
    """Give the IPv4 subnets that this host uses: its routes and addresses, and its name servers."""
    from pyroute2 import IPRoute

    subnets = []
    with IPRoute() as route:
        for entry in route.get_routes(family=_AF_INET):
            destination = entry.get_attr("RTA_DST")
            if destination and entry["dst_len"] >= 4:  # not the default route, nor multicast
                subnets.append(f"{destination}/{entry['dst_len']}")
    for line in (_read("/etc/resolv.conf") or "").splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver" and ":" not in words[1]:
            try:
                split_subnet(f"{words[1]}/32")
            except OSError:
                continue
            subnets.append(f"{words[1]}/32")
    return subnets


def build(network: Network, ports: Iterable[str]) -> None:
    """Make the bridge as `network` describes it, or put right what is different about it; `ports` become its ports again.

    Raises Conflict when an interface of another kind has the name. A bridge that this call made is gone after a failure.
    """
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    with IPRoute() as route:
        made = False
        try:
            links = route.link_lookup(ifname=network.bridge)
            if not links:
                # An address of its own: else the bridge takes the lowest of its ports', and it changes as containers come and go.
                hardware = ":".join(f"{octet:02x}" for octet in b"\x02" + os.urandom(5))
                route.link("add", ifname=network.bridge, kind="bridge", br_stp_state=0, address=hardware)
                made = True
                links = route.link_lookup(ifname=network.bridge)
            (index,) = links
            (link,) = route.get_links(index)
            info = link.get_attr("IFLA_LINKINFO")
            if info is None or info.get_attr("IFLA_INFO_KIND") != "bridge":
                raise Conflict(
                    f"make the bridge {network.bridge}: an interface of that name exists and is no bridge; rename it"
                )
            _set_interface(network)
            _set_routing_rules(route, network)
            _set_addresses(route, index, network)
            route.link("set", index=index, state="up")
            _set_forwarding(network)
            for name in ports:
                for port in route.link_lookup(ifname=name):
                    route.link("set", index=port, master=index)
        except (NetlinkError, OSError) as error:
            if made:
                _undo(network)
            reason = os.strerror(error.code) if isinstance(error, NetlinkError) else error.strerror
            raise NotSupported(f"make the bridge {network.bridge}: {reason}") from error
        except BaseException:
            if made:
                _undo(network)
            raise


def delete(network: Network) -> None:
    """Remove the bridge and its routing rules; fine when there are none."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    with IPRoute() as route:
        for rule in _routing_rules(network):
            with suppress(NetlinkError):
                route.rule("del", **rule)
    request = netlink.message(_RTM_DELLINK, netlink.NLM_F_ACK, bytes(16) + netlink.text(_IFLA_IFNAME, network.bridge))
    try:
        netlink_request(netlink.NETLINK_ROUTE, request)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise MinirunError(f"delete the bridge {network.bridge}: {error.strerror}") from error


def _undo(network: Network) -> None:
    with suppress(MinirunError):  # the reason why making it failed says more
        delete(network)


def _routing_rules(network: Network) -> Iterator[dict[str, Any]]:
    """Give the routing rules that keep the subnets shut when nobody guards them.

    The rule set decides what reaches a container from outside, but `nft flush ruleset` or a firewall's restart takes it away, and
    no daemon of ours notices: until the next start, the host would route whatever its neighbours send (CVE-2025-54388). So
    there is no route from outside unless the rule set, by its mark, says so for that packet.
    """
    for subnet, family in ((network.subnet4, _AF_INET), (network.subnet6, _AF_INET6)):
        if not subnet:
            continue
        to_subnet = {"family": family, "dst": subnet}
        admit = {"action": "FR_ACT_TO_TBL", "table": _TABLE_MAIN}
        yield {**to_subnet, **admit, "priority": RULE_PRIORITY, "iifname": "lo"}  # from the host itself
        yield {**to_subnet, **admit, "priority": RULE_PRIORITY + 1, "iifname": network.bridge}
        yield {**to_subnet, **admit, "priority": RULE_PRIORITY + 2, "fwmark": ADMITTED, "fwmask": ADMITTED}
        yield {**to_subnet, "action": "FR_ACT_BLACKHOLE", "priority": RULE_PRIORITY + 3}


def _set_routing_rules(route: IPRoute, network: Network) -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    for rule in _routing_rules(network):
        try:
            route.rule("add", **rule)
        except NetlinkError as error:
            if error.code != errno.EEXIST:
                raise


def _set_addresses(route: IPRoute, index: int, network: Network) -> None:
    """Leave exactly the network's gateway addresses on the bridge, and a link-local one."""
    wanted = {(_AF_INET, network.gateway4, split_subnet(network.subnet4)[1])}
    if network.subnet6:
        wanted |= {(_AF_INET6, network.gateway6, split_subnet(network.subnet6)[1]), (_AF_INET6, LINK_LOCAL, 64)}
    for entry in route.get_addr(index=index):
        address = (entry["family"], entry.get_attr("IFA_ADDRESS"), entry["prefixlen"])
        if address in wanted:
            wanted.remove(address)
        else:
            route.addr("del", index=index, address=address[1], prefixlen=address[2], family=address[0])
    for family, text, prefix in wanted:
        # Nobody else is on the bridge yet: duplicate address detection would only keep the first container waiting.
        flags = {"flags": _IFA_F_NODAD} if family == _AF_INET6 else {}
        route.addr("add", index=index, address=text, prefixlen=prefix, family=family, **flags)


def _set_interface(network: Network) -> None:
    """The settings of the bridge itself, before it goes up."""
    conf4 = f"{SYSCTL}/ipv4/conf/{network.bridge}"
    conf6 = f"{SYSCTL}/ipv6/conf/{network.bridge}"
    # Connections from 127.0.0.1 to a published port leave through the bridge; the chain `guard` keeps the way back shut.
    _write(f"{conf4}/route_localnet", "1")
    _write(f"{conf4}/send_redirects", "0")  # a container that reaches its sibling by the host's address is not lost
    _write(f"{conf4}/accept_redirects", "0")
    if os.path.isdir(conf6):
        # A container must not configure its host: CVE-2020-13401.
        for name in ("accept_ra", "accept_redirects", "autoconf"):
            _write(f"{conf6}/{name}", "0")
        # The kernel would make a link-local address when the first container comes, and not use it for a while, but
        # no neighbour is found without one: LINK_LOCAL is there from the start.
        _write(f"{conf6}/addr_gen_mode", "1")
        _write(f"{conf6}/disable_ipv6", "0" if network.subnet6 else "1")


def _set_forwarding(network: Network) -> None:
    if _read(f"{SYSCTL}/ipv4/ip_forward") != "1":
        _write(f"{SYSCTL}/ipv4/ip_forward", "1")
    if network.subnet6 and _read(f"{SYSCTL}/ipv6/conf/all/forwarding") != "1":
        _keep_router_advertisements()
        _write(f"{SYSCTL}/ipv6/conf/all/forwarding", "1")
        # Switching it on for all resets nothing else, but a bridge made before has to follow.
    if network.subnet6:
        _write(f"{SYSCTL}/ipv6/conf/{network.bridge}/accept_ra", "0")


def _keep_router_advertisements() -> None:
    """A host that forwards ignores router advertisements unless accept_ra is 2, and would lose the routes it learned from them.

    Source: Documentation/networking/ip-sysctl.rst, accept_ra.
    """
    for name in os.listdir(f"{SYSCTL}/ipv6/conf"):
        if name in ("all", "default", "lo"):
            continue
        if _read(f"{SYSCTL}/ipv6/conf/{name}/accept_ra") == "1" and _learned_routes(name):
            _write(f"{SYSCTL}/ipv6/conf/{name}/accept_ra", "2")


def _learned_routes(interface: str) -> bool:
    """Whether `interface` has a default route that the kernel took from a router advertisement (RTF_ADDRCONF)."""
    for line in (_read("/proc/net/ipv6_route") or "").splitlines():
        words = line.split()
        if len(words) == 10 and words[9] == interface and words[1] == "00" and int(words[8], 16) & 0x00040000:
            return True
    return False


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def _write(path: str, value: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(value)
