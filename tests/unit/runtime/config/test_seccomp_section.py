"""`linux.seccomp`: what a profile may say, and the time that the second start of it takes."""

from __future__ import annotations

import subprocess
import sys

from minirun.runtime import seccomp
from minirun.runtime.spec import Seccomp, SyscallArgument, SyscallRule
from tests.conftest import CHECKOUT
from tests.unit.runtime.config.bundle import refusal, with_

RULE = {"names": ["mkdir", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
PROFILE = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [RULE]}
NOTIFY = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}


def read(**changes: object) -> Seccomp:
    found = with_("linux.seccomp", {**PROFILE, **changes}).linux.seccomp
    assert isinstance(found, Seccomp)
    return found


def test_a_profile_is_read_as_it_is() -> None:
    argument = {"index": 5, "value": 2**64 - 1, "valueTwo": 7, "op": "SCMP_CMP_MASKED_EQ"}
    found = read(
        defaultAction="SCMP_ACT_ERRNO",
        defaultErrnoRet=2,
        architectures=["SCMP_ARCH_X86_64", "SCMP_ARCH_RISCV64"],
        flags=["SECCOMP_FILTER_FLAG_LOG"],
        syscalls=[{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [argument]}],
    )
    assert found == Seccomp(
        default_action="SCMP_ACT_ERRNO",
        default_errno=2,
        architectures=("SCMP_ARCH_X86_64", "SCMP_ARCH_RISCV64"),
        flags=("SECCOMP_FILTER_FLAG_LOG",),
        syscalls=(
            SyscallRule(
                names=("read",),
                action="SCMP_ACT_ALLOW",
                arguments=(SyscallArgument(index=5, value=2**64 - 1, value_two=7, operator="SCMP_CMP_MASKED_EQ"),),
            ),
        ),
    )


def test_flags_that_are_not_given_are_not_the_same_as_none() -> None:
    assert read().flags == ("SECCOMP_FILTER_FLAG_SPEC_ALLOW",)
    assert read(flags=[]).flags == ()


def test_an_error_number_goes_with_an_action_that_has_one() -> None:
    for action in ("SCMP_ACT_ALLOW", "SCMP_ACT_KILL", "SCMP_ACT_NOTIFY"):
        rule = {"names": ["mkdir"], "action": action, "errnoRet": 0}
        assert "linux.seccomp.syscalls[0].errnoRet" in refusal("linux.seccomp", {**PROFILE, "syscalls": [rule]})
    assert "linux.seccomp.defaultErrnoRet" in refusal("linux.seccomp", {**PROFILE, "defaultErrnoRet": 1})


def test_who_is_to_be_notified_has_a_socket() -> None:
    found = read(syscalls=[NOTIFY], listenerPath="/run/agent", listenerMetadata="m")
    assert (found.listener_path, found.listener_metadata) == ("/run/agent", "m")
    assert seccomp.notifies(found)
    assert "linux.seccomp.listenerPath: is missing" in refusal("linux.seccomp", {**PROFILE, "syscalls": [NOTIFY]})


def test_a_socket_is_ignored_when_nobody_is_notified() -> None:
    assert read(listenerPath="/run/agent").listener_path == ""


def test_metadata_needs_a_socket() -> None:
    assert "linux.seccomp.listenerMetadata" in refusal("linux.seccomp", {**PROFILE, "listenerMetadata": "m"})


def test_calls_that_would_hold_the_one_who_tells_cannot_be_notified() -> None:
    assert "can't be the default" in refusal("linux.seccomp", {"defaultAction": "SCMP_ACT_NOTIFY"})
    rule = {**NOTIFY, "names": ["read", "write"]}
    assert "syscalls[0].names[1]" in refusal("linux.seccomp", {**PROFILE, "syscalls": [rule], "listenerPath": "/a"})


def test_reading_a_configuration_imports_neither_json_nor_re() -> None:
    """A start has 25 ms: the two take 7."""
    program = (
        "import sys; from minirun.runtime import config; "
        'config.parse(b\'{"ociVersion":"1.0.0","process":{"args":["a"],"cwd":"/"},"root":{"path":"r"},'
        '"linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW"}}}\'); '
        "print([name for name in ('json', 're', 'typing', 'enum', 'hashlib', 'dataclasses') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
