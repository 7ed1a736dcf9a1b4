"""When and where the process runs: `scheduler`, `ioPriority` and `execCPUAffinity` of `process`.

Owns: config.md's names for these and the kernel's numbers, lists of processors and memory nodes.
Leaves to others: the system calls (native/), whether the host has those processors.
"""

from __future__ import annotations

from ..spec import IoPriority, Scheduler
from .reader import UINT64, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reader import Section

# linux/sched.h
_POLICIES = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
_REAL_TIME = (_POLICIES["SCHED_FIFO"], _POLICIES["SCHED_RR"])
_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
_IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}  # linux/ioprio.h

_CPUS_MAX = 8192  # the most that a kernel is built for (CONFIG_NR_CPUS)


def scheduler(process: Section) -> Scheduler | None:
    """Read `scheduler`: InvalidInput for what belongs to another policy, which sched_setattr(2) would ignore or refuse."""
    section = process.section("scheduler")
    if section is None:
        return None
    policy = section.required_choice("policy", _POLICIES)
    found = Scheduler(
        policy=policy,
        nice=section.number("nice", -20, 19) or 0,
        priority=section.number("priority", 0, 99) or 0,
        flags=section.flags("flags", _FLAGS),
        runtime_ns=section.number("runtime", 0, UINT64) or 0,
        deadline_ns=section.number("deadline", 0, UINT64) or 0,
        period_ns=section.number("period", 0, UINT64) or 0,
    )
    if found.priority and policy not in _REAL_TIME:
        raise section.wrong("priority", "only SCHED_FIFO and SCHED_RR have a priority")
    for key, value in (("runtime", found.runtime_ns), ("deadline", found.deadline_ns), ("period", found.period_ns)):
        if value and policy != _POLICIES["SCHED_DEADLINE"]:
            raise section.wrong(key, "only SCHED_DEADLINE has one")
    return found


def io_priority(process: Section) -> IoPriority | None:
    """Read `ioPriority`. ioprio_set(2)."""
    section = process.section("ioPriority")
    if section is None:
        return None
    return IoPriority(
        io_class=section.required_choice("class", _IO_CLASSES), priority=section.number("priority", 0, 7) or 0
    )


def affinity(process: Section) -> tuple[str, str]:
    """Read `execCPUAffinity`: the processors before and after the move into the container's cgroup."""
    section = process.section("execCPUAffinity")
    if section is None:
        return "", ""
    return number_list(section, "initial", _CPUS_MAX), number_list(section, "final", _CPUS_MAX)


def number_list(section: Section, key: str, limit: int) -> str:
    """Read a list such as "0-3,7", its numbers below `limit`; it is given without blanks. cpuset(7), "List format"."""
    text = section.text(key).replace(" ", "")
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        if not _is_number(first, limit) or (dash and not _is_number(last, limit)):
            raise section.wrong(
                key, f"must be a list like 0-3,7 of numbers below {limit}, not {shown(section.text(key))}"
            )
        if dash and int(last) < int(first):
            raise section.wrong(key, f"the range {part} ends before it begins")
    return text


def _is_number(text: str, limit: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9 and int(text) < limit
