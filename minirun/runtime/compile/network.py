"""The network part of a plan: the interfaces of a new network namespace, from outside and from inside.

Owns: veth pair, addresses, routes, moved devices, parameters of interfaces.
Leaves to others: which address (network/), the namespace itself (namespaces).
"""

from __future__ import annotations

from ...linux import plan
from .context import NETWORK_READY, PARAMETERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...linux.plan import Operation
    from ..spec import NetDevice
    from .context import Context, Endpoint


def from_outside(context: Context) -> Iterator[Operation]:
    """The parent makes the veth pair while the child makes its mounts: both take about as long."""
    if not _has_interfaces(context):
        return
    endpoint = getattr(context.place, "endpoint", None)
    if endpoint is not None:
        yield plan.veth(endpoint.bridge, endpoint.host_interface, endpoint.interface, endpoint.mac)
    for device in _devices(context):
        yield plan.link_move(device.name, device.inside)
    yield plan.sync(NETWORK_READY)


def _has_interfaces(context: Context) -> bool:
    return context.placement.endpoint is not None or bool(context.spec.linux.net_devices)


def from_inside(context: Context) -> Iterator[Operation]:
    """As late as possible: the parent has made the veth pair meanwhile. Interfaces first, parameters of theirs after."""
    if _has_interfaces(context):
        yield plan.sync(NETWORK_READY)
    if context.spec.linux.has_new("network"):
        yield plan.link_up("lo")
        endpoint = context.placement.endpoint
        if endpoint is not None:
            yield from _endpoint(endpoint)
    if devices := _devices(context):
        from ..netdevices import restore

        yield from restore(devices)


def _devices(context: Context) -> tuple[NetDevice, ...]:
    """Give the devices that move, each with the name that it will have."""
    linux = context.spec.linux
    if not linux.net_devices:
        return ()
    from ..netdevices import named

    return named(linux.net_devices, next((item.path for item in linux.namespaces if item.kind == "network"), ""))


def _endpoint(endpoint: Endpoint) -> Iterator[Operation]:
    yield _neighbours_word(endpoint)
    yield plan.address(endpoint.interface, _packed(endpoint.address4), endpoint.prefix4)
    if endpoint.address6:
        yield plan.address(endpoint.interface, _packed(endpoint.address6), endpoint.prefix6)
    yield plan.link_up(endpoint.interface)
    # Routes need an interface that is up.
    if endpoint.gateway4:
        yield plan.route(endpoint.interface, _packed(endpoint.gateway4))
    if endpoint.address6 and endpoint.gateway6:
        yield plan.route(endpoint.interface, _packed(endpoint.gateway6))


def _neighbours_word(endpoint: Endpoint) -> Operation:
    """Before the interface is up: no route or address by a neighbour's router advertisement, and no IPv6 at all on a
    network without (CVE-2020-13401, CVE-2024-32473). A kernel without IPv6 has neither file.
    """
    file, value = ("accept_ra", "0") if endpoint.address6 else ("disable_ipv6", "1")
    return plan.optional(plan.write(PARAMETERS, f"sys/net/ipv6/conf/{endpoint.interface}/{file}", value))


def _packed(address: str) -> bytes:
    import _socket

    return _socket.inet_pton(_socket.AF_INET6 if ":" in address else _socket.AF_INET, address)


# ---- Kernel parameters ---------------------------------------------------------------------------------------------


def parameters(context: Context, slot: int, *, late: bool) -> Iterator[Operation]:
    """Kernel parameters, through a procfs in `slot` that isn't attached anywhere. One parameter is one write(2)."""
    for key, value in context.spec.linux.sysctl.items():
        if _is_late(key) == late:
            yield plan.write(slot, "sys/" + key.translate(_SWAPPED), value)


_SWAPPED = {ord("."): "/", ord("/"): "."}  # as sysctl(8): a slash in a key stands for a dot in a name


def _is_late(key: str) -> bool:
    """Does the parameter depend on the interfaces, and thus come after them?"""
    return key.startswith(("net.ipv4.conf.", "net.ipv6.conf.", "net.ipv4.neigh.", "net.ipv6.neigh."))


def own_procfs(context: Context) -> Iterator[Operation]:
    """For parameters that are still to be written: /proc/sys of the container is read-only by now, or isn't there."""
    sysctl = context.spec.linux.sysctl
    if context.placement.endpoint is not None or any(map(_is_late, sysctl)) or (sysctl and not context.has_procfs):
        yield plan.filesystem(PARAMETERS, "proc", "proc")


def late_parameters(context: Context) -> Iterator[Operation]:
    """Parameters of interfaces that the user asked for, and all others where the container has no procfs of its own."""
    if not context.has_procfs:
        yield from parameters(context, PARAMETERS, late=False)
    yield from parameters(context, PARAMETERS, late=True)
