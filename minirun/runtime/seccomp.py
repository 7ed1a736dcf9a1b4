"""From a seccomp profile to the program that the kernel runs at each system call.

Owns: the compiler of an OCI `Seccomp` value, the disk cache of filters.
Leaves to others: our profile (runtime/seccomp_profile), reading profiles (config/seccomp, runtime/seccomp_file), loading
and the listener of SCMP_ACT_NOTIFY (native/).

    architecture? --- unknown: EPERM
      |  number >= 0x40000000 (x32): EPERM
      |  binary search over ranges of numbers with the same verdict: eight or so comparisons
      |      +-- verdict, or the comparison of arguments
      +  above the highest number that the table knows: ENOSYS, so that a newer C library falls back

Rules for one call: those with arguments first, in their order; then the one without; then the default action. An
ABI that the profile doesn't list is answered with EPERM, never let through; so is x32, listed or not, which hardly a
kernel serves. The machine's own ABI always counts as listed, and ABIs of other machines as not written, as libseccomp's
users have it; so do names of system calls that no ABI of ours has. seccomp(2),
Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import os

from ..errors import NotSupported
from ..linux.flags import SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW
from .spec import BuiltinSeccomp, RawSeccomp, Seccomp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .bpf import Assembler
    from .spec import SyscallArgument, SyscallRule

_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

# What a machine's kernel serves: (SCMP_ARCH_*, table, AUDIT_ARCH_*). The first is its own; linux/audit.h.
_ABIS = {
    "x86_64": (("SCMP_ARCH_X86_64", "x86_64", 0xC000003E), ("SCMP_ARCH_X86", "i386", 0x40000003)),
    "aarch64": (("SCMP_ARCH_AARCH64", "aarch64", 0xC00000B7),),
}
_X32_BIT = 0x40000000

NOTIFY = "SCMP_ACT_NOTIFY"
ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    NOTIFY: 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
OPERATORS = (
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
)
_ERRNO = ACTIONS["SCMP_ACT_ERRNO"]
_EPERM, _ENOSYS = 1, 38

# SPEC_ALLOW: kernels before 5.16 otherwise switch speculative store bypass off for every filtered process, which
# costs far more than the filter; newer ones don't any more. WAIT_KILLABLE_RECV: the kernel takes it only together with a
# listener, so a filter that notifies nobody goes without.
WAIT_KILLABLE = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"
FLAGS = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,  # one thread: nothing to synchronise
    "SECCOMP_FILTER_FLAG_LOG": SECCOMP_FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    WAIT_KILLABLE: 1 << 5,  # Linux 5.19; not in older headers
}

_MAGIC = b"mrSECC01"
COMPILER = 1  # raised whenever the same profile becomes another filter, or kept filters would go on being used
KEPT_MAX = 128  # filters of other people's profiles in the cache; a filter has 5 KB or so


def filter_of(
    seccomp: Seccomp | BuiltinSeccomp | RawSeccomp, machine: str, cache_directory: str = ""
) -> tuple[int, bytes]:
    """Give flags and program for a machine (`os.uname().machine`).

    Either comes from `cache_directory` after the first time: about 20 microseconds instead of 20 ms for our own profile,
    some more for another one, whose content is its name there. Raises NotSupported for a machine without a table or an
    action that can't be, InvalidInput for a filter longer than the kernel takes.
    """
    if isinstance(seccomp, Seccomp):
        name = f"config-{machine}-{COMPILER}-{_digest(seccomp)}.bpf"
        program = _cached(cache_directory, name)
        if not program:
            program = compile_filter(seccomp, machine)
            _make_room(cache_directory)
            _keep(cache_directory, name, program)
        return flags_of(seccomp), program
    if isinstance(seccomp, RawSeccomp):
        return 0, seccomp.program
    from . import seccomp_profile

    held = seccomp.capabilities & seccomp_profile.RELEVANT
    name = f"{machine}-{seccomp_profile.VERSION}-{held:x}.bpf"
    if program := _cached(cache_directory, name):
        return SECCOMP_FILTER_FLAG_SPEC_ALLOW, program
    profile = seccomp_profile.expand(held)
    program = compile_filter(profile, machine)
    _keep(cache_directory, name, program)
    return flags_of(profile), program


def notifies(seccomp: Seccomp) -> bool:
    """Does any call wait for an answer from outside? Then the filter is loaded with a listener."""
    return any(rule.action == NOTIFY for rule in seccomp.syscalls)


def flags_of(seccomp: Seccomp) -> int:
    """Give the flags for seccomp(2), without that for a listener."""
    bits = 0
    for flag in seccomp.flags:
        if flag not in FLAGS:
            raise NotSupported(f"the seccomp flag {flag} isn't supported; known are {' '.join(FLAGS)}")
        bits |= FLAGS[flag]
    return bits if notifies(seccomp) else bits & ~FLAGS[WAIT_KILLABLE]


def compile_filter(seccomp: Seccomp, machine: str) -> bytes:
    """Give the array of `struct sock_filter` for a profile. Errors as for `filter_of`."""
    from .bpf import EQUAL, Assembler

    if machine not in _ABIS:
        raise NotSupported(f"no seccomp filter can be made for {machine}; run with --security-opt seccomp=unconfined")
    wanted = {*seccomp.architectures, _ABIS[machine][0][0]}
    program = Assembler()
    entry = program.verdict(_ERRNO | _EPERM)
    # The machine's own ABI is written last and thereby asked for first.
    for name, table, audit in reversed(_ABIS[machine]):
        if name in wanted:
            section = _section(program, seccomp, table)
            entry = program.jump(EQUAL, audit, section, entry)
    return program.program(program.load(_ARCHITECTURE, entry))


def _section(program: Assembler, seccomp: Seccomp, table: str) -> int:
    """Write the part for one ABI: give the label of its first instruction."""
    from .bpf import AT_LEAST
    from .syscall_table import numbers

    default = _action(seccomp.default_action, seccomp.default_errno)
    known = numbers(table)
    rules: dict[int, list[SyscallRule]] = {}
    for rule in seccomp.syscalls:
        for name in rule.names:
            if name in known:
                rules.setdefault(known[name], []).append(rule)
    segments: list[tuple[int, int]] = []  # first number, label
    highest = max(known.values())
    unknown = _ERRNO | _ENOSYS if default & 0x7FFF0000 == _ERRNO else default
    checks: dict[tuple[SyscallRule, ...], int] = {}  # calls with equal rules share one piece of program
    verdicts: list[tuple[int, int | tuple[SyscallRule, ...]]] = []
    for number in range(highest + 2):
        verdict: int | tuple[SyscallRule, ...] = (
            unknown if number > highest else _verdict(rules.get(number, ()), default)
        )
        if not verdicts or verdicts[-1][1] != verdict:
            verdicts.append((number, verdict))
    for number, verdict in verdicts:
        if isinstance(verdict, int):
            label = program.verdict(verdict)
        else:
            if verdict not in checks:
                checks[verdict] = _checks(program, verdict, default)
            label = checks[verdict]
        segments.append((number, label))
    if table == "x86_64":
        segments.append((_X32_BIT, program.verdict(_ERRNO | _EPERM)))
    entry = _search(program, segments, AT_LEAST)
    return program.load(_NUMBER, entry)


def _verdict(rules: list[SyscallRule] | tuple[()], default: int) -> int | tuple[SyscallRule, ...]:
    """Give the verdict as a number where no argument counts, otherwise the rules."""
    if any(rule.arguments for rule in rules):
        return tuple(rules)
    return _action(rules[0].action, rules[0].errno) if rules else default


def _search(program: Assembler, segments: list[tuple[int, int]], at_least: int) -> int:
    if len(segments) == 1:
        return segments[0][1]
    middle = len(segments) // 2
    upper = _search(program, segments[middle:], at_least)
    lower = _search(program, segments[:middle], at_least)
    return program.jump(at_least, segments[middle][0], upper, lower)


def _checks(program: Assembler, rules: tuple[SyscallRule, ...], default: int) -> int:
    """Write the comparisons of arguments: the last rule first, since each goes on at the next when it doesn't hold."""
    fallback = [rule for rule in rules if not rule.arguments]
    label = program.verdict(_action(fallback[0].action, fallback[0].errno) if fallback else default)
    for rule in reversed([rule for rule in rules if rule.arguments]):
        verdict = program.verdict(_action(rule.action, rule.errno))
        indices = [argument.index for argument in rule.arguments]
        if len(set(indices)) == len(indices):
            holds = verdict
            for argument in reversed(rule.arguments):
                holds = _compare(program, argument, holds, label)
            label = holds
        else:
            # Two conditions on one argument mean "or", as runc and libseccomp's users have always read it.
            for argument in reversed(rule.arguments):
                label = _compare(program, argument, verdict, label)
    return label


