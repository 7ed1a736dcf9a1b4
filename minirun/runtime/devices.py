"""The device filter: which device nodes the processes of a cgroup may make, read and write.

Owns: an assembler for the few eBPF instructions that takes, loading and attaching the program, device numbers of
the host. Leaves to others: the rules that are asked for (engine/spec), the cgroup (runtime/cgroups).

A cgroup v2 has no file for devices: a program of type BPF_PROG_TYPE_CGROUP_DEVICE is asked at each mknod and open.
It sees

    struct bpf_cgroup_dev_ctx { u32 access_type;  /* access << 16 | type */  u32 major;  u32 minor; }

The kernel frees it with the cgroup; nothing is pinned. Loading one takes the kernel 0.3 ms, so the usual rules are
attached once, to a directory that the cgroups of all containers with these rules lie in. bpf(2), linux/bpf.h.
"""

from __future__ import annotations

import os
import struct

from ..errors import InvalidInput
from ..units import whole_number
from .spec import DeviceNode, DeviceRule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BLOCK, _CHARACTER = 1, 2  # BPF_DEVCG_DEV_*
_ACCESS = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*

# Registers: r0 the answer, r1 the context, r2 type, r3 access, r4 major, r5 minor.
_LOAD_WORD = 0x61  # BPF_LDX | BPF_MEM | BPF_W
_MOVE = 0xBF  # BPF_ALU64 | BPF_MOV | BPF_X
_MOVE_NUMBER = 0xB7  # BPF_ALU64 | BPF_MOV | BPF_K
_AND_NUMBER = 0x57  # BPF_ALU64 | BPF_AND | BPF_K
_SHIFT_RIGHT = 0x77  # BPF_ALU64 | BPF_RSH | BPF_K
_JUMP = 0x05  # BPF_JMP | BPF_JA
_JUMP_UNEQUAL = 0x55  # BPF_JMP | BPF_JNE | BPF_K
_HIGHEST = 0xFFFFF  # minor; a major has 12 bits. include/linux/kdev_t.h
_JUMP_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_EXIT = 0x95  # BPF_JMP | BPF_EXIT


def assemble(rules: Sequence[DeviceRule]) -> bytes:
    """Give the program for `rules`: the last one that matches decides, as the specification says; none: no access."""
    program = (
        _instruction(_LOAD_WORD, 2, 1, offset=0)
        + _instruction(_MOVE, 3, 2)
        + _instruction(_AND_NUMBER, 2, value=0xFFFF)
        + _instruction(_SHIFT_RIGHT, 3, value=16)
        + _instruction(_LOAD_WORD, 4, 1, offset=4)
        + _instruction(_LOAD_WORD, 5, 1, offset=8)
    )
    for rule in reversed(rules):
        program += _rule(rule)
        if rule.kind == "a" and set(rule.access) == set("rwm") and rule.major is None and rule.minor is None:
            return program  # matches everything: what follows would be dead code, which the verifier refuses
    return program + _instruction(_MOVE_NUMBER, 0) + _instruction(_EXIT)


def _rules(*numbers: tuple[int, int | None]) -> tuple[DeviceRule, ...]:
    return tuple(DeviceRule(allow=True, kind="c", major=major, minor=minor) for major, minor in numbers)


# What every container may do: make any node (the capability decides), and use those that lead to nothing of the host.
DEFAULT = (
    DeviceRule(allow=False),
    DeviceRule(allow=True, kind="c", access="m"),
    DeviceRule(allow=True, kind="b", access="m"),
    # null zero full random urandom, tty console ptmx, pts/*
    *_rules((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, None)),
)

EVERYTHING = (DeviceRule(allow=True),)

# The nodes that every container has. config-linux.md, "Default Devices"; ptmx and console come with devpts and a terminal.
NODES = tuple(
    DeviceNode(path=f"/dev/{name}", kind="c", major=major, minor=minor)
    for name, major, minor in (
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    )
)


def with_defaults(nodes: Sequence[DeviceNode]) -> tuple[DeviceNode, ...]:
    """Give `nodes` and those of the default ones that they don't replace."""
    own = {node.path for node in nodes}
    return (*(node for node in NODES if node.path not in own), *nodes)


def of_container(rules: Sequence[DeviceRule]) -> tuple[DeviceRule, ...]:
    """Give the rules of a bundle's container: nothing, then what its configuration says, then what every container may.

    In this order the last word is that of the runtime's own list, as runc and crun have it: `{"allow": false}` alone, which most
    configurations begin with, leaves a container its /dev/null. EVERYTHING when nothing is forbidden.
    """
    everything = False
    for rule in rules:
        if rule.kind == "a" and rule.major is None and rule.minor is None and set(rule.access) == set("rwm"):
            everything = rule.allow
        elif not rule.allow:
            everything = False
    return EVERYTHING if everything else (DEFAULT[0], *rules, *DEFAULT[1:])


