"""The rules' text: everything about a network that never changes while containers come and go.

Owns: the table as `nft -f -` reads it, loading it, foreign rules that get in the way (`obstacles`).
Leaves to others: elements (firewall). Imported only when a table has to be made.

What the rules are for, in the order that a packet meets them:

    guard        what comes from the bridge has an address of the bridge, and never goes to 127.0.0.0/8. The bridge needs
                 route_localnet (below), which would otherwise open the host's loopback services to containers: CVE-2020-8558.
    prerouting   published ports for what arrives from outside or from a container. Never for 127.0.0.0/8: the kernel drops such
                 martians only when it routes them, after this chain, so a neighbour on the LAN could reach what was published
                 on 127.0.0.1 alone: moby#45610.
    admit        what `forward` will let in gets a mark. Without it there is no route to the containers from outside (bridge), so a
                 host that lost this table is shut, not open.
    output       published ports for the host's own processes, 127.0.0.1 included. Not ::1: the kernel routes no answer to it that
                 comes from outside the loopback interface, and IPv6 has no route_localnet. Untouched, a connection to it is
                 refused at once by the socket that reserves the port, and whoever asked for `localhost` goes on to 127.0.0.1.
    forward      into the bridge goes only what belongs to a connection from inside, or was led here by a published port.
                 A host that has a route to the subnet reaches nothing else: moby#41872.
    postrouting  what leaves gets the host's address. Connections from the host's loopback address get the bridge's: 127.0.0.1
                 means the container itself in there. A container that reaches a container by the host's address does too:
                 the answer has to come back this way.

`accept` ends this table's chain only: other tables still have their say, and a `drop` anywhere is final.
"""

from __future__ import annotations

from ..errors import NotSupported
from ..linux.syscalls import netlink_request
from . import netlink
from .bridge import ADMITTED
from .firewall import revision_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .networks import Network

_NFT = ("nft", "/usr/sbin/nft", "/sbin/nft")

_GETCHAIN, _NEWCHAIN = 0xA04, 0xA03
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY = 1, 3, 4, 5
_HOOK_NUMBER, _HOOK_FORWARD = 1, 2
_NF_DROP = 0
_ANSWER_BYTES = 1 << 20
_FAMILIES = {1: "inet", 2: "ip", 10: "ip6"}


def text(table: str, network: Network) -> str:
    """Give the whole table, replacing one of that name in the same transaction.

    One text, in nft's own language: a firewall is judged by reading it from its first rule to its last.
    """
    bridge = f'"{network.bridge}"'
    mark = f"meta mark set meta mark | {ADMITTED:#x}"
    if network.subnet6:
        guard6 = f"iifname {bridge} ip6 saddr != {{ {network.subnet6}, fe80::/10, :: }} drop"
        admit6 = (
            f"ip6 daddr {network.subnet6} ct state established,related {mark}\n"
            f"        ip6 daddr {network.subnet6} ct status dnat {mark}"
        )
        leave6 = f"oifname != {bridge} ip6 saddr {network.subnet6} masquerade"
        hairpin6 = f"oifname {bridge} ip6 saddr {network.subnet6} ct status dnat masquerade"
    else:
        guard6 = f"iifname {bridge} meta nfproto ipv6 drop"
        admit6 = leave6 = hairpin6 = ""
    lines = f"""
table inet {table}
delete table inet {table}
table inet {table} {{
    comment "{revision_of(network)}"
    map published4 {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
    map published4_at {{ type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; }}
    map published6 {{ type inet_proto . inet_service : ipv6_addr . inet_service; }}
    map published6_at {{ type inet_proto . ipv6_addr . inet_service : ipv6_addr . inet_service; }}
    chain published {{
        dnat ip to meta l4proto . ip daddr . th dport map @published4_at
        meta nfproto ipv4 dnat ip to meta l4proto . th dport map @published4
        dnat ip6 to meta l4proto . ip6 daddr . th dport map @published6_at
        meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @published6
    }}
    chain guard {{
        type filter hook prerouting priority raw; policy accept;
        iifname {bridge} ip saddr != {network.subnet4} drop
        iifname {bridge} ip daddr 127.0.0.0/8 drop
        iifname {bridge} icmpv6 type {{ nd-router-advert, nd-redirect }} drop
        {guard6}
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr 127.0.0.0/8 return
        ip6 daddr ::1 return
        fib daddr type local jump published
    }}
    chain admit {{
        type filter hook prerouting priority -99; policy accept;
        ip daddr {network.subnet4} ct state established,related {mark}
        ip daddr {network.subnet4} ct status dnat {mark}
        {admit6}
    }}
    chain output {{
        type nat hook output priority -100; policy accept;
        ip6 daddr ::1 return
        fib daddr type local jump published
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        oifname {bridge} ct state established,related accept
        oifname {bridge} iifname {bridge} accept
        oifname {bridge} ct status dnat accept
        oifname {bridge} drop
        iifname {bridge} ct state invalid drop
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname != {bridge} ip saddr {network.subnet4} masquerade
        {leave6}
        oifname {bridge} ip saddr 127.0.0.0/8 masquerade
        oifname {bridge} ip saddr {network.subnet4} ct status dnat masquerade
        {hairpin6}
    }}
}}
"""
    return "".join(line + "\n" for line in lines.splitlines() if line.strip())


