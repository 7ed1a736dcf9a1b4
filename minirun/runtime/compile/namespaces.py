"""Namespaces in a plan: which are new, which are joined, and whose ids hold in them.

Owns: clone flags, joining by path, user and time namespaces, names that live in namespaces.
Leaves to others: what happens in them (mounts, network, process).

    prepare   joined ones are opened; clocks of a new time namespace are set
    enter     setns for pid, user and time, which hold for children, or cost the host's privileges
    clone3    the new ones, so that a new user namespace owns all others
    parent    uid_map, gid_map
    child     the new ids' root; setns for the others; a cgroup namespace, rooted where the child is; in a user namespace that
              of IPC, whose message queues belong to who makes it

A mount namespace that isn't the container's own, joined by path or the runtime's, is the last to be entered (mounts.move_in).
"""

from __future__ import annotations

import os

from ...errors import NotSupported
from ...linux import flags, plan
from .context import IDS_MAPPED, JOINED, LENDER, MOUNTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...linux.plan import Operation
    from ..spec import IdMapping, Namespace, Spec
    from .context import Context

_HOLD_FOR_CHILDREN = ("pid", "user", "time")


def clone_flags(spec: Spec) -> int:
    """New namespaces from birth, but for those that the child makes itself (`late_ones`).

    Mounts are made in a new one always, whatever namespace the container lives in at last.
    """
    wanted = flags.CLONE_NEWNS
    for namespace in spec.linux.namespaces:
        if not namespace.path:
            wanted |= flags.NAMESPACES[namespace.kind]
    wanted &= ~_late_flags(spec)
    if spec.linux.time_offsets:
        wanted &= ~flags.CLONE_NEWTIME  # made ahead: its clocks can be set only as long as it has no process
    return wanted


def prepare(context: Context) -> Iterator[Operation]:
    """Open what is joined, set the clocks of what is new."""
    for place, namespace in enumerate(_joined(context)):
        inherited = context.placement.namespaces.get(namespace.kind)
        if inherited is not None:
            yield plan.take(JOINED + place, inherited)
        else:
            yield plan.open_(JOINED + place, plan.HOST, namespace.path, os.O_RDONLY)
    if any(mount.of_lender for mount in context.spec.mounts):
        yield plan.take(LENDER, context.placement.namespaces["mount"])
    if not context.has_own_mounts:
        yield plan.open_(MOUNTS, plan.HOST, _path_of_mounts(context), os.O_RDONLY)
    if offsets := context.spec.linux.time_offsets:
        lines = "".join(f"{item.clock} {item.seconds} {item.nanoseconds}\n" for item in offsets)
        yield plan.unshare(flags.CLONE_NEWTIME)
        yield plan.write(plan.HOST, "/proc/self/timens_offsets", lines)
    adjustment = context.spec.process.oom_score_adjustment
    if context.in_user_namespace and adjustment is not None:
        yield plan.oom_score(adjustment)  # inherited: the child may not write its own file


def _path_of_mounts(context: Context) -> str:
    """Give the mount namespace that isn't the container's own. config-linux.md, Namespaces: without a type, the runtime's."""
    for namespace in context.spec.linux.namespaces:
        if namespace.kind == "mount":
            return namespace.path
    if context.in_user_namespace:
        raise NotSupported(
            "a container with a user namespace needs a mount namespace: from within it can't go back to the runtime's"
        )
    return "/proc/self/ns/mnt"


def _joined(context: Context) -> list[Namespace]:
    """Give the namespaces by path, that of users last: it costs the privileges that the others take."""
    joined = [item for item in context.spec.linux.namespaces if item.path and item.kind != "mount"]
    return sorted(joined, key=lambda item: item.kind == "user")


def _are_entered(context: Context) -> bool:
    """Does a helper join, instead of the child itself? Devices move to where the child is: it has to be born there."""
    kinds = [item.kind for item in _joined(context)]
    if "network" in kinds and context.spec.linux.net_devices:
        return True
    return bool(kinds) and (context.in_user_namespace or any(kind in _HOLD_FOR_CHILDREN for kind in kinds))


def enter(context: Context) -> Iterator[Operation]:
    """The helper's way in."""
    if _are_entered(context):
        yield from _join(context)


def _join(context: Context) -> Iterator[Operation]:
    for place, namespace in enumerate(_joined(context)):
        yield plan.setns(JOINED + place, flags.NAMESPACES[namespace.kind])


def map_ids(context: Context) -> Iterator[Operation]:
    """The parent's part of a new user namespace."""
    if context.spec.linux.has_new("user"):
        linux = context.spec.linux
        yield plan.id_map(map_lines(linux.uid_mappings), map_lines(linux.gid_mappings))
        yield plan.sync(IDS_MAPPED)


def map_lines(mappings: Iterable[IdMapping]) -> str:
    """Give the text of uid_map or gid_map. user_namespaces(7)."""
    return "".join(f"{item.container_id} {item.host_id} {item.size}\n" for item in mappings)


def become_root_inside(context: Context) -> Iterator[Operation]:
    """Files that are made from here on belong to the namespace's root: the host's may have no number in it."""
    if context.spec.linux.has_new("user"):
        yield plan.sync(IDS_MAPPED)
    if context.in_user_namespace:
        yield plan.identity(0, 0, ())


def join(context: Context) -> Iterator[Operation]:
    """Before everything else: mounts of proc, sys and mqueue show the namespaces of who makes them."""
    if not _are_entered(context):
        yield from _join(context)


def late_ones(context: Context) -> Iterator[Operation]:
    """Make the namespaces that would take something of the parent's from clone3."""
    if wanted := _late_flags(context.spec):
        yield plan.unshare(wanted)


def _late_flags(spec: Spec) -> int:
    """Give the namespaces that are made by the child.

    It is in its cgroup from birth, so a cgroup namespace made now has that as its root. And a namespace of IPC gives its message
    queues to the user who makes it: by now that is root of the user namespace, in which the host's has no number.
    """
    linux = spec.linux
    wanted = flags.CLONE_NEWCGROUP if linux.has_new("cgroup") else 0
    if linux.has_new("ipc") and any(item.kind == "user" for item in linux.namespaces):
        wanted |= flags.CLONE_NEWIPC
    return wanted


def names(context: Context) -> Iterator[Operation]:
    """Names of a UTS namespace of the container's own."""
    if context.spec.linux.has_new("uts"):
        if context.spec.hostname:
            yield plan.hostname(context.spec.hostname)
        if context.spec.domainname:
            yield plan.domainname(context.spec.domainname)
