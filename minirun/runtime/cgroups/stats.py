"""The numbers of a cgroup, in the shape that `runc events --stats` prints under "data".

Owns: which file gives which number, and version 2 in the words of version 1. Leaves to others: when to look (container), printing.

    cpu        cpu.stat, cpu.pressure                      times in nanoseconds
    cpuset     cpuset.cpus.effective, cpuset.mems.effective
    memory     memory.current .max .peak .stat .events     raw is memory.stat; swap counts memory and swap together, as version 1
               memory.swap.current .max, memory.pressure   does; no limit is 2^64 - 1
    pids       pids.current, pids.max                      no limit is 0
    blkio      io.stat, io.pressure                        bytes and operations, read and written, for each disk
    hugetlb    hugetlb.SIZE.current, .events               for each size that the kernel has

A number whose file isn't there (no controller, an older kernel) is 0 or left out, as in runc; pressure is left out where the kernel
doesn't count it. The field names are those of runc's types/events.go. What version 2 doesn't count (kernel memory of TCP, times of
block I/O) stays 0 or away. cgroup-v2.rst; accounting/psi.rst.
"""

from __future__ import annotations

import os

from ...record import Record
from . import files, members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_UNLIMITED = 2**64 - 1
_OPERATIONS = {
    "rbytes": ("bytes", "Read"),
    "wbytes": ("bytes", "Write"),
    "rios": ("ios", "Read"),
    "wios": ("ios", "Write"),
}


class Counters(Record):
    """The few numbers that a list of containers shows; None for what no controller counts in this cgroup."""

    cpu_ns: int  # counted without the controller, too
    memory_bytes: int | None  # without inactive pages of files, which the kernel gives back at once
    memory_limit_bytes: int | None  # None: no limit
    read_bytes: int | None
    written_bytes: int | None
    processes: int  # and threads, as the pids controller counts


def counters(path: str) -> Counters:
    """Give them; FileNotFoundError when the cgroup is gone. Five files, since a list asks for many."""
    os.stat(path)
    memory = _text(f"{path}/memory.current").strip()
    limit = _text(f"{path}/memory.max").strip()
    used = None
    if memory:
        inactive = table(f"{path}/memory.stat").get("inactive_file", 0)
        used = int(memory) - inactive if inactive < int(memory) else int(memory)
    moved = _blkio(path)["ioServiceBytesRecursive"] if os.path.exists(f"{path}/io.stat") else None
    return Counters(
        cpu_ns=table(f"{path}/cpu.stat").get("usage_usec", 0) * 1000,
        memory_bytes=used,
        memory_limit_bytes=int(limit) if limit.isdecimal() else None,
        read_bytes=None if moved is None else sum(entry["value"] for entry in moved if entry["op"] == "Read"),
        written_bytes=None if moved is None else sum(entry["value"] for entry in moved if entry["op"] == "Write"),
        processes=_pids(path)["current"],
    )


def of(path: str) -> dict[str, Any]:
    """Give all numbers of a cgroup. FileNotFoundError when it is gone."""
    os.stat(path)
    return {
        "cpu": _cpu(path),
        "cpuset": _cpuset(path),
        "memory": _memory(path),
        "pids": _pids(path),
        "blkio": _blkio(path),
        "hugetlb": _hugetlb(path),
        "network_interfaces": [],
    }


def pressure(path: str, resource: str) -> dict[str, Any] | None:
    """Give what cpu, memory or io pressure stalls: {"some": {"avg10": 0.5, ..., "total": microseconds}, "full": ...}.

    None when the kernel doesn't count it (no CONFIG_PSI, psi=0, cgroup.pressure off).
    """
    found: dict[str, Any] = {}
    for line in _text(f"{path}/{resource}.pressure").splitlines():
        kind, *pairs = line.split()
        numbers = dict(pair.split("=", 1) for pair in pairs)
        found[kind] = {key: int(text) if key == "total" else float(text) for key, text in numbers.items()}
    return found or None


def table(path: str) -> dict[str, int]:
    """Read a file of the kind "name number", one each line; empty when it isn't there."""
    words = _text(path).split()
    return {key: int(value) for key, value in zip(words[::2], words[1::2], strict=False) if value.isdigit()}


