"""Annotations that ask the runtime for something: those of crun, whose users have them in their bundles.

Owns: `run.oci.keep_original_groups`, `run.oci.hooks.stdout` and `.stderr`, `run.oci.seccomp_fail_unknown_syscall`,
`run.oci.seccomp_bpf_data`, `run.oci.timens_offset`.
Leaves to others: the receiver of a seccomp listener (seccomp), a pidfd's (create), names and properties in cgroups
(cgroups/container). crun(1), "Extensions to OCI". All others are words for whoever reads the state.
"""

from __future__ import annotations

import os

from ...errors import InvalidInput
from ..spec import CLOCKS, RawSeccomp, Seccomp, TimeOffset
from .reader import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..spec import Spec

KEEP_GROUPS = "run.oci.keep_original_groups"
_HOOK_FILES = {"stdout": "run.oci.hooks.stdout", "stderr": "run.oci.hooks.stderr"}
FAIL_UNKNOWN = "run.oci.seccomp_fail_unknown_syscall"
BPF_DATA = "run.oci.seccomp_bpf_data"
TIME_OFFSETS = "run.oci.timens_offset"
_ABSENT = ("", "0")
_INSTRUCTION = 8  # bytes of struct sock_filter, linux/filter.h


def annotated(spec: Spec) -> Spec:
    """Give the spec with what its annotations ask for. InvalidInput for a file or a system call that makes no sense."""
    asked = spec.annotations
    if asked.get(KEEP_GROUPS, "") not in _ABSENT:
        user = spec.process.user.replace(additional_gids=tuple(os.getgroups()))
        spec = spec.replace(process=spec.process.replace(user=user))
    for name in _HOOK_FILES.values():
        if name in asked and not asked[name].startswith("/"):
            raise InvalidInput(f"annotations.{name} must be the absolute path of a file, not {shown(asked[name])}")
    if asked.get(FAIL_UNKNOWN, "") not in _ABSENT and isinstance(spec.linux.seccomp, Seccomp):
        _check_calls(spec.linux.seccomp)
    if asked.get(TIME_OFFSETS) and spec.linux.has_new("time"):
        spec = spec.replace(linux=spec.linux.replace(time_offsets=_time_offsets(asked[TIME_OFFSETS])))
    if BPF_DATA in asked:
        spec = spec.replace(linux=spec.linux.replace(seccomp=RawSeccomp(program=_filter(asked[BPF_DATA]))))
    return spec


def hook_files(annotations: Mapping[str, str]) -> dict[str, str]:
    """Give the files that hooks append to, as `hooks.run` takes them: those hooks that run outside of the container."""
    return {stream: annotations.get(name, "") for stream, name in _HOOK_FILES.items()}


def _time_offsets(text: str) -> tuple[TimeOffset, ...]:
    """Read lines of /proc/self/timens_offsets: clock, seconds, nanoseconds. time_namespaces(7)"""
    found = []
    for line in text.splitlines():
        try:
            clock, seconds, nanoseconds = line.split()
            found.append(TimeOffset(clock=clock, seconds=int(seconds), nanoseconds=int(nanoseconds)))
        except ValueError:
            clock = ""
        if clock not in CLOCKS:
            raise InvalidInput(f"annotations.{TIME_OFFSETS} must be like 'monotonic 3600 0', not {shown(line)}")
    return tuple(found)


def _filter(text: str) -> bytes:
    """Give the program that stands instead of `linux.seccomp`. Whether it is one, the kernel says. seccomp(2)"""
    from binascii import Error, a2b_base64

    try:
        program = a2b_base64(text, strict_mode=True)
    except (Error, ValueError) as error:
        raise InvalidInput(f"annotations.{BPF_DATA} isn't base64: {error}") from error
    if not program or len(program) % _INSTRUCTION:
        raise InvalidInput(f"annotations.{BPF_DATA}: {len(program)} bytes aren't instructions of {_INSTRUCTION} bytes")
    return program


def _check_calls(seccomp: Seccomp) -> None:
    from ..syscall_table import ELSEWHERE, numbers

    known = {*ELSEWHERE.split(), *numbers("x86_64"), *numbers("i386"), *numbers("aarch64")}
    for index, rule in enumerate(seccomp.syscalls):
        for name in rule.names:
            if name not in known:
                raise InvalidInput(
                    f"linux.seccomp.syscalls[{index}].names: no system call that we know is called {shown(name)}"
                )
