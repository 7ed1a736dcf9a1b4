"""The compiler of seccomp filters and our own profile, call by call, on a machine written in this folder."""

from __future__ import annotations

import binascii
import itertools
import json
import os
import re
from pathlib import Path

import pytest

from minirun.errors import InvalidInput, NotSupported
from minirun.runtime import capabilities, seccomp, seccomp_profile
from minirun.runtime.seccomp_file import parse
from minirun.runtime.spec import BuiltinSeccomp, Seccomp, SyscallArgument, SyscallRule
from minirun.runtime.syscall_table import numbers
from tests.unit.runtime.bpf_machine import run_classic

ALLOW, EPERM, ENOSYS, EAFNOSUPPORT = 0x7FFF0000, 0x50001, 0x50000 | 38, 0x50000 | 97
X86_64, I386, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7
ABIS = {"x86_64": ("x86_64", X86_64), "i386": ("x86_64", I386), "aarch64": ("aarch64", AARCH64)}
DOCKERS = 0x00000000A80425FB  # CapBnd of docker's default container

# What the rules say without conditions: the oracle for every call of every ABI.
CONDITIONAL = {"clone", "personality", "socket"}


def verdict(held: int, abi: str, name: str, *arguments: int) -> int:
    machine, audit = ABIS[abi]
    program = seccomp.compile_filter(seccomp_profile.expand(held), machine)
    return run_classic(program, architecture=audit, number=numbers(abi)[name], arguments=arguments)


@pytest.mark.parametrize("abi", ABIS)
@pytest.mark.parametrize("held", [0, DOCKERS, capabilities.mask(["SYS_ADMIN"]), capabilities.ALL])
def test_every_call_of_every_abi_gets_the_verdict_of_its_rule(abi: str, held: int) -> None:
    machine, audit = ABIS[abi]
    profile = seccomp_profile.expand(held)
    program = seccomp.compile_filter(profile, machine)
    plain = {name: rule for rule in profile.syscalls if not rule.arguments for name in rule.names}
    for name, number in numbers(abi).items():
        if name in CONDITIONAL:
            continue
        rule = plain.get(name)
        expected = EPERM if rule is None else ALLOW if rule.action == "SCMP_ACT_ALLOW" else 0x50000 | (rule.errno or 1)
        assert run_classic(program, architecture=audit, number=number) == expected, name


@pytest.mark.parametrize("abi", ABIS)
def test_numbers_without_a_call_are_refused_and_unknown_ones_do_not_exist(abi: str) -> None:
    machine, audit = ABIS[abi]
    program = seccomp.compile_filter(seccomp_profile.expand(DOCKERS), machine)
    known = set(numbers(abi).values())
    for number in range(max(known)):
        if number not in known:
            assert run_classic(program, architecture=audit, number=number) == EPERM
    for number in (max(known) + 1, 1000, 0x3FFFFFFF):
        assert run_classic(program, architecture=audit, number=number) == ENOSYS


def test_x32_is_refused_for_every_number() -> None:
    program = seccomp.compile_filter(seccomp_profile.expand(capabilities.ALL), "x86_64")
    for number in (*range(600), 0x3FFFFFFF):
        assert run_classic(program, architecture=X86_64, number=0x40000000 | number) == EPERM
    assert run_classic(program, architecture=X86_64, number=0xFFFFFFFF) == EPERM


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_foreign_architecture_is_refused(machine: str) -> None:
    program = seccomp.compile_filter(seccomp_profile.expand(capabilities.ALL), machine)
    own = {audit for other, audit in ABIS.values() if other == machine}
    for audit in {X86_64, I386, AARCH64, 0, 0x40000028, 0xC00000F3, 0xFFFFFFFF} - own:
        assert run_classic(program, architecture=audit, number=0) == EPERM


@pytest.mark.parametrize("abi", ABIS)
def test_clone_makes_threads_and_processes_but_no_namespaces(abi: str) -> None:
    threads, fork, vfork = 0x3D0F00, 0x1200011, 0x4111
    for flags in (threads, fork, vfork, 0):
        assert verdict(DOCKERS, abi, "clone", flags) == ALLOW
    for bit in (17, 25, 26, 27, 28, 29, 30):
        assert verdict(DOCKERS, abi, "clone", 0x11 | 1 << bit) == EPERM
        # The kernel looks at the low half only: a bit in the high half must not help.
        assert verdict(DOCKERS, abi, "clone", 1 << 40 | 1 << bit) == EPERM
        assert verdict(capabilities.mask(["SYS_ADMIN"]), abi, "clone", 0x11 | 1 << bit) == ALLOW


