"""`linux`: namespaces, mappings of ids, devices, paths that are hidden, and the rest that only Linux has.

Owns: config-linux.md, but for cgroups (resources.py), kernel parameters (sysctl.py) and seccomp (seccomp.py).
Leaves to others: rules between sections (consistency.py); the devices that every container gets (runtime/compile).
"""

from __future__ import annotations

from os.path import normpath

from ...errors import InvalidInput, NotSupported
from ...linux import flags
from ..spec import CLOCKS, DeviceNode, Linux, MemoryPolicy, Namespace, NetDevice, Resources, TimeOffset
from .mounts import mappings
from .reader import INT64, MAX_ID, UINT32, shown
from .resources import resources
from .scheduling import number_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reader import Section

_MAJOR_MAX, _MINOR_MAX = (1 << 12) - 1, (1 << 20) - 1  # the kernel's dev_t; mknod(2) drops the bits above
_INTERFACE_MAX = 15  # IFNAMSIZ without its NUL
_NODES_MAX = 1024  # MAX_NUMNODES

_PERSONALITIES = {"LINUX": 0x0000, "LINUX32": 0x0008}  # personality(2)

# linux/mempolicy.h
MEMORY_MODES = {
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
_MODES_WITHOUT_NODES = ("MPOL_DEFAULT", "MPOL_LOCAL")
_MODES_WITH_NODES = ("MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_PREFERRED_MANY", "MPOL_WEIGHTED_INTERLEAVE")
MEMORY_FLAGS = {"MPOL_F_STATIC_NODES": 1 << 15, "MPOL_F_RELATIVE_NODES": 1 << 14, "MPOL_F_NUMA_BALANCING": 1 << 13}


def linux(document: Section) -> Linux:
    """Read the section. NotSupported for Intel RDT, which needs a processor and a file system of its own."""
    section = document.section("linux")
    if section is None:
        return Linux()
    if section.has("intelRdt"):
        raise NotSupported(f"{section.at('intelRdt')}: Intel RDT isn't supported")
    namespaces = _namespaces(section)
    has_users = any(item.kind == "user" for item in namespaces)
    uids, gids = mappings(section, "uidMappings"), mappings(section, "gidMappings")
    limits = section.section("resources")
    return Linux(
        namespaces=namespaces,
        uid_mappings=uids if has_users else (),  # of no use, and no harm, without
        gid_mappings=gids if has_users else (),
        devices=tuple([_device(item) for item in section.sections("devices")]),
        cgroups_path=_cgroups_path(section),
        resources=resources(limits) if limits else Resources(),
        sysctl=_sysctl(section, namespaces),
        masked_paths=_masked_paths(section),
        readonly_paths=_absolute_paths(section, "readonlyPaths"),
        rootfs_propagation=_propagation(section),
        personality=_personality(section),
        memory_policy=_memory_policy(section),
        net_devices=_net_devices(section),
        time_offsets=_time_offsets(section),
        mount_label=section.line("mountLabel"),
    )


def _namespaces(section: Section) -> tuple[Namespace, ...]:
    found: dict[str, Namespace] = {}
    for item in section.sections("namespaces"):
        item.required_choice("type", flags.NAMESPACES)
        kind = item.text("type")
        if kind in found:
            raise item.wrong("type", f"the {kind} namespace is there already")
        found[kind] = Namespace(kind=kind, path=item.absolute_path("path") if item.text("path") else "")
    return tuple(found.values())


def _sysctl(section: Section, namespaces: tuple[Namespace, ...]) -> dict[str, str]:
    if not section.has("sysctl"):
        return {}
    from .sysctl import sysctl

    return sysctl(section, namespaces)


def _device(item: Section) -> DeviceNode:
    kind = item.required_text("type")
    if kind not in ("b", "c", "p", "u"):
        raise item.wrong("type", f"must be one of b c p u, not {shown(kind)}")
    numbered = kind != "p"
    # Some engines leave the bits of the kind in the mode, as stat(2) gives it.
    mode = item.number("fileMode", 0, UINT32)
    return DeviceNode(
        path=normpath(item.absolute_path("path")),
        kind=kind,
        major=item.required_number("major", 0, _MAJOR_MAX) if numbered else 0,
        minor=item.required_number("minor", 0, _MINOR_MAX) if numbered else 0,
        mode=0o666 if mode is None else mode & 0o7777,
        uid=item.number("uid", 0, MAX_ID) or 0,
        gid=item.number("gid", 0, MAX_ID) or 0,
    )


def _cgroups_path(section: Section) -> str:
    """Read the path, or slice:prefix:name for systemd. Steps up are refused: who hands a path on may have put it together."""
    path = section.line("cgroupsPath")
    if ".." in path.split("/"):
        raise section.wrong("cgroupsPath", f"must not contain ..: {shown(path)}")
    return path


def _absolute_paths(section: Section, key: str) -> tuple[str, ...]:
    """Read paths; whatever names the root lexically is "/"."""
    paths = section.texts(key)
    for index, path in enumerate(paths):
        if not path.startswith("/"):
            raise section.wrong(key, f"must be an absolute path, not {shown(path)}", index)
    return tuple(["/" if normpath(path) in ("/", "//") else path for path in paths])


def _masked_paths(section: Section) -> tuple[str, ...]:
    paths = _absolute_paths(section, "maskedPaths")
    if "/" in paths:
        raise section.wrong("maskedPaths", "must not be /: nothing can be laid over the root itself", paths.index("/"))
    return paths


def _propagation(section: Section) -> int:
    return section.required_choice("rootfsPropagation", flags.PROPAGATIONS) if section.text("rootfsPropagation") else 0


def _personality(section: Section) -> int | None:
    """Read the execution domain. The specification defines no flags yet."""
    item = section.section("personality")
    if item is None:
        return None
    if names := item.texts("flags"):
        raise item.wrong("flags", f"there is no flag {shown(names[0])}", 0)
    return item.required_choice("domain", _PERSONALITIES)


def _memory_policy(section: Section) -> MemoryPolicy | None:
    """Read the NUMA policy; what goes with what is in set_mempolicy(2)."""
    item = section.section("memoryPolicy")
    if item is None:
        return None
    mode, bits = item.required_choice("mode", MEMORY_MODES), item.flags("flags", MEMORY_FLAGS)
    name, nodes = item.text("mode"), number_list(item, "nodes", _NODES_MAX)
    if nodes and name in _MODES_WITHOUT_NODES:
        raise item.wrong("nodes", f"{name} takes none")
    if not nodes and name in _MODES_WITH_NODES:
        raise item.wrong("nodes", f"{name} needs at least one")
    return MemoryPolicy(mode=mode | bits, nodes=nodes)


def _net_devices(section: Section) -> tuple[NetDevice, ...]:
    """Read the devices that move into the container. One "%d" in the new name has the kernel choose a number."""
    found: list[NetDevice] = []
    for name, item in section.named_sections("netDevices"):
        inside = item.text("name") or name
        if not _is_interface(name) or "%" in name:
            raise InvalidInput(f"{item.path}: that can't be the name of a network device")
        if not _is_interface(inside) or inside.replace("%d", "", 1).count("%"):
            raise item.wrong("name", f"{shown(inside)} can't be the name of a network device")
        if "%" not in inside and any(other.inside == inside for other in found):
            raise item.wrong("name", f"another device is called {inside} already")
        found.append(NetDevice(name=name, inside=inside))
    return tuple(found)


def _is_interface(name: str) -> bool:
    """Can a network device be called that? dev_valid_name() of the kernel; and nothing that isn't visible."""
    if not name.isprintable() or len(name.encode()) > _INTERFACE_MAX or name in (".", ".."):
        return False
    return not any(character in "/:" or character.isspace() for character in name)


def _time_offsets(section: Section) -> tuple[TimeOffset, ...]:
    found = []
    for clock, item in section.named_sections("timeOffsets"):
        if clock not in CLOCKS:
            raise InvalidInput(f"{item.path}: only the clocks monotonic and boottime have offsets")
        found.append(
            TimeOffset(
                clock=clock,
                seconds=item.number("secs", -INT64 - 1, INT64) or 0,
                nanoseconds=item.number("nanosecs", 0, 999_999_999) or 0,
            )
        )
    return tuple(found)
