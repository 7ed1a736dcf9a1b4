"""Where a container's cgroup lies: what `linux.cgroupsPath` means to each driver.

Owns: these rules, and the names of systemd's units. Leaves to others: making it (container, systemd).

cgroupfs, config-linux.md "Cgroups Path":

    /a/b        below the mount point of the tree
    a/b         beside the cgroup that this process is in: that one has processes, so nothing with controllers can lie in it
    (none)      /ID

systemd, as runc and crun read it:

    SLICE:PREFIX:NAME    the scope PREFIX-NAME.scope in SLICE; a NAME that ends with .slice is a slice of its own
    (none)               :minirun:ID
    SLICE                empty is system.slice, "-" or "-.slice" the root; a-b.slice lies in a.slice (systemd.slice(5))

The path comes from config.json, which is trusted, and still: ".." names nothing here, so it is refused.
"""

from __future__ import annotations

from ...errors import InvalidInput
from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .hierarchy import Hierarchy

_UNIT_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@")


def directory_of(hierarchy: Hierarchy, cgroups_path: str, container_id: str, own: str = "") -> str:
    """Give the directory for the cgroupfs driver. `own` is this process's cgroup, found out when it isn't given. InvalidInput."""
    path = cgroups_path or f"/{container_id}"
    if "\0" in path or "\n" in path or ".." in path.split("/"):
        raise InvalidInput(f"cgroupsPath: {path[:256]!r} isn't the path of a cgroup")
    if not path.startswith("/"):
        path = f"{(own or own_cgroup()).rpartition('/')[0]}/{path}"
    components = [component for component in path.split("/") if component not in ("", ".")]
    if not components:
        raise InvalidInput("cgroupsPath: the root of all cgroups can't be a container's")
    return "/".join((hierarchy.mountpoint, *components))


def own_cgroup(file: str = "/proc/self/cgroup") -> str:
    """Give this process's place in the version 2 tree, "/" for its root; on a hybrid host too. cgroups(7), /proc/pid/cgroup.

    Seen from a cgroup namespace that this process has left, the place begins with "/..": then the root has to do.
    """
    for line in files.read(file).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            path = path.removesuffix(" (deleted)")
            return "/" if ".." in path.split("/") else path
    return "/"


def unit_of(cgroups_path: str, container_id: str) -> tuple[str, str]:
    """Give slice and unit for the systemd driver: ("system.slice", "minirun-ID.scope"). InvalidInput."""
    parts = (cgroups_path or f":minirun:{container_id}").split(":")
    if len(parts) != 3:
        raise InvalidInput(
            f'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got {cgroups_path[:256]!r} instead'
        )
    slice_name, prefix, name = parts
    slice_name = {"": "system.slice", "-": "-.slice"}.get(slice_name, slice_name)
    expand_slice(slice_name)
    unit = name if name.endswith(".slice") else f"{prefix}-{name}.scope" if prefix else f"{name}.scope"
    if unit.endswith(".slice"):
        expand_slice(unit)
    if not name or len(unit) > 255 or not set(unit) <= _UNIT_LETTERS:
        raise InvalidInput(f"cgroupsPath: {unit[:256]!r} can't be the name of a systemd unit")
    return slice_name, unit


def expand_slice(name: str) -> str:
    """Give the path of a slice: "a-b.slice" -> "/a.slice/a-b.slice", "-.slice" -> "". InvalidInput. systemd.slice(5)."""
    stem = name.removesuffix(".slice")
    if name == "-.slice":
        return ""
    steps = stem.split("-")
    if stem == name or "" in steps or len(name) > 255 or not set(name) <= _UNIT_LETTERS - {":"}:
        raise InvalidInput(f"cgroupsPath: {name[:256]!r} isn't the name of a systemd slice")
    return "".join(f"/{'-'.join(steps[: count + 1])}.slice" for count in range(len(steps)))


def directory_of_unit(hierarchy: Hierarchy, slice_name: str, unit: str) -> str:
    """Give the directory that systemd makes for a unit."""
    if unit.endswith(".slice"):  # its name alone says where it lies
        return hierarchy.mountpoint + expand_slice(unit)
    return f"{hierarchy.mountpoint}{expand_slice(slice_name)}/{unit}"