@pytest.mark.parametrize("abi", ABIS)
def test_clone3_does_not_exist_without_sys_admin(abi: str) -> None:
    assert verdict(DOCKERS, abi, "clone3") == ENOSYS
    assert verdict(capabilities.mask(["SYS_ADMIN"]), abi, "clone3") == ALLOW


@pytest.mark.parametrize("abi", ABIS)
def test_sockets_of_the_usual_families_only(abi: str) -> None:
    for family in (1, 2, 10, 16, 17):
        assert verdict(DOCKERS, abi, "socket", family) == ALLOW
    for family in (38, 40, 1 << 32 | 38, 0xFFFFFFFF << 32 | 40):
        assert verdict(DOCKERS, abi, "socket", family) == EPERM
        assert verdict(capabilities.mask(["NET_ADMIN"]), abi, "socket", family) == EPERM
    for family in (21, 29, 30, 31, 45):
        assert verdict(DOCKERS, abi, "socket", family) == EAFNOSUPPORT
        assert verdict(capabilities.mask(["NET_ADMIN"]), abi, "socket", family) == ALLOW


@pytest.mark.parametrize("abi", ABIS)
def test_personality_asks_and_takes_the_harmless_values(abi: str) -> None:
    for value in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF):
        assert verdict(DOCKERS, abi, "personality", value) == ALLOW
    for value in (0x0040000, 0x0100000, 0x0200000, 0x0400000, 1, 9):  # ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC and so on
        assert verdict(DOCKERS, abi, "personality", value) == EPERM


def test_socketcall_is_refused_since_its_arguments_are_out_of_sight() -> None:
    assert verdict(DOCKERS, "i386", "socketcall", 1) == EPERM


REFUSED = [
    "acct",
    "add_key",
    "bpf",
    "clock_settime",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "get_mempolicy",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mbind",
    "migrate_pages",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_madvise",
    "query_module",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "sysfs",
    "syslog",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
    "_sysctl",
]


@pytest.mark.parametrize("name", REFUSED)
def test_refused_for_a_usual_container(name: str) -> None:
    for abi in ABIS:
        if name in numbers(abi):
            assert verdict(DOCKERS, abi, name) == EPERM


@pytest.mark.parametrize(
    "name", ["ptrace", "memfd_secret", "chroot", "mknod", "statx", "openat2", "rseq", "landlock_add_rule"]
)
def test_allowed_for_a_usual_container(name: str) -> None:
    assert verdict(DOCKERS, "x86_64", name) == ALLOW


@pytest.mark.parametrize(
    ("capability", "name"),
    [
        ("SYS_CHROOT", "chroot"),
        ("SYS_BOOT", "reboot"),
        ("SYS_MODULE", "init_module"),
        ("SYS_PTRACE", "pidfd_getfd"),
        ("SYS_PTRACE", "process_vm_readv"),
        ("SYS_TIME", "clock_settime"),
        ("SYSLOG", "syslog"),
        ("BPF", "bpf"),
        ("PERFMON", "perf_event_open"),
        ("DAC_READ_SEARCH", "open_by_handle_at"),
        ("DAC_READ_SEARCH", "name_to_handle_at"),
        ("SYS_ADMIN", "mount"),
        ("SYS_NICE", "mbind"),
        ("SYS_PACCT", "acct"),
        ("SYS_RAWIO", "iopl"),
        ("SYS_TTY_CONFIG", "vhangup"),
    ],
)
def test_a_capability_brings_the_calls_that_it_is_for(capability: str, name: str) -> None:
    assert verdict(0, "x86_64", name) == EPERM
    assert verdict(capabilities.mask([capability]), "x86_64", name) == ALLOW


def test_keys_and_io_uring_stay_shut_for_every_capability() -> None:
    for name in ("keyctl", "add_key", "request_key", "io_uring_setup", "userfaultfd", "kexec_load", "swapon"):
        assert verdict(capabilities.ALL, "x86_64", name) == EPERM


# ---- the compiler


def one_rule(*arguments: SyscallArgument, action: str = "SCMP_ACT_ALLOW") -> bytes:
    rule = SyscallRule(names=("read",), action=action, arguments=arguments)
    return seccomp.compile_filter(Seccomp(default_action="SCMP_ACT_ERRNO", syscalls=(rule,)), "x86_64")


VALUES = (0, 1, 5, 0xFFFFFFFF, 1 << 32, (1 << 32) + 5, 7 << 32, (1 << 64) - 1)