def rule(text: str) -> DeviceRule:
    """Read "c 1:3 rwm", "a *:* rwm", as cgroup v1 has it (devices.rst); raises InvalidInput."""
    kind, _, rest = text.partition(" ")
    numbers, _, access = rest.partition(" ")
    major, colon, minor = numbers.partition(":")
    found = [_number(part) for part in (major, minor)]
    is_access = 0 < len(access) <= 3 and not access.strip("rwm")
    if kind not in ("a", "b", "c") or not colon or -1 in found or not is_access:
        raise InvalidInput(f"invalid device cgroup format '{text[:80]}'")
    return DeviceRule(allow=True, kind=kind, major=found[0], minor=found[1], access=access)


def _number(text: str) -> int | None:
    """Give a device number, None for any, -1 for what is none."""
    if text == "*":
        return None
    number = whole_number(text, 0xFFFFFFFF)
    return -1 if number is None else number


def attach(cgroup: str, rules: Sequence[DeviceRule]) -> None:
    """Put the filter on the cgroup directory. OSError when this host doesn't let us (no CAP_BPF, no kernel support)."""
    from .._native import ffi, lib

    program = assemble(rules)
    _on_directory(cgroup, lambda fd: lib.mr_bpf_device_attach(fd, ffi.from_buffer(program), len(program) // 8))


def replace(cgroup: str, rules: Sequence[DeviceRule]) -> None:
    """Exchange the filter that `attach` put on the cgroup directory, in one step; EVERYTHING takes it away. OSError as `attach`."""
    from .._native import ffi, lib

    program = b"" if rules == EVERYTHING else assemble(rules)
    _on_directory(cgroup, lambda fd: lib.mr_bpf_device_replace(fd, ffi.from_buffer(program), len(program) // 8))


def is_attached(cgroup: str) -> bool:
    """Is a device filter attached to this very cgroup directory? OSError when the host doesn't tell."""
    from .._native import lib

    return bool(_on_directory(cgroup, lib.mr_bpf_device_count))


def _on_directory(cgroup: str, call: Callable[[int], int]) -> int:
    """Give what `call` gives for a descriptor of the directory; OSError for an errno."""
    fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        result = call(fd)
    finally:
        os.close(fd)
    if result < 0:
        raise OSError(-result, f"bpf: device filter: {os.strerror(-result)}", cgroup)
    return result


def node_of_host(path: str, inside: str = "") -> DeviceNode:
    """Describe a device node of the host for use at `inside` (or the same path); InvalidInput when it isn't one."""
    import stat

    try:
        status = os.stat(path)
    except OSError as error:
        why = (error.strerror or "").lower()
        raise InvalidInput(f'error gathering device information while adding custom device "{path}": {why}') from error
    if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        raise no_node(path)
    return DeviceNode(
        path=inside or path,
        kind="c" if stat.S_ISCHR(status.st_mode) else "b",
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        mode=stat.S_IMODE(status.st_mode),
        source="" if inside in ("", path) else path,
        uid=status.st_uid,
        gid=status.st_gid,
    )


def no_node(path: str) -> InvalidInput:
    """Say that a path of the host is no device node, nor a directory with any."""
    return InvalidInput(f'error gathering device information while adding custom device "{path}": not a device node')


def nodes_beneath(path: str, inside: str = "") -> list[DeviceNode]:
    """Describe all device nodes beneath a directory of the host; terminals and what a container has of its own left out."""
    inside = inside or path
    nodes: list[DeviceNode] = []
    for entry in sorted(os.scandir(path), key=lambda item: item.name):
        if entry.is_dir(follow_symlinks=False):
            if not (path == "/dev" and entry.name in ("pts", "shm", "mqueue", "fd", "hugepages")):
                nodes += nodes_beneath(entry.path, f"{inside}/{entry.name}")
        elif not (path == "/dev" and entry.name in ("console", "ptmx")) and _is_device(entry):
            nodes.append(node_of_host(entry.path, f"{inside}/{entry.name}"))
    return nodes


def _is_device(entry: os.DirEntry[str]) -> bool:
    import stat

    mode = entry.stat(follow_symlinks=False).st_mode
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _rule(rule: DeviceRule) -> bytes:
    """Give the instructions of one rule: comparisons that leave it, then the answer. None for numbers that no device has."""
    if max(rule.major or 0, rule.minor or 0) > _HIGHEST:
        return b""
    body = _instruction(_MOVE_NUMBER, 0, value=int(rule.allow)) + _instruction(_EXIT)
    if rule.minor is not None:
        body = _leave_unless(5, rule.minor, body)
    if rule.major is not None:
        body = _leave_unless(4, rule.major, body)
    bits = sum(_ACCESS[letter] for letter in set(rule.access))
    if bits != 7 and rule.allow:
        # Allowed is what asks for nothing else.
        body = _instruction(_JUMP_ANY_BIT, 3, value=7 & ~bits, offset=len(body) // 8) + body
    elif bits != 7:
        # Denied is what asks for any of it.
        body = _instruction(_JUMP_ANY_BIT, 3, value=bits, offset=1) + _instruction(_JUMP, offset=len(body) // 8) + body
    if rule.kind != "a":
        body = _leave_unless(2, _BLOCK if rule.kind == "b" else _CHARACTER, body)
    return body


def _leave_unless(register: int, value: int, body: bytes) -> bytes:
    return _instruction(_JUMP_UNEQUAL, register, value=value, offset=len(body) // 8) + body


def _instruction(code: int, destination: int = 0, source: int = 0, *, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", code, source << 4 | destination, offset, value)
