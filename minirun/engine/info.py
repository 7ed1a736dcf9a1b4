"""What this host offers and what it lacks, as `minirun info` shows it.

Owns: `info`. Leaves to others: how it is printed (cli/). Costs imports that a start doesn't pay.
"""

from __future__ import annotations

import os
import sys
import time

from ..errors import MinirunError
from ..images.credentials import HUB
from ..images.registries import Registries
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
    system, release = os.uname(), _release()
    controllers = engine.hierarchy.controllers()
    registries, damage = _registries()
    return {
        "ID": engine.layout.tag(),
        "ServerVersion": __version__,
        "Containers": len(rows),
        "ContainersRunning": by_status["running"] + by_status["restarting"],
        "ContainersPaused": by_status["paused"],
        "ContainersStopped": by_status["exited"] + by_status["created"],
        "Images": len(engine.images.list()),
        "Driver": "overlay",
        "DriverStatus": _backing(engine.layout.root),
        "LoggingDriver": "json-file",
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "none"],
            "Authorization": None,
            "Log": ["json-file", "local", "none"],
        },
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
        "Runtimes": {RUNTIME: {"path": "minirun-oci"}},
        "DefaultRuntime": RUNTIME,
        "InitBinary": "",  # --init is the first process of ours, not a program in the container
        # None of these three has any part in it; what docker says where it doesn't know.
        **{name: {"ID": "N/A"} for name in ("ContainerdCommit", "RuncCommit", "InitCommit")},
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
        "LiveRestoreEnabled": True,  # nothing of minirun has to run for a container to run
        "IndexServerAddress": HUB,
        "RegistryConfig": registries,
        "Labels": [],
        "Debug": False,
        "ExperimentalBuild": False,
        "Isolation": "",
        "GenericResources": None,
        "CDISpecDirs": None,
        # Of a daemon, and there is none.
        "NFd": 0,
        "NGoroutines": 0,
        "NEventsListener": 0,
        "HttpProxy": _proxy("HTTP_PROXY"),
        "HttpsProxy": _proxy("HTTPS_PROXY"),
        "NoProxy": _proxy("NO_PROXY"),
        "MemoryLimit": "memory" in controllers,
        "SwapLimit": "memory" in controllers,
        "CpuCfsPeriod": "cpu" in controllers,
        "CpuCfsQuota": "cpu" in controllers,
        "CPUShares": "cpu" in controllers,
        "CPUSet": "cpuset" in controllers,
        "PidsLimit": "pids" in controllers,
        "OomKillDisable": False,  # cgroup v2 has no such thing
        "IPv4Forwarding": _forwards(),
        "SystemTime": rfc3339(time.time_ns()),
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "2",
        "CgroupMode": "hybrid" if engine.hierarchy.hybrid else "unified",
        "CgroupControllers": list(controllers),
        "KernelVersion": system.release,
        "OperatingSystem": release.get("PRETTY_NAME", "Linux"),
        "OSVersion": release.get("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": system.machine,
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "Name": system.nodename,
        "DockerRootDir": engine.layout.root,
        "RunRoot": engine.layout.run_root,
        "PythonVersion": sys.version.split()[0],
        "Warnings": _warnings(engine, controllers) + damage,
    }


def _warnings(engine: Engine, controllers: tuple[str, ...]) -> list[str]:
    warnings = [
        f"no {controller!r} controller in the cgroup v2 tree: {options} will be refused"
        for controller, options in LIMIT_CONTROLLERS.items()
        if controller not in controllers
    ]
    return warnings + list(engine.networks.warnings())


def _release() -> dict[str, str]:
    """Read what the distribution says of itself. os-release(5)"""
    found = {}
    try:
        with open("/etc/os-release", encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.strip().partition("=")
                found[name] = value.strip("\"'")
    except OSError:
        pass
    return found


def _backing(root: str) -> list[list[str]] | None:
    """Name the file system that the layers lie on, in docker's pairs; None where the host doesn't tell. proc_pid_mountinfo(5)"""
    number = os.stat(root).st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            if fields.split(" ")[2] == device:
                name = rest.split(" ")[0]
                return [
                    ["Backing Filesystem", "extfs" if name.startswith("ext") else name]
                ]  # docker's word for all three
    return None  # a btrfs subvolume has a number of its own


def _registries() -> tuple[dict[str, Any], list[str]]:
    """Give what is configured of registries, and what is wrong with that."""
    try:
        mirrors, insecure = Registries().configured()
    except MinirunError as error:
        return _registry_config([], []), [str(error)]
    return _registry_config(mirrors, insecure), []


def _registry_config(mirrors: list[str], insecure: list[str]) -> dict[str, Any]:
    hub = {"Mirrors": mirrors, "Name": "docker.io", "Official": True, "Secure": True}
    local = ["::1/128", "127.0.0.0/8"]
    return {"IndexConfigs": {"docker.io": hub}, "InsecureRegistryCIDRs": [*local, *insecure], "Mirrors": mirrors}


def _proxy(name: str) -> str:
    """Give the proxy that `pull` and `push` use: the caller's environment is theirs."""
    return os.environ.get(name.lower()) or os.environ.get(name, "")


def _forwards() -> bool:
    try:
        with open("/proc/sys/net/ipv4/ip_forward", encoding="ascii") as file:
            return file.read().strip() == "1"
    except OSError:
        return False