@pytest.mark.parametrize("operator", ["NE", "LT", "LE", "EQ", "GE", "GT"])
def test_comparisons_are_of_all_64_bits(operator: str) -> None:
    holds = {
        "NE": int.__ne__,
        "LT": int.__lt__,
        "LE": int.__le__,
        "EQ": int.__eq__,
        "GE": int.__ge__,
        "GT": int.__gt__,
    }[operator]
    for wanted, given, index in itertools.product(VALUES, VALUES, (0, 3, 5)):
        program = one_rule(SyscallArgument(index=index, value=wanted, operator=f"SCMP_CMP_{operator}"))
        arguments = tuple(given if place == index else 99 for place in range(6))
        expected = ALLOW if holds(given, wanted) else EPERM
        assert run_classic(program, architecture=X86_64, number=0, arguments=arguments) == expected


def test_masked_comparison() -> None:
    for mask, wanted, given in itertools.product(VALUES, VALUES, VALUES):
        program = one_rule(SyscallArgument(index=1, value=mask, value_two=wanted, operator="SCMP_CMP_MASKED_EQ"))
        expected = ALLOW if given & mask == wanted else EPERM
        assert run_classic(program, architecture=X86_64, number=0, arguments=(0, given)) == expected


def test_several_arguments_must_all_hold_and_one_argument_twice_means_either() -> None:
    both = one_rule(SyscallArgument(index=0, value=1), SyscallArgument(index=1, value=2))
    assert run_classic(both, architecture=X86_64, number=0, arguments=(1, 2)) == ALLOW
    assert run_classic(both, architecture=X86_64, number=0, arguments=(1, 3)) == EPERM
    either = one_rule(SyscallArgument(index=0, value=1), SyscallArgument(index=0, value=2))
    assert [run_classic(either, architecture=X86_64, number=0, arguments=(n,)) for n in (1, 2, 3)] == [
        ALLOW,
        ALLOW,
        EPERM,
    ]


def test_a_program_longer_than_a_jump_reaches_is_still_right() -> None:
    rules = tuple(
        SyscallRule(names=(name,), action="SCMP_ACT_ERRNO", errno=number + 100)
        for name, number in numbers("x86_64").items()
    )
    profile = Seccomp(
        default_action="SCMP_ACT_ALLOW", architectures=("SCMP_ARCH_X86_64", "SCMP_ARCH_X86"), syscalls=rules
    )
    program = seccomp.compile_filter(profile, "x86_64")
    assert len(program) // 8 > 255
    for name, number in numbers("x86_64").items():
        assert run_classic(program, architecture=X86_64, number=number) == 0x50000 | number + 100, name
    for name, number in numbers("i386").items():
        expected = 0x50000 | numbers("x86_64")[name] + 100 if name in numbers("x86_64") else ALLOW
        assert run_classic(program, architecture=I386, number=number) == expected, name


def test_actions_reach_the_kernel_as_they_are_called() -> None:
    expected = {"KILL": 0, "KILL_PROCESS": 0x80000000, "TRAP": 0x30000, "LOG": 0x7FFC0000, "TRACE": 0x7FF00001}
    expected |= {"KILL_THREAD": 0, "NOTIFY": 0x7FC00000, "ERRNO": EPERM, "ALLOW": ALLOW}
    for name, value in expected.items():
        assert run_classic(one_rule(action=f"SCMP_ACT_{name}"), architecture=X86_64, number=0) == value
    assert expected.keys() == {name.removeprefix("SCMP_ACT_") for name in seccomp.ACTIONS}


def test_the_machines_own_abi_counts_as_listed_and_those_of_others_as_not_written() -> None:
    rule = SyscallRule(names=("read", "no_such_call"), action="SCMP_ACT_ERRNO", errno=38)
    for listed in ((), ("SCMP_ARCH_X86",), ("SCMP_ARCH_AARCH64", "SCMP_ARCH_S390X"), ("SCMP_ARCH_X32",)):
        profile = Seccomp(default_action="SCMP_ACT_ALLOW", architectures=listed, syscalls=(rule,))
        program = seccomp.compile_filter(profile, "x86_64")
        assert run_classic(program, architecture=X86_64, number=numbers("x86_64")["read"]) == ENOSYS
        assert run_classic(program, architecture=X86_64, number=numbers("x86_64")["write"]) == ALLOW
        expected = ENOSYS if "SCMP_ARCH_X86" in listed else EPERM
        assert run_classic(program, architecture=I386, number=numbers("i386")["read"]) == expected


