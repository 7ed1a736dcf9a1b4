"""What this host offers and what it lacks, as `minirun info` shows it.

Owns: `info` and `version`. Leaves to others: how it is printed (cli/). Costs imports that a start doesn't pay.
"""

from __future__ import annotations

import os
import sys
import time

from ..images.credentials import HUB
from ..units import rfc3339
from .inspect import RUNTIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .engine import Engine

LIMIT_CONTROLLERS = {
    "memory": "--memory",
    "cpu": "--cpus, --cpu-shares",
    "cpuset": "--cpuset-cpus",
    "pids": "--pids-limit",
}


def info(engine: Engine) -> dict[str, Any]:
    """Give names and values in docker's words where docker has one, and `Warnings`: what a user may miss on this host.

    One literal, in docker's order: it is read beside docker's own answer.
    """
    from .. import __version__

    rows = engine.rows.all()
    by_status = {
        state: sum(row.state == state for row in rows)
        for state in ("running", "paused", "restarting", "exited", "created")
    }
    system = os.uname()
    controllers = engine.hierarchy.controllers()
    return {
        "ID": engine.layout.tag(),
        "ServerVersion": __version__,
        "Containers": len(rows),
        "ContainersRunning": by_status["running"] + by_status["restarting"],
        "ContainersPaused": by_status["paused"],
        "ContainersStopped": by_status["exited"] + by_status["created"],
        "Images": len(engine.images.list()),
        "Driver": "overlay",
        "LoggingDriver": "json-file",
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "none"],
            "Log": ["json-file", "local", "none"],
        },
        "Swarm": {"NodeID": "", "LocalNodeState": "inactive", "ControlAvailable": False},
        "Runtimes": {RUNTIME: {"path": "minirun-oci"}},
        "DefaultRuntime": RUNTIME,
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
        "LiveRestoreEnabled": True,  # nothing of minirun has to run for a container to run
        "IndexServerAddress": HUB,
        "Labels": [],
        "Debug": False,
        "MemoryLimit": "memory" in controllers,
        "SwapLimit": "memory" in controllers,
        "CpuCfsPeriod": "cpu" in controllers,
        "CpuCfsQuota": "cpu" in controllers,
        "CPUShares": "cpu" in controllers,
        "CPUSet": "cpuset" in controllers,
        "PidsLimit": "pids" in controllers,
        "SystemTime": rfc3339(time.time_ns()),
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "2",
        "CgroupMode": "hybrid" if engine.hierarchy.hybrid else "unified",
        "CgroupControllers": list(controllers),
        "KernelVersion": system.release,
        "OperatingSystem": _operating_system(),
        "OSType": "linux",
        "Architecture": system.machine,
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "Name": system.nodename,
        "DockerRootDir": engine.layout.root,
        "RunRoot": engine.layout.run_root,
        "PythonVersion": sys.version.split()[0],
        "Warnings": _warnings(engine, controllers),
    }


def _warnings(engine: Engine, controllers: tuple[str, ...]) -> list[str]:
    warnings = [
        f"no {controller!r} controller in the cgroup v2 tree: {options} will be refused"
        for controller, options in LIMIT_CONTROLLERS.items()
        if controller not in controllers
    ]
    return warnings + list(engine.networks.warnings())


def _operating_system() -> str:
    try:
        with open("/etc/os-release", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("PRETTY_NAME="):
                    return line.partition("=")[2].strip().strip('"')
    except OSError:
        pass
    return "Linux"
