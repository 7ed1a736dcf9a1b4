"""The filter in the kernel: calls made by hand from inside, by every way into it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from minirun.runtime.syscall_table import numbers
from tests.integration.runtime.conftest import Container

MACHINE = os.uname().machine
EPERM, ENOSYS, EAFNOSUPPORT = "-1", "-38", "-97"
X86 = pytest.mark.needs("x86_64")

_REFUSED_TEXT = """
    acct add_key bpf fanotify_init fsconfig fsmount fsopen fspick io_uring_setup io_uring_enter io_uring_register kexec_load keyctl
    lookup_dcookie mbind mount mount_setattr move_mount move_pages open_by_handle_at open_tree perf_event_open pidfd_getfd
    pivot_root process_madvise quotactl reboot request_key setdomainname sethostname setns settimeofday swapoff swapon syslog
    umount2 unshare userfaultfd vhangup init_module delete_module finit_module"""
REFUSED = _REFUSED_TEXT.split()


def calls(container: Container, lines: list[str], **options: object) -> list[str]:
    return container.shell("\n".join(f"probe {line}" for line in lines), **options).split()


def test_refused_calls_fail_with_eperm(container: Container) -> None:
    table = numbers(MACHINE)
    known = [name for name in REFUSED if name in table]
    answers = calls(container, [f"native {table[name]}" for name in known])
    assert dict(zip(known, answers, strict=True)) == dict.fromkeys(known, EPERM)


def test_clone3_and_calls_from_the_future_do_not_exist(container: Container) -> None:
    assert calls(container, [f"native {numbers(MACHINE)['clone3']}", "native 900"]) == [ENOSYS, ENOSYS]


def test_cve_2026_31431_sockets_that_lead_out(container: Container) -> None:
    table = numbers(MACHINE)
    families = {38: EPERM, 40: EPERM, 21: EAFNOSUPPORT, 0x100000026: EPERM}
    answers = calls(container, [f"native {table['socket']} {family} 1 0" for family in families])
    assert answers == list(families.values())
    good = calls(container, [f"native {table['socket']} {family} 2 0" for family in (1, 2)])
    assert all(int(answer) > 2 for answer in good)


def test_clone_with_new_namespaces(container: Container) -> None:
    table = numbers(MACHINE)
    assert (
        calls(container, [f"native {table['clone']} {1 << bit | 17}" for bit in (17, 25, 26, 27, 28, 29, 30)])
        == [EPERM] * 7
    )


def test_personality(container: Container) -> None:
    number = numbers(MACHINE)["personality"]
    assert calls(container, [f"native {number} 0x0040000", f"native {number} 0xffffffff"]) == [EPERM, "0"]


@X86
def test_refused_calls_fail_through_the_32_bit_gate(container: Container) -> None:
    table = numbers("i386")
    known = [name for name in (*REFUSED, "socketcall", "umount", "stime") if name in table]
    answers = calls(container, [f"int80 {table[name]}" for name in known])
    assert dict(zip(known, answers, strict=True)) == dict.fromkeys(known, EPERM)
    families = [f"int80 {table['socket']} {family} 1" for family in (38, 40)]
    assert calls(container, [*families, f"int80 {table['clone3']}"]) == [EPERM, EPERM, ENOSYS]


@X86
def test_32_bit_programs_work(container: Container) -> None:
    table = numbers("i386")
    assert calls(container, [f"int80 {table['getuid32']}", f"int80 {table['getppid']}"])[0] == "0"


@X86
def test_the_x32_gate_is_shut(container: Container) -> None:
    table = numbers("x86_64")
    names = ("getpid", "socket", "keyctl", "mount", "clone")
    assert calls(container, [f"x32 {table[name]} 38" for name in names]) == [EPERM] * len(names)


def test_a_capability_brings_its_calls(container: Container) -> None:
    table = numbers(MACHINE)
    # 0 is no clock that can be set to this; what counts is that it is the kernel that says no, not the filter
    lines = [f"native {table['sethostname']} 0 0", f"native {table['setns']} 99 0"]
    assert calls(container, lines, capabilities_add=("SYS_ADMIN",)) == ["0", "-9"]


def test_unconfined_means_no_filter(container: Container) -> None:
    options = {"security_options": ("seccomp=unconfined",)}
    assert container.shell("grep Seccomp: /proc/self/status", **options).split() == ["Seccomp:", "0"]


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_a_profile_from_a_file(container: Container, tmp_path: Path, no_new_privileges: bool) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {
                "names": ["mkdir", "mkdirat", "setgroups", "setuid", "setresuid"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": 28,
            }
        ],
    }
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(profile))
    options = [f"seccomp={path}", "no-new-privileges"] if no_new_privileges else [f"seccomp={path}"]
    number = numbers(MACHINE)["mkdirat"]
    assert calls(container, [f"native {number}"], security_options=tuple(options), user="alice") == ["-28"]