def test_a_flag_for_listeners_is_only_given_to_a_filter_that_has_one() -> None:
    flags = ("SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", seccomp.WAIT_KILLABLE)
    quiet = SyscallRule(names=("mkdir",), action="SCMP_ACT_ALLOW")
    asking = SyscallRule(names=("mkdir",), action="SCMP_ACT_NOTIFY")
    assert seccomp.flags_of(Seccomp(default_action="SCMP_ACT_ALLOW", flags=flags, syscalls=(quiet,))) == 2
    assert seccomp.flags_of(Seccomp(default_action="SCMP_ACT_ALLOW", flags=flags, syscalls=(asking,))) == 2 | 32


def test_a_filter_longer_than_the_kernel_takes_says_so() -> None:
    arguments = tuple(SyscallArgument(index=0, value=value, operator="SCMP_CMP_GT") for value in range(2000))
    with pytest.raises(InvalidInput, match="longer than the 4096 instructions"):
        one_rule(*arguments)


def test_a_machine_without_a_table_is_refused_with_a_way_out() -> None:
    with pytest.raises(NotSupported, match="seccomp=unconfined"):
        seccomp.compile_filter(seccomp_profile.expand(0), "riscv64")


# ---- cache


def test_the_cache_gives_the_same_filter_and_survives_damage(tmp_path: Path) -> None:
    builtin = BuiltinSeccomp(capabilities=DOCKERS)
    directory = str(tmp_path / "cache")
    fresh = seccomp.filter_of(builtin, "x86_64", directory)
    (kept,) = os.listdir(directory)
    assert seccomp.filter_of(builtin, "x86_64", directory) == fresh
    for damage in (b"", b"\0" * 4096, (tmp_path / "cache" / kept).read_bytes()[:-8]):
        (tmp_path / "cache" / kept).write_bytes(damage)
        assert seccomp.filter_of(builtin, "x86_64", directory) == fresh


def test_another_profile_is_compiled_once_and_known_by_its_content(tmp_path: Path, monkeypatch) -> None:
    def profile(errno: int, operator: str = "SCMP_CMP_EQ") -> Seccomp:
        argument = SyscallArgument(index=0, value=1, operator=operator)
        rule = SyscallRule(names=("mkdir",), action="SCMP_ACT_ERRNO", errno=errno, arguments=(argument,))
        return Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=(rule,))

    directory = str(tmp_path / "cache")
    first = seccomp.filter_of(profile(1), "x86_64", directory)
    others = [
        seccomp.filter_of(profile(2), "x86_64", directory),
        seccomp.filter_of(profile(1, "SCMP_CMP_NE"), "x86_64", directory),
        seccomp.filter_of(profile(1), "aarch64", directory),
    ]
    assert first not in others
    assert len(os.listdir(directory)) == 4
    monkeypatch.setattr(seccomp, "compile_filter", None)  # whoever compiles now, fails
    assert seccomp.filter_of(profile(1), "x86_64", directory) == first
    with_flag = profile(1).replace(flags=("SECCOMP_FILTER_FLAG_LOG",))
    assert seccomp.filter_of(with_flag, "x86_64", directory) == (2, first[1])


def test_the_cache_keeps_a_bounded_number_of_other_profiles_and_the_newest_of_them(tmp_path: Path) -> None:
    def profile(errno: int) -> Seccomp:
        rule = SyscallRule(names=("mkdir",), action="SCMP_ACT_ERRNO", errno=errno)
        return Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=(rule,))

    seccomp.filter_of(BuiltinSeccomp(capabilities=0), "x86_64", str(tmp_path))
    own = set(os.listdir(tmp_path))
    names = []
    for errno in range(seccomp.KEPT_MAX + 3):
        before = set(os.listdir(tmp_path))
        seccomp.filter_of(profile(errno), "x86_64", str(tmp_path))
        (name,) = set(os.listdir(tmp_path)) - before
        os.utime(tmp_path / name, (errno, errno))
        names.append(name)
    assert set(os.listdir(tmp_path)) == own | set(names[3:])


def test_a_cache_that_cannot_be_written_costs_nothing_but_time() -> None:
    assert seccomp.filter_of(BuiltinSeccomp(capabilities=0), "x86_64", "/proc/nowhere")[1]


def test_only_capabilities_that_matter_multiply_the_cache(tmp_path: Path) -> None:
    for held in (DOCKERS, DOCKERS | capabilities.mask(["FOWNER", "LEASE"]), DOCKERS & ~capabilities.mask(["KILL"])):
        seccomp.filter_of(BuiltinSeccomp(capabilities=held), "x86_64", str(tmp_path))
    assert len(os.listdir(tmp_path)) == 1


