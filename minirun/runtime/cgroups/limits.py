"""Limits: what the specification's resources are in files of cgroup version 2.

Owns: these conversions, and lists of CPUs. Leaves to others: writing the files (hierarchy), what limits mean to a user
(engine/spec).
"""

from __future__ import annotations

from ...errors import InvalidInput
from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..spec import Resources

_PERIOD_MICROSECONDS = 100_000
_MAX_CPU_NUMBER = (
    8191  # CONFIG_NR_CPUS is never larger; a list is read number by number, so it has an end (CVE-2018-20699)
)


def settings_of(resources: Resources) -> Iterator[tuple[str, str, bool]]:
    """Give (file, value, optional) for each limit; optional ones may be missing from the kernel. InvalidInput for nonsense."""
    memory, cpu = resources.memory, resources.cpu
    # Before the limit itself, so that a process never sees the limit without its swap limit.
    if memory.swap is not None:
        yield "memory.swap.max", _swap(memory.limit, memory.swap), not memory.swap_required
    if memory.limit is not None:
        yield "memory.max", _maximum(memory.limit), False
    if memory.reservation is not None:
        yield "memory.low", _maximum(memory.reservation), False
    if cpu.shares:
        yield "cpu.weight", str(weight_of(cpu.shares)), False
    if cpu.quota is not None or cpu.period is not None:
        quota = "max" if not cpu.quota or cpu.quota < 0 else str(cpu.quota)
        yield "cpu.max", f"{quota} {cpu.period or _PERIOD_MICROSECONDS}", False
    if cpu.cpus:
        check_cpus(cpu.cpus)
        yield "cpuset.cpus", cpu.cpus, False
    if cpu.mems:
        parse_cpu_list(cpu.mems)
        yield "cpuset.mems", cpu.mems, False
    if resources.pids_limit is not None:
        yield "pids.max", _maximum(resources.pids_limit), False
    for file, value in resources.unified.items():
        if "/" in file or file.startswith("cgroup.") or "." not in file:
            raise InvalidInput(f"{file!r} isn't the file of a cgroup controller")
        yield file, value, False


def weight_of(shares: int) -> int:
    """Turn cgroup v1 CPU shares (2 to 262144, 1024 usual) into a v2 weight (1 to 10000, 100 usual).

    The curve through (2, 1), (1024, 100) and (262144, 10000) that crun and runc have agreed on: both ends and the
    default of one scale meet those of the other.
    """
    from math import ceil, log2

    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    exponent = log2(shares)
    return ceil(10 ** ((exponent * exponent + 125 * exponent) / 612 - 7 / 34))


def parse_cpu_list(text: str) -> frozenset[int]:
    """Read a list as "0-3,7"; InvalidInput for anything else, for numbers no kernel has, for ranges that run backwards."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not (_is_number(first) and (_is_number(last) if dash else True)):
            raise InvalidInput(f"{text[:64]!r} isn't a list of CPUs such as 0-3,7")
        low, high = int(first), int(last or first)
        if low > high or high > _MAX_CPU_NUMBER:
            raise InvalidInput(f"{part!r} isn't a range of CPUs: from the lower to the higher, up to {_MAX_CPU_NUMBER}")
        numbers.update(range(low, high + 1))
    return frozenset(numbers)


def check_cpus(text: str, online: str = "/sys/devices/system/cpu/online") -> None:
    """Refuse CPUs that this host doesn't have: the kernel would take the list and run the container elsewhere."""
    available = files.read(online).strip()
    if not parse_cpu_list(text) <= parse_cpu_list(available):
        raise InvalidInput(f"Requested CPUs are not available - requested {text}, available: {available}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


def _maximum(value: int) -> str:
    return "max" if value < 0 else str(value)


def _swap(limit: int | None, swap: int) -> str:
    """The specification counts memory and swap together, cgroup v2 swap alone."""
    if swap < 0 or limit is None or limit < 0:
        return "max"
    if swap < limit:
        raise InvalidInput("the limit of memory and swap together can't be less than that of memory")
    return str(swap - limit)
