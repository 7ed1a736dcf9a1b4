"""`minirun info`: what this host offers and what is missing."""

from __future__ import annotations

from ...output import warn
from ...units import binary_size
from ..about import client_info
from ..describe import say_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    with invocation.engine() as engine:
        facts = {**engine.info(), "ClientInfo": client_info()}
    template = invocation.parsed.text("format")
    say_object(facts, template, lambda shown: "".join(line + "\n" for line in lines(shown)), kind="info")
    if not template:
        for warning in facts.get("Warnings", ()):
            warn(f"WARNING: {warning}")
    return 0


# Docker's words for people, where they aren't the name of the field with spaces in it. None: not in the list.
LABELS: dict[str, str | None] = {
    "ContainersRunning": " Running",
    "ContainersPaused": " Paused",
    "ContainersStopped": " Stopped",
    "Driver": "Storage Driver",
    "NCPU": "CPUs",
    "MemTotal": "Total Memory",
    "HttpProxy": "HTTP Proxy",
    "HttpsProxy": "HTTPS Proxy",
    # What scripts read and people learn from the warnings, and what is only there because a daemon of docker's has it.
    **dict.fromkeys(("IndexServerAddress", "Labels", "Debug", "SystemTime", "Warnings", "ClientInfo", "OSVersion")),
    **dict.fromkeys(("NFd", "NGoroutines", "NEventsListener", "GenericResources", "ExperimentalBuild", "Isolation")),
    **dict.fromkeys(("InitBinary", "ContainerdCommit", "RuncCommit", "InitCommit", "CDISpecDirs", "Authorization")),
    **dict.fromkeys(("IPv4Forwarding", "OomKillDisable")),
    **dict.fromkeys(("MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit")),
}


def label(name: str) -> str | None:
    """Give what a field is called in the list: `KernelVersion` is "Kernel Version"."""
    if name in LABELS:
        return LABELS[name]
    words = ""
    for place, letter in enumerate(name):
        words += " " + letter if place and letter.isupper() and name[place - 1].islower() else letter
    return words


def lines(facts: dict[str, Any], indent: str = "") -> list[str]:
    """Give a nested object as indented lines: `Name: value`."""
    shown: list[str] = []
    for field, value in facts.items():
        name = label(field)
        if name is None:
            continue
        if field == "DriverStatus":
            shown += [f"{indent} {key}: {text}" for key, text in value or ()]
        elif field == "Swarm":
            shown.append(f"{indent}{name}: {value['LocalNodeState']}")
        elif field == "Runtimes":
            shown.append(f"{indent}{name}: {' '.join(value)}")
        elif field == "RegistryConfig":
            shown += _registries(value, indent)
        elif field.endswith("Proxy") and not value:
            continue
        elif field == "MemTotal":
            shown.append(f"{indent}{name}: {binary_size(value)}")
        elif isinstance(value, dict):
            shown += [f"{indent}{name}:", *lines(value, indent + " ")]
        elif isinstance(value, (list, tuple)):
            shown.append(f"{indent}{name}: {' '.join(map(str, value))}".rstrip())
        elif isinstance(value, bool):
            shown.append(f"{indent}{name}: {str(value).lower()}")
        else:
            shown.append(f"{indent}{name}: {value}".rstrip())
    return shown


def _registries(value: dict[str, Any], indent: str) -> list[str]:
    shown = []
    for title, entries in (
        ("Insecure Registries", value["InsecureRegistryCIDRs"]),
        ("Registry Mirrors", value["Mirrors"]),
    ):
        if entries:
            shown += [f"{indent}{title}:", *(f"{indent} {entry}" for entry in entries)]
    return shown
