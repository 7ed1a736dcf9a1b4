"""Network devices of the host that move into a container: what they had is restored inside.

Owns: the name that a template comes to, reading a device's addresses before it moves. Leaves to others: moving it
(LINK_MOVE), giving it back: the kernel returns a physical device to the host when the namespace ends.
config-linux.md, "Network Devices".
"""

from __future__ import annotations

from itertools import count

from ..errors import InvalidInput
from ..linux import plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..linux.plan import Operation
    from .spec import NetDevice

_GLOBAL = 0  # RT_SCOPE_UNIVERSE
_PERMANENT = 0x80  # IFA_F_PERMANENT: no address that a lease or a router has given for a while


def named(devices: tuple[NetDevice, ...], namespace: str) -> tuple[NetDevice, ...]:
    """Give the devices with a name in place of each template, that of the lowest number which is free in `namespace` ("": new).

    The kernel would find the number too, but then nobody knows whom to bring up; and it moves a device before it finds that
    the name is taken, so a taken name is refused here. Raises InvalidInput.
    """
    there = _names_in(namespace) if namespace else {"lo"}  # all that a new one has
    taken = there | {device.inside for device in devices}
    found = []
    for device in devices:
        if device.inside in there:
            raise InvalidInput(f"linux.netDevices: the name {device.inside} is taken in the network namespace")
        if "%d" in device.inside:
            free = (device.inside.replace("%d", str(number)) for number in count())
            device = device.replace(inside=next(name for name in free if name not in taken))
            taken.add(device.inside)
        found.append(device)
    return tuple(found)


def _names_in(namespace: str) -> set[str]:
    from pyroute2 import NetNS

    try:
        with NetNS(namespace, flags=0) as route:  # without O_CREAT, which is its default
            return {dict(link["attrs"])["IFLA_IFNAME"] for link in route.get_links()}
    except OSError as error:
        raise InvalidInput(
            f"linux.netDevices: look into the network namespace {namespace}: {error.strerror}"
        ) from error


def restore(devices: Iterable[NetDevice]) -> Iterator[Operation]:
    """Give the operations that bring devices up inside, with the permanent global addresses that they have; raises InvalidInput."""
    import socket

    from pyroute2 import IPRoute

    with IPRoute() as route:
        for device in devices:
            found = route.link_lookup(ifname=device.name)
            if not found:
                raise InvalidInput(f"linux.netDevices: the host has no network device {device.name}")
            for message in route.get_addr(index=found[0]):
                address = dict(message["attrs"])
                if message["scope"] == _GLOBAL and address.get("IFA_FLAGS", message["flags"]) & _PERMANENT:
                    text = address.get("IFA_LOCAL") or address["IFA_ADDRESS"]
                    yield plan.address(device.inside, socket.inet_pton(message["family"], text), message["prefixlen"])
            yield plan.link_up(device.inside)
