"""What this runtime supports, as the specification's features document has it, whatever the host has.

Owns: the document. Every list in it comes from the table that is used when a container is made. Leaves to others: those
tables. opencontainers/runtime-spec, features.md and features-linux.md.
"""

from __future__ import annotations

from .. import __version__
from ..linux import flags
from . import capabilities, seccomp
from .cgroups.properties import ANNOTATION as PROPERTY_ANNOTATION
from .config.linux import MEMORY_FLAGS, MEMORY_MODES
from .config.mount_options import names as mount_options
from .config.seccomp import ARCHITECTURES
from .spec import Hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_OLDEST = "1.0.0"
_NEWEST = (
    "1.3.0"  # netDevices and memoryPolicy came with it; a document must not hold what its newest version doesn't know
)


def features() -> dict[str, Any]:
    """Give the document."""
    return {
        "ociVersionMin": _OLDEST,
        "ociVersionMax": _NEWEST,
        "hooks": [_camel_case(field) for field in Hooks._fields],
        "mountOptions": list(mount_options()),
        "linux": _linux(),
        "annotations": {
            "io.minirun.version": __version__,
            "org.opencontainers.runc.checkpoint.enabled": "false",
        },
        # An engine that passes on what its users annotate has to know: these name files and sockets of the host, keep groups of
        # the caller, set properties of units. The last dot makes a prefix of it.
        "potentiallyUnsafeConfigAnnotations": [PROPERTY_ANNOTATION, "run.oci."],
    }


def _linux() -> dict[str, Any]:
    return {
        "namespaces": sorted(flags.NAMESPACES),
        "capabilities": list(capabilities.names(capabilities.ALL)),
        "cgroup": {"v1": False, "v2": True, "systemd": True, "systemdUser": False, "rdma": True},
        "seccomp": {
            "enabled": True,
            "actions": sorted(seccomp.ACTIONS),
            "operators": sorted(seccomp.OPERATORS),
            "archs": sorted(ARCHITECTURES),
            "knownFlags": sorted(seccomp.FLAGS),
            "supportedFlags": sorted(seccomp.FLAGS),
        },
        "apparmor": {"enabled": True},
        "selinux": {"enabled": True},
        "memoryPolicy": {"modes": list(MEMORY_MODES), "flags": sorted(MEMORY_FLAGS)},
        "intelRdt": {"enabled": False},
        "mountExtensions": {"idmap": {"enabled": True}},
        "netDevices": {"enabled": True},
    }


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