def _compare(program: Assembler, argument: SyscallArgument, holds: int, fails: int) -> int:
    """Write one comparison of a 64-bit argument, in two halves."""
    from .bpf import AT_LEAST, EQUAL, GREATER

    low = _ARGUMENTS + 8 * argument.index
    high = low + 4
    wanted = argument.value_two if argument.operator == "SCMP_CMP_MASKED_EQ" else argument.value
    low_wanted, high_wanted = wanted & 0xFFFFFFFF, wanted >> 32
    if argument.operator == "SCMP_CMP_MASKED_EQ":
        low_mask, high_mask = argument.value & 0xFFFFFFFF, argument.value >> 32
        label = program.jump(EQUAL, low_wanted, holds, fails)
        label = program.load(low, program.mask(low_mask, label))
        if high_mask or high_wanted:
            label = program.jump(EQUAL, high_wanted, label, fails)
            label = program.load(high, program.mask(high_mask, label))
        return label
    if argument.operator in ("SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE"):
        holds, fails = fails, holds  # not EQ, not GE, not GT
    if argument.operator in ("SCMP_CMP_EQ", "SCMP_CMP_NE"):
        label = program.load(low, program.jump(EQUAL, low_wanted, holds, fails))
        return program.load(high, program.jump(EQUAL, high_wanted, label, fails))
    if argument.operator in ("SCMP_CMP_GE", "SCMP_CMP_LT", "SCMP_CMP_GT", "SCMP_CMP_LE"):
        comparison = AT_LEAST if argument.operator in ("SCMP_CMP_GE", "SCMP_CMP_LT") else GREATER
        label = program.load(low, program.jump(comparison, low_wanted, holds, fails))
        label = program.jump(EQUAL, high_wanted, label, fails)
        return program.load(high, program.jump(GREATER, high_wanted, holds, label))
    raise NotSupported(f"the seccomp operator {argument.operator} isn't known")


