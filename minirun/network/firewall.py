"""The nftables table, as far as a start needs it: is it there, and one element more or less per published port.

Owns: the shape of an element, raw nfnetlink batches, the check that the rule set is complete.
Leaves to others: the rules' text (ruleset), running nft (`install`, cold), which ports are published (ports).

A published port is an element of a map, never a rule: adding one costs the same with ten or ten thousand others, and a
batch is atomic. Four maps, by family and by whether the mapping names an address of the host:

    published4     protocol . host port                 ->  container address . container port
    published4_at  protocol . host address . host port  ->  container address . container port      (and the same with 6)

Sources: linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h, https://wiki.nftables.org/wiki-nftables/index.php/Maps
"""

from __future__ import annotations

import errno
from struct import pack, unpack

from ..errors import Conflict, MinirunError, NotSupported
from ..linux.syscalls import netlink_request
from ..record import Record
from . import netlink
from .addresses import packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .networks import Network

REVISION = 1  # of the rules' text: a table with another one is replaced
FORWARD_RULES = 5  # in the chain `forward`: a table that was flushed still exists, without them

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
ELEMENTS_IN_A_BATCH = 500  # 100 bytes each: a datagram stays far below the socket's send buffer

_NFPROTO_INET = 1
_SUBSYSTEM = 10 << 8  # NFNL_SUBSYS_NFTABLES
_BATCH_BEGIN, _BATCH_END = 16, 17
_GETTABLE, _DELTABLE = _SUBSYSTEM | 1, _SUBSYSTEM | 2
_GETCHAIN = _SUBSYSTEM | 4
_NEWSETELEM, _DELSETELEM = _SUBSYSTEM | 12, _SUBSYSTEM | 14
_NEWTABLE, _NEWCHAIN = _SUBSYSTEM | 0, _SUBSYSTEM | 3
_TABLE_NAME, _TABLE_USERDATA = 1, 6
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_USE = 1, 3, 6
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_LIST_ELEMENT = 1
_ELEMENT_KEY, _ELEMENT_DATA, _ELEMENT_USERDATA = 1, 2, 6
_DATA_VALUE = 1
_USERDATA_COMMENT = 0


class Element(Record):
    """One entry of a map; `comment` is what `nft list` shows beside it."""

    map: str
    key: bytes
    data: bytes
    comment: str = ""


def elements_of(
    protocol: str,
    host_address: str,
    host_port: int,
    address4: str,
    address6: str,
    container_port: int,
    comment: str = "",
) -> list[Element]:
    """Give the elements that lead a host address and port to a container: one per family that both sides have."""
    elements = []
    wanted = packed(host_address) if host_address else b""
    for family, any_address, target in (("4", bytes(4), address4), ("6", bytes(16), address6)):
        if not target or (wanted and len(wanted) != len(any_address)):
            continue
        data = packed(target) + _padded_port(container_port)
        key = pack("=Bxxx", PROTOCOLS[protocol])
        if wanted and wanted != any_address:
            elements.append(
                Element(
                    map=f"published{family}_at", key=key + wanted + _padded_port(host_port), data=data, comment=comment
                )
            )
        else:
            elements.append(
                Element(map=f"published{family}", key=key + _padded_port(host_port), data=data, comment=comment)
            )
    return elements


