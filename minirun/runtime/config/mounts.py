"""`root` and `mounts`: what the container sees as its file systems.

Owns: config.md, "Root" and "Mounts", but for the options (mount_options.py).
Leaves to others: what is relative to the bundle (`Root.path`, the source of a bind mount: both are kept as they were
written), whether a source is there and is a directory (runtime/compile).

A destination is made absolute and loses "." and "..", lexically, as runc does it: a mount on "/x/../proc" is the mount
on /proc, and is treated as that. Links on the way are the business of whoever opens it, beneath the root.
"""

from __future__ import annotations

from os.path import normpath

from ...errors import InvalidInput
from ..spec import IdMapping, Mount, Root
from .mount_options import parse_mount_options
from .reader import UINT32, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reader import Section


def root(document: Section) -> Root:
    section = document.required_section("root")
    return Root(path=section.required_text("path"), read_only=section.flag("readonly"))


def mounts(document: Section, container: tuple[tuple[IdMapping, ...], tuple[IdMapping, ...]]) -> tuple[Mount, ...]:
    """Read the mounts, in their order. `container` are the uid and gid mappings of its user namespace."""
    return tuple([_mount(item, *container) for item in document.sections("mounts")])


def mappings(section: Section, key: str) -> tuple[IdMapping, ...]:
    """Read ranges of ids. user_namespaces(7): none of them may be empty, or go beyond the last id."""
    found = []
    for item in section.sections(key):
        mapping = IdMapping(
            container_id=item.required_number("containerID", 0, UINT32),
            host_id=item.required_number("hostID", 0, UINT32),
            size=item.required_number("size", 1, UINT32),
        )
        if max(mapping.container_id, mapping.host_id) + mapping.size > UINT32:
            raise item.wrong("size", f"the range goes beyond the last id, {UINT32 - 1}")
        found.append(mapping)
    return tuple(found)


def _mount(item: Section, container_uids: tuple[IdMapping, ...], container_gids: tuple[IdMapping, ...]) -> Mount:
    destination = "/" + normpath("/" + item.required_text("destination")).lstrip("/")
    kind, source = item.text("type"), item.text("source")
    if destination == "/" and "remount" not in item.texts("options"):
        raise item.wrong("destination", "must not be /: the root file system is mounted there")
    words = item.texts("options")
    try:
        options = parse_mount_options(words, kind, container_uids, container_gids)
    except InvalidInput as error:
        raise item.wrong("options", str(error)) from error
    if options.type == "bind" and not source and not options.remount:
        raise item.wrong("source", f"is missing: what shall be bound to {shown(destination)}?")
    if not options.type and not options.remount:
        raise item.wrong("type", f"is missing: what shall be mounted on {shown(destination)}?")
    uids = mappings(item, "uidMappings") or options.uid_mappings
    gids = mappings(item, "gidMappings") or options.gid_mappings
    if bool(uids) != bool(gids):
        raise item.wrong("gidMappings" if uids else "uidMappings", "is missing: one kind of mapping needs the other")
    id_map = options.id_map or ("idmap" if uids else "")
    return Mount(
        destination=destination,
        source=source,
        id_map=id_map,
        uid_mappings=uids,
        gid_mappings=gids,
        **{name: getattr(options, name) for name in _SHARED},
    )


_SHARED = (
    "type",
    "data",
    "attributes",
    "cleared",
    "tree_attributes",
    "tree_cleared",
    "recursive",
    "propagation",
    "copy_up",
    "remount",
    "copy_symlink",
    "source_nofollow",
    "destination_nofollow",
)