def _action(name: str, errno: int | None) -> int:
    if name not in ACTIONS:
        raise NotSupported(f"the seccomp action {name} isn't supported; known are {' '.join(ACTIONS)}")
    data = (_EPERM if errno is None else errno) if name in WITH_ERRNO else 0
    return ACTIONS[name] | data & 0xFFFF


def _digest(seccomp: Seccomp) -> str:
    """Give a name for what a profile says. Flags and listener are no part of the filter."""
    try:
        from _blake2 import blake2b  # hashlib would load the whole of OpenSSL for it
    except ImportError:
        from hashlib import blake2b
    rules = [
        (rule.names, rule.action, rule.errno, [(a.index, a.value, a.value_two, a.operator) for a in rule.arguments])
        for rule in seccomp.syscalls
    ]
    content = repr((seccomp.default_action, seccomp.default_errno, seccomp.architectures, rules))
    return blake2b(content.encode(), digest_size=20).hexdigest()


def _make_room(directory: str) -> None:
    """Remove the oldest of other people's filters when there are many: each change of a profile leaves one behind."""
    try:
        with os.scandir(directory) as entries:
            kept = [(entry.stat().st_mtime_ns, entry.path) for entry in entries if entry.name.startswith("config-")]
        for _, path in sorted(kept)[: max(0, len(kept) - KEPT_MAX + 1)]:
            os.unlink(path)
    except OSError:
        pass  # no directory yet, or another start was faster


def _cached(directory: str, name: str) -> bytes:
    """Give a kept filter, or b"" when there is none or it isn't whole."""
    if not directory:
        return b""
    try:
        fd = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return b""
    try:
        content = os.read(fd, 1 << 16)
    finally:
        os.close(fd)
    program = content[16:]
    return program if content[:16] == _header(program) else b""


def _keep(directory: str, name: str, program: bytes) -> None:
    """Write a filter for the next start. A cache that can't be written costs time, nothing else."""
    if not directory:
        return
    temporary = f"{directory}/.{name}.{os.getpid()}"
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        os.write(fd, _header(program) + program)
        os.rename(temporary, f"{directory}/{name}")
    except OSError:
        os.unlink(temporary)
    finally:
        os.close(fd)


def _header(program: bytes) -> bytes:
    """Length and checksum: a power cut may leave a file of zeroes behind the right name."""
    from binascii import crc32

    return _MAGIC + len(program).to_bytes(4, "little") + crc32(program).to_bytes(4, "little")
