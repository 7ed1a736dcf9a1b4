"""Sentences about a plan: what `--explain` prints, what `--trace` times, what an error message names.

Owns: the words. Leaves to others: the plan (linux/plan), the reason of a failure (errno, by whoever got it).
A sentence starts with a verb, so that it reads in "cannot ...: permission denied" as well as in a list of steps.
Several operations talk about what a slot holds; `lines` and `describe_at` keep track of that, so that they can say
"mount proc on /proc" where the operation by itself says "mount slot 3 on /proc".
"""

from __future__ import annotations

from . import flags
from .plan import ALL_CPUS, HOST, OPERATIONS, Operation, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

Slots = dict[int, str]  # what each slot holds, in words


def lines(plan: Plan) -> list[str]:
    """Give one line per operation: side, then sentence."""
    slots: dict[str, Slots] = {}
    result = []
    for side, operation in plan.operations():
        held = slots.setdefault(side, dict(slots.get("prepare", {})))
        mark = " (if possible)" if operation.optional else ""
        result.append(f"{side:<8} {sentence(operation, held)}{mark}")
        _remember(operation, held)
    return result


def describe_at(plan: Plan, index: int) -> str:
    """Say what the operation at `index` of the encoded order does, without its side."""
    held: Slots = {}
    operations = plan.operations()
    wanted = operations[index]
    for side, operation in operations[:index]:
        if side in (wanted[0], "prepare"):
            _remember(operation, held)
    return sentence(wanted[1], held)


def sentence(operation: Operation, slots: Slots) -> str:
    """Say what `operation` does, where `slots` says what the slots hold."""
    words: Any = _SENTENCES[OPERATIONS[operation.code][0]]
    arguments = [_printable(argument) for argument in operation.arguments]
    return str(words(_Names(slots), *arguments))


def _remember(operation: Operation, slots: Slots) -> None:
    name = OPERATIONS[operation.code][0]
    if name in ("TAKE", "OPEN", "OVERLAY", "ROOT_BIND", "FILESYSTEM", "TREE", "OVERLAY_ID_MAPPED"):
        label: Any = _LABELS[name]
        arguments = [_printable(argument) for argument in operation.arguments]
        slots[int(arguments[0])] = label(_Names(slots), *arguments)
    elif name == "CLOSE":
        slots.pop(int(str(operation.arguments[0])), None)


class _Names:
    """Slots by what they hold: called with a number, gives words."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def __call__(self, slot: int) -> str:
        return self._slots.get(slot) or f"slot {slot}"

    def path(self, beneath: int, path: str) -> str:
        """Name a path: beneath the root it is what the container sees, beneath another slot both are named."""
        holder = self._slots.get(beneath, "the root" if beneath != HOST else "")
        if beneath == HOST:
            return path
        return path if holder == "the root" else f"{path} of {holder}"


def _printable(value: Any) -> Any:
    """Bytes and terminal control characters never reach the screen as they are."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (tuple, list)):
        return [_printable(_text(item)) for item in value]
    return value


def _text(value: Any) -> str:
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return text if text.isprintable() else text.encode("unicode_escape", "backslashreplace").decode()


def _inside(*items: str) -> str:
    words = ",".join(item for item in items if item)
    return f" ({words})" if words else ""


def _attributes(value: int) -> str:
    return ",".join(flags.names(value, flags.MOUNT_ATTRIBUTES))


def _namespaces(value: int) -> str:
    return ", ".join(flags.names(value, flags.NAMESPACES))


def _propagation(value: int) -> str:
    for name, bits in flags.PROPAGATIONS.items():
        if bits == value:
            return name
    return hex(value)


def _limit(value: int) -> str:
    return "unlimited" if value in (-1, flags.RLIM_INFINITY) else str(value)


def _resource(number: int) -> str:
    return flags.RLIMITS[number] if 0 <= number < len(flags.RLIMITS) else str(number)


def _capabilities(value: int) -> str:
    every = (1 << len(flags.CAPABILITIES)) - 1
    if value & every == every:
        return "all"
    names = [name for number, name in enumerate(flags.CAPABILITIES) if value >> number & 1]
    return ",".join(names) or "none"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _command(argv: list[str]) -> str:
    return " ".join(argument if argument and " " not in argument else repr(argument) for argument in argv)


def _map(text: str) -> str:
    """Lines of user_namespaces(7), which have come here as one printable text."""
    return ", ".join(text.removesuffix("\\n").split("\\n"))


def _bits(mask: Any) -> str:
    number = int.from_bytes(mask, "little")
    return ",".join(str(bit) for bit in range(number.bit_length()) if number >> bit & 1)


def _ip(address: Any) -> str:
    from socket import AF_INET, AF_INET6, inet_ntop

    return inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address)


_STDIO = ("/dev/null", "pipes", "a terminal", "the caller's own")

