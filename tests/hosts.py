"""What a host may lack, and whether this one has it.

Owns: the names that `@pytest.mark.needs(...)` takes. Leaves to others: what happens to a test whose need isn't met (vm/plugin).
"""

from __future__ import annotations

import functools
import os
from pathlib import Path


@functools.cache
def has(name: str) -> bool:
    """Say whether this host has what `name` stands for: a cgroup v2 controller, `ipv6`, `x86_64`, or `kernel>=X.Y`."""
    if name.startswith("kernel>="):
        return kernel_version() >= tuple(int(part) for part in name.removeprefix("kernel>=").split("."))
    if name.startswith("kernel<"):
        return kernel_version() < tuple(int(part) for part in name.removeprefix("kernel<").split("."))
    if name == "x86_64":
        return os.uname().machine == name
    if name == "ipv6":
        return Path("/proc/sys/net/ipv6").is_dir()
    if name in ("cpu", "cpuset", "hugetlb", "io", "memory", "pids"):
        return name in controllers()
    raise ValueError(f"no test can need {name!r}: it isn't in tests/hosts.py")


# Those that the virtual machine has for sure: Debian's kernel with cgroup v2 alone.
IN_VIRTUAL_MACHINE = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids", "ipv6")


def missing_reason(name: str) -> str:
    """Give the reason of a skip, in the words that tests/conftest.py knows."""
    spelled = {"ipv6": "this kernel has no IPv6", "x86_64": "this machine is no x86-64"}
    return spelled.get(name, f"this host has no {name}")


def cgroup_mount() -> Path:
    """Give where the cgroup v2 hierarchy is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            return Path(line.split()[4])
    raise AssertionError("this host has no cgroup v2 hierarchy: minirun can't work here")


def controllers() -> list[str]:
    """Give the controllers of the cgroup v2 hierarchy. cgroups(7)."""
    return (cgroup_mount() / "cgroup.controllers").read_text().split()


def kernel_version() -> tuple[int, ...]:
    """Give the running kernel's version as numbers: (6, 1)."""
    return tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
