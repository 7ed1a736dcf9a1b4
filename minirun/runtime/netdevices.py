"""Network devices of the host that move into a container: what they had is restored inside.

Owns: reading a device's addresses before it moves. Leaves to others: moving it (LINK_MOVE), giving it back: the kernel returns
a physical device to the host when the namespace ends. config-linux.md, "Network Devices".
"""

from __future__ import annotations

from ..errors import InvalidInput
from ..linux import plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..linux.plan import Operation
    from .spec import NetDevice

_PERMANENT_GLOBAL = 0  # RT_SCOPE_UNIVERSE


def restore(devices: Iterable[NetDevice]) -> Iterator[Operation]:
    """Give the operations that bring devices up inside, with the global addresses that they have now; raises InvalidInput."""
    import socket

    from pyroute2 import IPRoute

    with IPRoute() as route:
        for device in devices:
            found = route.link_lookup(ifname=device.name)
            if not found:
                raise InvalidInput(f"linux.netDevices: the host has no network device {device.name}")
            for message in route.get_addr(index=found[0]):
                if message["scope"] == _PERMANENT_GLOBAL:
                    address = dict(message["attrs"])
                    text = address.get("IFA_LOCAL") or address["IFA_ADDRESS"]
                    yield plan.address(device.inside, socket.inet_pton(message["family"], text), message["prefixlen"])
            yield plan.link_up(device.inside)
