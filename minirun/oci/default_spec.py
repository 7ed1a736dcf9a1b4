"""The configuration that `spec` writes: a shell with few capabilities, to be edited.

Owns: its JSON, which is runc's starter file but for the version, the host name, a cgroup namespace, and more paths that are
hidden. Leaves to others: reading it back (runtime/config).
"""

from __future__ import annotations

import os

from ..runtime.spec import MASKED_PATHS, READONLY_PATHS, SPECIFICATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
_CLOSED = ("nosuid", "noexec", "nodev")


def default_spec(hostname: str, *, rootless: bool) -> dict[str, Any]:
    """Give the object. A rootless one maps this process's user to root and leaves alone what only root can have."""
    kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    linux: dict[str, Any] = {"resources": {"devices": [{"allow": False, "access": "rwm"}]}}
    if rootless:
        kinds[1] = "user"  # a network namespace of one's own would have nothing but an idle loopback
        linux = {"uidMappings": _only(os.geteuid()), "gidMappings": _only(os.getegid())}
    linux |= {
        "namespaces": [{"type": kind} for kind in kinds],
        "maskedPaths": list(MASKED_PATHS),
        "readonlyPaths": list(READONLY_PATHS),
    }
    return {
        "ociVersion": SPECIFICATION,
        "process": _process(),
        "root": {"path": "rootfs", "readonly": True},
        "hostname": hostname,
        "mounts": _mounts(rootless),
        "linux": linux,
    }


def _only(host_id: int) -> list[dict[str, int]]:
    return [{"containerID": 0, "hostID": host_id, "size": 1}]


def _process() -> dict[str, Any]:
    sets = ("bounding", "effective", "permitted", "ambient")
    return {
        "terminal": True,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {name: list(_CAPABILITIES) for name in sets},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": True,
    }


def _mounts(rootless: bool) -> list[dict[str, Any]]:
    terminals = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    sys = _mount("/sys", "sysfs", "sysfs", *_CLOSED, "ro")
    if rootless:  # sysfs belongs to the network namespace, which is the host's
        sys = _mount("/sys", "none", "/sys", "rbind", *_CLOSED, "ro")
    else:
        terminals.append("gid=5")
    return [
        _mount("/proc", "proc", "proc"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount("/dev/pts", "devpts", "devpts", *terminals),
        _mount("/dev/shm", "tmpfs", "shm", *_CLOSED, "mode=1777", "size=65536k"),  # noqa: S108 -- in the container
        _mount("/dev/mqueue", "mqueue", "mqueue", *_CLOSED),
        sys,
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", *_CLOSED, "relatime", "ro"),
    ]


def _mount(destination: str, type: str, source: str, *options: str) -> dict[str, Any]:
    mount: dict[str, Any] = {"destination": destination, "type": type, "source": source}
    return mount | {"options": list(options)} if options else mount
