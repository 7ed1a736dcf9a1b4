"""Control groups, version 2: one directory per container, its limits, its numbers, its end.

    hierarchy    the tree of this host, and the engine's directory in it
    container    the cgroup of a bundle's container, with either driver
    making       making it, changing what it allows
    placement    where that lies
    systemd      the driver that asks systemd; its properties, and as much D-Bus as that takes (dbus)
    controllers  enabling controllers, writing limits
    limits       what the specification's resources are in files of version 2
    cpus         lists of CPUs and memory nodes
    members      the processes in a cgroup and beneath: listed, frozen, killed; removal
    stats        its numbers
    files        one file of a cgroup: read, written, waited for

Names are imported when they are first used: each import is paid for by every start. Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .container import ContainerCgroup as ContainerCgroup
    from .cpus import check_cpus as check_cpus
    from .cpus import parse_cpu_list as parse_cpu_list
    from .hierarchy import Cgroup as Cgroup
    from .hierarchy import Hierarchy as Hierarchy
    from .limits import settings_of as settings_of
    from .limits import weight_of as weight_of

_HOMES = {
    "Cgroup": "hierarchy",
    "ContainerCgroup": "container",
    "Hierarchy": "hierarchy",
    "check_cpus": "cpus",
    "parse_cpu_list": "cpus",
    "settings_of": "limits",
    "weight_of": "limits",
}
__all__ = ["Cgroup", "ContainerCgroup", "Hierarchy", "check_cpus", "parse_cpu_list", "settings_of", "weight_of"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import__(f"{__name__}.{home}", fromlist=[name]), name)
