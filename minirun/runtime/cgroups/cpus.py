"""Lists of CPUs and memory nodes: "0-3,7".

Owns: the grammar of the files cpuset.cpus and cpuset.mems, and which CPUs this host has. Leaves to others: using them
(limits, stats, systemd).
"""

from __future__ import annotations

from ...errors import InvalidInput
from . import files

_MAX_CPU_NUMBER = (
    8191  # CONFIG_NR_CPUS is never larger; a list is read number by number, so it has an end (CVE-2018-20699)
)


def parse_cpu_list(text: str, what: str = "CPUs") -> frozenset[int]:
    """Read a list as "0-3,7"; InvalidInput for anything else, for numbers no kernel has, for ranges that run backwards."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not (_is_number(first) and (_is_number(last) if dash else True)):
            raise InvalidInput(f"{text[:64]!r} isn't a list of {what} such as 0-3,7")
        low, high = int(first), int(last or first)
        if low > high or high > _MAX_CPU_NUMBER:
            raise InvalidInput(
                f"{part!r} isn't a range of {what}: from the lower to the higher, up to {_MAX_CPU_NUMBER}"
            )
        numbers.update(range(low, high + 1))
    return frozenset(numbers)


def check_cpus(text: str, online: str = "/sys/devices/system/cpu/online") -> None:
    """Refuse CPUs that this host doesn't have: the kernel would take the list and run the container elsewhere."""
    available = files.read(online).strip()
    if not parse_cpu_list(text) <= parse_cpu_list(available):
        raise InvalidInput(f"Requested CPUs are not available - requested {text}, available: {available}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10