class Firewall:
    """One table of the family inet, named so that several data roots on one host don't meet."""

    def __init__(self, table: str) -> None:
        self.table = table

    def is_current(self, network: Network) -> bool:
        """Say whether the table is there, made for this network by this revision, and not flushed. One request."""
        name = netlink.text(_TABLE_NAME, self.table)
        chain = netlink.text(_CHAIN_TABLE, self.table) + netlink.text(_CHAIN_NAME, "forward")
        request = _message(_GETTABLE, netlink.NLM_F_ACK, name) + _message(_GETCHAIN, netlink.NLM_F_ACK, chain)
        try:
            answer = netlink_request(netlink.NETLINK_NETFILTER, request)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise _translated(error, f"look for the nftables table {self.table}") from error
        comment = b""
        rules = 0
        for kind, body in netlink.messages(answer):
            found = netlink.attributes(body[4:])
            if kind == _NEWTABLE:
                comment = found.get(_TABLE_USERDATA, b"")
            elif kind == _NEWCHAIN:
                rules = int(unpack(">I", found.get(_CHAIN_USE, bytes(4)))[0])
        return rules == FORWARD_RULES and revision_of(network).encode() + b"\0" in comment

    def install(self, network: Network) -> None:
        """Make the table anew, without elements, in one transaction. Runs nft; takes some 30 ms.

        Raises NotSupported when nft isn't installed or the kernel lacks nftables.
        """
        from . import ruleset

        ruleset.load(ruleset.text(self.table, network))

    def add(self, elements: Sequence[Element]) -> None:
        """Add elements; those that are there already with the same target stay. All or nothing per 500 of them.

        Raises Conflict when a key leads elsewhere already.
        """
        for start in range(0, len(elements), ELEMENTS_IN_A_BATCH):
            try:
                self._batch(_NEWSETELEM, netlink.NLM_F_CREATE, elements[start : start + ELEMENTS_IN_A_BATCH])
            except OSError as error:
                if error.errno == errno.EEXIST:
                    raise Conflict("publish a port: the nftables map leads it to another container already") from error
                raise _translated(error, f"publish a port in the nftables table {self.table}") from error

    def remove(self, elements: Sequence[Element]) -> None:
        """Remove elements; those that are gone already are fine.

        Takes some 10 ms: the kernel lets a netfilter socket close only when what was removed is freed (nft_rcv_nl_event).
        """
        try:
            self._batch(_DELSETELEM, 0, elements)
            return
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise _translated(error, f"withdraw a port from the nftables table {self.table}") from error
        for element in elements:  # one is missing, and the batch with it was refused: take the others one by one
            try:
                self._batch(_DELSETELEM, 0, (element,))
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise _translated(error, f"withdraw a port from the nftables table {self.table}") from error

    def delete(self) -> None:
        """Remove the table with all that is in it; fine when there is none."""
        try:
            _send(_message(_DELTABLE, netlink.NLM_F_ACK, netlink.text(_TABLE_NAME, self.table)))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise _translated(error, f"delete the nftables table {self.table}") from error

    def _batch(self, kind: int, flags: int, elements: Sequence[Element]) -> None:
        if not elements:
            return
        by_map: dict[str, list[bytes]] = {}
        for element in elements:
            by_map.setdefault(element.map, []).append(_element(element, with_data=kind == _NEWSETELEM))
        parts = []
        for name, packed_elements in by_map.items():
            head = netlink.text(_LIST_TABLE, self.table) + netlink.text(_LIST_SET, name)
            parts.append(
                _message(kind, flags | netlink.NLM_F_ACK, head + netlink.nest(_LIST_ELEMENTS, *packed_elements))
            )
        _send(b"".join(parts))


def revision_of(network: Network) -> str:
    """Give the table's comment: what the rules were made for. At most 128 bytes, nft's limit."""
    return f"minirun {REVISION} {network.bridge} {network.subnet4} {network.subnet6}"


def _padded_port(port: int) -> bytes:
    return pack(">Hxx", port)


def _element(element: Element, *, with_data: bool) -> bytes:
    parts = [netlink.nest(_ELEMENT_KEY, netlink.attribute(_DATA_VALUE, element.key))]
    if with_data:
        parts.append(netlink.nest(_ELEMENT_DATA, netlink.attribute(_DATA_VALUE, element.data)))
        if element.comment:
            comment = element.comment.encode()[:127] + b"\0"
            parts.append(netlink.attribute(_ELEMENT_USERDATA, pack("BB", _USERDATA_COMMENT, len(comment)) + comment))
    return netlink.nest(_LIST_ELEMENT, *parts)


def _message(kind: int, flags: int, attributes: bytes, family: int = _NFPROTO_INET) -> bytes:
    return netlink.message(kind, flags, pack(">BBH", family, 0, 0) + attributes)


def _send(messages: bytes) -> None:
    """Send a batch: the kernel does all of it or nothing."""
    edge = pack(">BBH", 0, 0, _SUBSYSTEM >> 8)
    netlink_request(
        netlink.NETLINK_NETFILTER,
        netlink.message(_BATCH_BEGIN, 0, edge) + messages + netlink.message(_BATCH_END, 0, edge),
    )


def _translated(error: OSError, attempt: str) -> MinirunError:
    if error.errno in (errno.EPROTONOSUPPORT, errno.EOPNOTSUPP, errno.EINVAL):
        return NotSupported(f"{attempt}: this kernel has no nftables (modprobe nf_tables), use --network host or none")
    return MinirunError(f"{attempt}: {error.strerror}")
