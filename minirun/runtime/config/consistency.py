"""Rules between sections: what one of them asks for needs a namespace that another one names.

Owns: those rules. Leaves to others: each section by itself. A namespace counts whether it is new or joined by path.

Without its namespace each of these would change the host instead of the container, or nothing at all. The sources are
the specification (idmap) and what runc and crun refuse.
"""

from __future__ import annotations

from ...errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..spec import Spec


def check(spec: Spec) -> None:
    """Raise InvalidInput, naming the path of what can't be."""
    linux = spec.linux
    kinds = {item.kind for item in linux.namespaces}
    for asked, path, kind in (
        (spec.hostname, "hostname", "uts"),
        (spec.domainname, "domainname", "uts"),
        (linux.time_offsets, "linux.timeOffsets", "time"),
        (linux.net_devices, "linux.netDevices", "network"),
        (linux.masked_paths, "linux.maskedPaths", "mount"),
        (linux.readonly_paths, "linux.readonlyPaths", "mount"),
    ):
        if asked and kind not in kinds:
            raise InvalidInput(f"{path}: needs a {kind} namespace in linux.namespaces")
    if linux.time_offsets and not linux.has_new("time"):
        raise InvalidInput(
            "linux.timeOffsets: the clocks of a time namespace that is joined by path can't be set any more"
        )
    for index, mount in enumerate(spec.mounts):
        if mount.id_map and not mount.uid_mappings and "user" not in kinds:
            raise InvalidInput(
                f"mounts[{index}].options: {mount.id_map} needs uidMappings and gidMappings there, or a user namespace"
            )