def load(rules: str) -> None:
    """Hand `rules` to nft, which makes one transaction of them. NotSupported when there is no nft, or the kernel refuses."""
    import subprocess

    for program in _NFT:
        try:
            done = subprocess.run([program, "-f", "-"], input=rules.encode(), capture_output=True, check=False)
        except FileNotFoundError:
            continue
        if done.returncode == 0:
            return
        reason = " ".join(done.stderr.decode(errors="replace").split("\n")[0].split())
        raise NotSupported(f"load the nftables rules of the network: {reason or f'nft ended with {done.returncode}'}")
    raise NotSupported(
        "load the nftables rules of the network: there is no nft on this host; install the package nftables"
    )


def obstacles(bridge: str, table: str) -> tuple[str, ...]:
    """Give a sentence for each foreign chain that drops forwarded packets by policy (docker, ufw and firewalld set such).

    Such a chain ends the way of every packet from and to the containers, whatever our own table accepts. It is the owner's,
    so it is named and left alone.
    """
    chains = [*_dropping_chains(table), *_dropping_legacy_chains()]
    return tuple(_sentence(family, owner, chain, tool, bridge) for family, owner, chain, tool in chains)


def _dropping_chains(table: str) -> Iterator[tuple[str, str, str, str]]:
    """Family, table, name of such chains of nftables but our own, and the tool that manages them, "" for nft."""
    request = netlink.message(_GETCHAIN, netlink.NLM_F_DUMP, bytes(4))
    try:
        answer = netlink_request(netlink.NETLINK_NETFILTER, request, _ANSWER_BYTES)
    except OSError:
        return  # what can't be asked can't be warned of
    for kind, body in netlink.messages(answer):
        found = netlink.attributes(body[4:])
        family = _FAMILIES.get(body[0])
        hook = netlink.attributes(found.get(_CHAIN_HOOK, b"")).get(_HOOK_NUMBER)
        policy = found.get(_CHAIN_POLICY)
        if kind != _NEWCHAIN or family is None or hook is None or policy is None:
            continue
        owner, chain = (found[key].rstrip(b"\0").decode(errors="replace") for key in (_CHAIN_TABLE, _CHAIN_NAME))
        if int.from_bytes(hook, "big") != _HOOK_FORWARD or int.from_bytes(policy, "big") != _NF_DROP or owner == table:
            continue
        tool = {"ip": "iptables", "ip6": "ip6tables"}.get(family, "") if (owner, chain) == ("filter", "FORWARD") else ""
        yield family, owner, chain, tool


def _dropping_legacy_chains() -> Iterator[tuple[str, str, str, str]]:
    """The same for the iptables of old, which nftables doesn't see. Asked only where its table is in use."""
    import subprocess

    for family, names, tool in (
        ("ip", "/proc/net/ip_tables_names", "iptables-legacy"),
        ("ip6", "/proc/net/ip6_tables_names", "ip6tables-legacy"),
    ):
        try:
            with open(names, encoding="utf-8") as file:
                if "filter" not in file.read().split():
                    continue
            done = subprocess.run([tool, "-S", "FORWARD"], capture_output=True, text=True, check=False)
        except OSError:
            continue  # no such table, or no such tool
        if "-P FORWARD DROP" in done.stdout.splitlines():
            yield family, "filter", "FORWARD", tool


def _sentence(family: str, owner: str, chain: str, tool: str, bridge: str) -> str:
    if tool:
        remedy = f"{tool} -I FORWARD -i {bridge} -j ACCEPT && {tool} -I FORWARD -o {bridge} -j ACCEPT"
    else:
        place = f"nft insert rule {family} {owner} {chain}"
        remedy = f"{place} iifname {bridge} accept && {place} oifname {bridge} accept"
    return (
        f"the chain {chain} of the table {family} {owner} drops what this host forwards, so containers reach nothing"
        f" outside and nothing outside reaches them; to let {bridge} through: {remedy}"
    )
