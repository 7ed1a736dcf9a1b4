"""Network devices of the host that move into a container: what they had is restored inside.

Owns: the name that a template comes to, reading a device's addresses before it moves. Leaves to others: moving it
(LINK_MOVE), giving it back: the kernel returns a physical device to the host when the namespace ends.
config-linux.md, "Network Devices".
"""

from __future__ import annotations

from itertools import count

from ..errors import InvalidInput, NotSupported
from ..linux import plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..linux.plan import Operation
    from .spec import NetDevice

_PERMANENT_GLOBAL = 0  # RT_SCOPE_UNIVERSE


def named(devices: tuple[NetDevice, ...], *, is_new: bool) -> tuple[NetDevice, ...]:
    """Give the devices with a name in place of each template, that of the lowest number which is free.

    A new namespace has nothing but its loopback device. The kernel would find the number too, but then nobody knows whom
    to bring up; and it moves a device before it finds that the name is taken, so a taken name is refused here. Raises
    InvalidInput, and NotSupported for a template in a namespace that has devices already.
    """
    if not is_new:
        if any("%d" in device.inside for device in devices):
            raise NotSupported("linux.netDevices: a name with %d in a network namespace that is joined isn't supported")
        return devices
    taken = {"lo", *(device.inside for device in devices)}
    found = []
    for device in devices:
        if device.inside == "lo":
            raise InvalidInput("linux.netDevices: the name lo is taken in every network namespace")
        if "%d" in device.inside:
            free = (device.inside.replace("%d", str(number)) for number in count())
            device = device.replace(inside=next(name for name in free if name not in taken))
            taken.add(device.inside)
        found.append(device)
    return tuple(found)


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