def test_the_version_of_the_profile_changes_with_its_filters() -> None:
    """When this fails: raise VERSION, or kept filters of the old profile go on being used; then note the new sum here."""
    everything = b"".join(
        seccomp.compile_filter(seccomp_profile.expand(held), machine)
        for machine in ("x86_64", "aarch64")
        for held in (0, *(1 << number for number in range(len(capabilities.NAMES))))
    )
    assert (seccomp_profile.VERSION, f"{binascii.crc32(everything):08x}") == (2, "269d368a")


def test_the_version_of_the_compiler_changes_with_its_filters() -> None:
    """When this fails: raise COMPILER, or kept filters go on being used; then note the new sum here."""
    comparisons = tuple(
        SyscallRule(
            names=(name,), action="SCMP_ACT_ALLOW", arguments=(SyscallArgument(index=1, value=7, operator=operator),)
        )
        for name, operator in zip(
            ("read", "write", "close", "stat", "mmap", "poll", "brk"), seccomp.OPERATORS, strict=True
        )
    )
    plain = SyscallRule(names=tuple(sorted(numbers("x86_64"))[::3]), action="SCMP_ACT_TRACE", errno=5)
    both = ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86")
    everything = b"".join(
        seccomp.compile_filter(
            Seccomp(default_action=action, architectures=both, syscalls=(*comparisons, plain)), machine
        )
        for action in ("SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW")
        for machine in ("x86_64", "aarch64")
    )
    assert (seccomp.COMPILER, f"{binascii.crc32(everything):08x}") == (1, "f81734db")


# ---- numbers and files


@pytest.mark.parametrize(("abi", "header"), [("x86_64", "unistd_64.h"), ("i386", "unistd_32.h")])
def test_the_table_agrees_with_the_headers_of_the_kernel(abi: str, header: str) -> None:
    path = Path("/usr/include/x86_64-linux-gnu/asm") / header
    if not path.exists():
        path = Path("/usr/include/asm") / header
    if not path.exists():
        return  # another machine's; the table is the same everywhere
    found = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+)\s+(\d+)\s", path.read_text())}
    ours = numbers(abi)
    assert {name: ours.get(name) for name in found} == found


def test_names_in_the_profile_exist() -> None:
    known = {name for abi in ABIS for name in numbers(abi)}
    for rule in seccomp_profile.expand(capabilities.ALL).syscalls + seccomp_profile.expand(0).syscalls:
        assert set(rule.names) <= known


def profile(**changes: object) -> str:
    content: dict[str, object] = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [
            {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["umount2"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}},
            {"names": ["close"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
            {"name": "kill", "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 9, "op": "SCMP_CMP_NE"}]},
        ],
    }
    return json.dumps({**content, **changes})


def from_file(text: str, held: int, name: str, *arguments: int) -> int:
    program = seccomp.compile_filter(parse(text, held, "x86_64", "6.1.0-40-amd64"), "x86_64")
    return run_classic(program, architecture=X86_64, number=numbers("x86_64")[name], arguments=arguments)


def test_a_profile_file_of_docker_is_read_with_its_conditions() -> None:
    admin = capabilities.mask(["SYS_ADMIN"])
    text = profile()
    assert from_file(text, 0, "read") == ALLOW
    assert from_file(text, 0, "ptrace") == ALLOW
    assert from_file(text, 0, "bpf") == EPERM
    assert (from_file(text, 0, "mount"), from_file(text, admin, "mount")) == (EPERM, ALLOW)
    assert (from_file(text, 0, "umount2"), from_file(text, admin, "umount2")) == (ALLOW, EPERM)
    assert from_file(text, 0, "arch_prctl") == ALLOW
    assert from_file(text, 0, "close") == ENOSYS
    assert (from_file(text, 0, "kill", 1, 9), from_file(text, 0, "kill", 1, 15)) == (EPERM, ALLOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        profile(defaultAction=None, syscalls=7),
        profile(syscalls=[{"names": ["read"]}]),
        profile(archMap=[{}]),
    ],
)
def test_a_profile_file_that_is_none_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(InvalidInput, match="seccomp profile"):
        parse(text, 0)


def test_a_profile_file_that_wants_somebody_to_answer_is_refused() -> None:
    with pytest.raises(NotSupported, match="SCMP_ACT_NOTIFY"):
        parse(profile(syscalls=[{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]), 0)


def test_an_argument_that_does_not_exist_is_refused() -> None:
    bad = {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}
    with pytest.raises(InvalidInput, match=r"args\[0\].index: must be from 0 to 5, not 6"):
        parse(profile(syscalls=[bad]), 0)