_LABELS: dict[str, Callable[..., str]] = {
    "TAKE": lambda name, slot, descriptor: f"descriptor {descriptor}",
    "OPEN": lambda name, slot, beneath, path, flags: name.path(beneath, _text(path)),
    "OVERLAY": lambda name, slot, mountpoint, base, lowers, upper, *_: "the root" if upper else "an image",
    "OVERLAY_ID_MAPPED": lambda name, slot, users, mountpoint, base, lowers, upper, *_: (
        "the root" if upper else "an image"
    ),
    "ROOT_BIND": lambda name, *_: "the root",
    "FILESYSTEM": lambda name, slot, kind, source, options, attributes: _text(kind),
    "TREE": lambda name, slot, beneath, path, recursive: name.path(beneath, _text(path)),
}

_SENTENCES: dict[str, Callable[..., str]] = {
    "LOG": lambda name, path, size, files: f"log to {path}, {_count(files, 'file')} of {size} bytes",
    "LOG_ATTRIBUTES": lambda name, text: f"say in each record of the log {_text(text)}",
    "STDIO": lambda name, mode, open_stdin, rows, columns: (
        f"connect {_STDIO[mode]}{' and keep standard input open' if open_stdin else ''}"
    ),
    "STDIO_OWNER": lambda name, uid, gid: f"give the pipes to user {uid}, group {gid}",
    "DELAY": lambda name, milliseconds: f"start nothing, but run the exit hook after {milliseconds} ms",
    "HEALTH": lambda name, plan, interval, timeout, start_period, start_interval, retries, late, path: (
        f"check the health every {interval / 1e9:g} s, {_count(retries, 'failure')} in a row make it unhealthy"
    ),
    "EXIT_HOOK": lambda name, argv, environment: f"at the end, when nobody listens, run {_command(argv)}",
    "AWAIT_OWNER": lambda name: "wait for the owner to attach",
    "RUN_DIRECTORY": lambda name, path: f"lock {path}",
    "CGROUP": lambda name, path: f"use cgroup {path}",
    "CLONE": lambda name, value: f"make a process with new namespaces: {_namespaces(value) or 'none'}",
    "ENTER": lambda name, pid, start, value: f"enter the {_namespaces(value)} namespaces of process {pid}",
    "SYNC": lambda name, stage: f"meet the other side at {stage}",
    "TAKE": lambda name, slot, descriptor: f"take descriptor {descriptor} as slot {slot}",
    "OPEN": lambda name, slot, beneath, path, value: f"open {name.path(beneath, path)}",
    "CLOSE": lambda name, slot: f"close {name(slot)}",
    "WRITE": lambda name, beneath, path, data: f"write {_text(data)!r} to {name.path(beneath, path)}",
    "LINK_UP": lambda name, link: f"bring interface {link} up",
    "ADDRESS": lambda name, link, address, prefix: f"give interface {link} the address {_ip(address)}/{prefix}",
    "ROUTE": lambda name, link, gateway: f"route everything through {_ip(gateway)} on {link}",
    "STAGE": lambda name, stage: f"let the owner do its part at {stage}",
    "VETH": lambda name, bridge, host, peer, mac: (
        f"connect {peer} to bridge {bridge} through {host}" + (f", address {mac.hex(':')}" if mac else "")
    ),
    "ID_MAP": lambda name, uids, gids: f"map user ids {_map(uids)} and group ids {_map(gids)}",
    "UNSHARE": lambda name, value: f"make new namespaces: {_namespaces(value)}",
    "SETNS": lambda name, slot, value: f"join the {_namespaces(value) or 'given'} namespace of {name(slot)}",
    "PROPAGATION": lambda name, value: f"make all mounts {_propagation(value)}",
    "OVERLAY": lambda name, slot, mountpoint, base, lowers, upper, work, options: (
        f"mount overlay on {mountpoint}, {_count(len(lowers), 'layer')} of {base}"
        + (f", changes in {upper}" if upper else ", read-only")
        + _inside(*options)
    ),
    "OVERLAY_ID_MAPPED": lambda name, slot, userns, mountpoint, base, lowers, upper, work, options: (
        f"make an overlay, {_count(len(lowers), 'layer')} of {base} with mapped ids"
        + (f", changes in {upper}" if upper else ", read-only")
        + _inside(*options)
    ),
    "ROOT_BIND": lambda name, slot, mountpoint, source: f"mount directory {source} on {mountpoint}",
    "FILESYSTEM": lambda name, slot, kind, source, options, attributes: (
        f"make file system {kind}{_inside(_attributes(attributes), *options)}"
    ),
    "TREE": lambda name, slot, beneath, path, recursive: (
        f"take {name.path(beneath, path)}{' with all below it' if recursive else ''} for a bind mount"
    ),
    "ATTRIBUTES": lambda name, slot, on, off, propagation, recursive: (
        f"make {name(slot)} "
        + (
            "; ".join(
                part
                for part in (
                    _attributes(on),
                    f"not {_attributes(off & ~flags.MOUNT_ATTR__ATIME)}" if off & ~flags.MOUNT_ATTR__ATIME else "",
                    _propagation(propagation) if propagation else "",
                )
                if part
            )
            or "as it is"
        )
        + (" with all below it" if recursive else "")
    ),
    "ATTACH": lambda name, slot, root, path, create: f"mount {name(slot)} on {name.path(root, path)}",
    "DIRECTORY": lambda name, root, path, mode: f"make directory {name.path(root, path)} (mode {mode:04o})",
    "SYMLINK": lambda name, root, path, target: f"link {name.path(root, path)} to {target}",
    "DEVICE": lambda name, root, path, mode, device, uid, gid: (
        f"make device {name.path(root, path)} ({_device(mode, device)})"
    ),
    "MASK": lambda name, root, path, null: f"hide {name.path(root, path)}",
    "READ_ONLY": lambda name, root, path: f"make {name.path(root, path)} read-only",
    "PIVOT": lambda name, root: f"pivot to {name(root)} and let go of the host's",
    "HOSTNAME": lambda name, host: f"set host name {host}",
    "DOMAINNAME": lambda name, domain: f"set domain name {domain}",
    "SESSION": lambda name: "start a new session",
    "TERMINAL": lambda name, root, rows, columns: f"open a terminal ({rows} rows, {columns} columns)",
    "DEATH_SIGNAL": lambda name, signal: f"ask for signal {signal} when the monitor dies",
    "KEYRING": lambda name, ring: f"join new session keyring {ring}",
    "RLIMIT": lambda name, number, soft, hard: f"set limit {_resource(number)} to {_limit(soft)}:{_limit(hard)}",
    "OOM_SCORE": lambda name, adjustment: f"set oom_score_adj {adjustment}",
    "BOUNDING": lambda name, value: f"bound capabilities to {_capabilities(value)}",
    "USER": lambda name, spec, groups: f"become user {spec or 'root'}{_inside(*groups)}",
    "IDENTITY": lambda name, uid, gid, groups: f"become user {uid}, group {gid}",
    "CAPABILITIES": lambda name, effective, permitted, inheritable, ambient: (
        f"set capabilities {_capabilities(permitted)}" + (f", ambient {_capabilities(ambient)}" if ambient else "")
    ),
    "NO_NEW_PRIVILEGES": lambda name: "forbid new privileges",
    "SECCOMP": lambda name, value, program: f"filter system calls ({_count(len(program) // 8, 'instruction')})",
    "UMASK": lambda name, mask: f"set umask {mask:04o}",
    "DIRECTORY_CHANGE": lambda name, path: f"go to directory {path}",
    "SIGNALS": lambda name: "reset signals",
    "MORTAL": lambda name: "let signals end what waits for the start",
    "SEAL": lambda name, keep: f"close descriptors from {keep} on at exec",
    "FORGET": lambda name, keep, gate, verdict: f"close descriptors from {keep} on but those of the gate",
    "INIT": lambda name: "leave an init as process 1",
    "LINK_MOVE": lambda name, link, inside: f"move the interface {link} into the container as {inside}",
    "USER_NAMESPACE": lambda name, slot, uids, gids: f"make a user namespace to map mounts by ({_map(uids)})",
    "ID_MAPPED": lambda name, slot, userns, recursive: f"map the ids of {name(slot)}",
    "COPY_UP": lambda name, slot, root, path, keep: f"fill {name(slot)} with what lies at {name.path(root, path)}",
    "TAKE_MODE": lambda name, slot, root, path: f"give {name(slot)} the mode of {name.path(root, path)}",
    "RECONFIGURE": lambda name, slot, options: f"remount {name(slot)}{_inside(*options)}",
    "CHROOT": lambda name, root: f"make {name(root)} the root by moving it over /",
    "ROOT_CHANGE": lambda name, root: f"make {name(root)} the root of this process",
    "EXECUTABLE": lambda name, search, command: f"look for the executable {command}",
    "HOOK": lambda name, path, argv, environment, head, tail, timeout: f"run the hook {path}",
    "PERSONALITY": lambda name, persona: f"set the personality {persona:#x}",
    "SCHEDULER": lambda name, policy, *_: f"set the scheduling policy {policy}",
    "IO_PRIORITY": lambda name, io_class, priority: f"set the I/O priority {priority} of class {io_class}",
    "CPU_AFFINITY": lambda name, mask: "run on any CPU" if mask == ALL_CPUS else f"run on the CPUs {_bits(mask)}",
    "HOME": lambda name, uid: f"look up the home of user {uid}",
    "MEMORY_POLICY": lambda name, mode, nodes: f"set the memory policy {mode:#x} for the nodes {_bits(nodes) or '-'}",
    "SECCOMP_LISTEN": lambda name, value, program: (
        f"filter system calls ({_count(len(program) // 8, 'instruction')}) and hand out the listener"
    ),
    "READY": lambda name, close: "report that all is set up" + (" and let go of the caller" if close else ""),
    "GATE": lambda name, gate, verdict: "wait for the start",
    "EXEC": lambda name, search, argv, environment: f"execute {_command(argv)}",
}


def _device(mode: int, device: int) -> str:
    from os import major, minor

    return f"{'b' if mode & 0o170000 == 0o060000 else 'c'} {major(device)}:{minor(device)}, mode {mode & 0o7777:04o}"