def _cpu(path: str) -> dict[str, Any]:
    stat = table(f"{path}/cpu.stat")
    return _with_pressure(
        {
            "usage": {
                "total": stat.get("usage_usec", 0) * 1000,
                "kernel": stat.get("system_usec", 0) * 1000,
                "user": stat.get("user_usec", 0) * 1000,
            },
            "throttling": {
                "periods": stat.get("nr_periods", 0),
                "throttledPeriods": stat.get("nr_throttled", 0),
                "throttledTime": stat.get("throttled_usec", 0) * 1000,
            },
        },
        path,
        "cpu",
    )


def _cpuset(path: str) -> dict[str, Any]:
    """Give the lists; the switches that only version 1 has are off."""
    version_one = "cpu_exclusive mem_hardwall mem_exclusive memory_migrate memory_spread_page memory_spread_slab"
    found: dict[str, Any] = dict.fromkeys(version_one.split(), 0)
    found |= {"memory_pressure": 0, "sched_load_balance": 0, "sched_relax_domain_level": 0}
    for key, file in (("cpus", "cpuset.cpus.effective"), ("mems", "cpuset.mems.effective")):
        if text := _text(f"{path}/{file}").strip():
            from .cpus import parse_cpu_list

            found[key] = sorted(parse_cpu_list(text))
    return found


def _memory(path: str) -> dict[str, Any]:
    stat, events = table(f"{path}/memory.stat"), table(f"{path}/memory.events")
    usage = _entry(path, "memory", events.get("max", 0))
    swap = _entry(path, "memory.swap", table(f"{path}/memory.swap.events").get("fail", 0))
    swap["usage"] += usage["usage"]
    if swap["limit"] != _UNLIMITED:
        swap["limit"] = min(swap["limit"] + usage["limit"], _UNLIMITED)
    return _with_pressure(
        {
            "cache": stat.get("file", 0),
            "usage": usage,
            "swap": swap,
            "kernel": {"limit": 0, "usage": stat.get("kernel", 0), "failcnt": 0},
            "kernelTCP": {"limit": 0, "usage": stat.get("sock", 0), "failcnt": 0},
            "raw": stat,
            "event_count": {
                key: events.get(key, 0) for key in ("low", "high", "max", "oom", "oom_kill", "oom_group_kill")
            },
        },
        path,
        "memory",
    )


def _entry(path: str, name: str, failures: int) -> dict[str, int]:
    """Give one counter with its limit; 0 for all when there is no such controller."""
    entry = {"limit": _limit(f"{path}/{name}.max", _UNLIMITED), "usage": _number(f"{path}/{name}.current")}
    if peak := _number(f"{path}/{name}.peak"):
        entry["max"] = peak
    return {**entry, "failcnt": failures}


def _pids(path: str) -> dict[str, int]:
    if text := _text(f"{path}/pids.current").strip():
        return {"current": int(text), "limit": _limit(f"{path}/pids.max", 0)}
    return {"current": members.threads(path), "limit": 0}  # without the controller we count ourselves


def _blkio(path: str) -> dict[str, Any]:
    found: dict[str, list[dict[str, Any]]] = {"bytes": [], "ios": []}
    for line in _text(f"{path}/io.stat").splitlines():
        number, *pairs = line.split()
        major, colon, minor = number.partition(":")
        if not colon:  # a disk that has gone has no number any more
            continue
        for pair in pairs:
            key, _, value = pair.partition("=")
            if key in _OPERATIONS:
                kind, operation = _OPERATIONS[key]
                entry = {"major": int(major), "minor": int(minor), "op": operation, "value": int(value)}
                found[kind].append(entry)
    return _with_pressure({"ioServiceBytesRecursive": found["bytes"], "ioServicedRecursive": found["ios"]}, path, "io")


def _hugetlb(path: str) -> dict[str, Any]:
    found = {}
    for name in sorted(os.listdir(path)):
        controller, _, rest = name.partition(".")
        size, _, file = rest.partition(".")
        if controller == "hugetlb" and file == "current":
            failures = table(f"{path}/hugetlb.{size}.events").get("max", 0)
            found[size] = {"usage": _number(f"{path}/{name}"), "failcnt": failures}
    return found


def _with_pressure(numbers: dict[str, Any], path: str, resource: str) -> dict[str, Any]:
    stall = pressure(path, resource)
    return numbers if stall is None else {**numbers, "psi": stall}


def _text(path: str) -> str:
    try:
        return files.read(path)
    except OSError:  # not there, or EOPNOTSUPP: the kernel doesn't count it
        return ""


def _number(path: str) -> int:
    return int(_text(path).strip() or 0)


def _limit(path: str, unlimited: int) -> int:
    text = _text(path).strip()
    return unlimited if text == "max" else int(text or 0)
