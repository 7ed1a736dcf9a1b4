"""A configuration that is right, and a way to change one thing about it.

Owns: `EXAMPLE`, which has about what `runc spec` prints, and `refusal`. Leaves to others: what is expected of a change.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from minirun.errors import InvalidInput, NotSupported
from minirun.runtime import config
from minirun.runtime.spec import Spec

_USUAL = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]

EXAMPLE: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "process": {
        "terminal": True,
        "consoleSize": {"height": 25, "width": 80},
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {"bounding": _USUAL, "effective": _USUAL, "permitted": _USUAL},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 512}],
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": True},
    "hostname": "box",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/data", "type": "none", "source": "volume", "options": ["rbind", "rw", "rslave"]},
    ],
    "linux": {
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
        "maskedPaths": ["/proc/kcore", "/sys/firmware"],
        "readonlyPaths": ["/proc/sys"],
    },
}


def changed(path: str, value: object) -> dict[str, Any]:
    """Give the example with one value replaced: "linux.namespaces.0.type"."""
    document = copy.deepcopy(EXAMPLE)
    *way, last = path.split(".")
    place: Any = document
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    if isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return document


def with_(path: str, value: object) -> Spec:
    """Read the example with one value replaced."""
    return read(changed(path, value))


def read(document: object) -> Spec:
    return config.parse(json.dumps(document).encode())[0]


def refusal(path: str, value: object) -> str:
    """Give what is said about the example with one value replaced."""
    with pytest.raises((InvalidInput, NotSupported)) as caught:
        with_(path, value)
    message = str(caught.value)
    assert message.isprintable(), message
    return message
