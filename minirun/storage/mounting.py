"""Volumes that are a file system of their own: `volume create -o type=tmpfs|nfs|ext4|... -o device=... -o o=...`.

Owns: the local driver's options as mount(8) writes them, mounting and unmounting. Leaves to others: which containers need it and
how long (engine/volume_mounts), the volume itself (volumes).

Such a file system is mounted on the volume's directory, in the host's table, as long as a container with it runs: two that run at
once share a tmpfs only so. A bind of a whole directory needs no mount of its own and gets none.
"""

from __future__ import annotations

import os

from ..errors import InvalidInput, MinirunError, NotSupported
from ..linux import syscalls
from ..linux.flags import (
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_RELATIME,
    MOUNT_ATTR_STRICTATIME,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
)
from ..linux.syscalls import reason_within
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

OPTIONS = ("type", "device", "o", "size")
_NEEDS = {"device": ("type",), "type": ("device",), "o": ("device", "type")}
_SECRETS = ("password=", "password2=", "pass=")  # mount.cifs(8)
_PLAIN_BIND = frozenset(("bind", "rbind", "rw", "defaults"))

_MS_BIND, _MS_NODIRATIME = 0x1000, 0x800
# mount(2). What isn't here is the file system's own business.
_FLAGS = {
    "ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC, "sync": 0x10, "mand": 0x40, "dirsync": 0x80,
    "noatime": 0x400, "nodiratime": 0x800, "bind": _MS_BIND, "rbind": _MS_BIND | MS_REC, "relatime": 0x200000,
    "strictatime": 0x1000000,
}  # fmt: skip
_OPPOSITES = {
    "rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "async": "sync", "nomand": "mand", "atime": "noatime",
    "diratime": "nodiratime", "norelatime": "relatime", "nostrictatime": "strictatime",
}  # fmt: skip
# What a bind is given of them, and how its times of access are kept: the first that is asked for counts, or relatime. mount(2)
_ATTRIBUTES = {
    MS_RDONLY: MOUNT_ATTR_RDONLY,
    MS_NOSUID: MOUNT_ATTR_NOSUID,
    MS_NODEV: MOUNT_ATTR_NODEV,
    MS_NOEXEC: MOUNT_ATTR_NOEXEC,
}
_TIMES = {
    0x1000000: MOUNT_ATTR_STRICTATIME,
    0x400: MOUNT_ATTR_NOATIME,
    0x200000: MOUNT_ATTR_RELATIME,
    _MS_NODIRATIME: 0,
}
_PROPAGATIONS = {"unbindable": MS_UNBINDABLE, "private": MS_PRIVATE, "slave": MS_SLAVE, "shared": MS_SHARED}
_BY_NETWORK = ("nfs", "cifs")


class Options(Record):
    """What a volume's options ask for; `device` "" means a directory of its own, like any volume."""

    device: str = ""
    type: str = ""
    words: tuple[str, ...] = ()

    @property
    def is_plain_bind(self) -> bool:
        """Does it show a directory of the host's as it is?"""
        return bool(self.device) and _PLAIN_BIND.issuperset(self.words) and not {"bind", "rbind"}.isdisjoint(self.words)

    @property
    def is_mounted(self) -> bool:
        """Is it a file system, or a bind with rules of its own, that has to be mounted for its containers?"""
        return bool(self.device) and not self.is_plain_bind


def options_of(name: str, options: Mapping[str, str]) -> Options:
    """Read the options of a volume, in docker's words for what can't be. Raises InvalidInput, NotSupported."""
    for key in options:
        if key not in OPTIONS:
            raise InvalidInput(f'create {name}: invalid option: "{key}"')
    for key, needed in _NEEDS.items():
        for other in needed if key in options else ():
            if other not in options:
                raise InvalidInput(f'create {name}: missing required option: "{other}"')
    if options.get("size"):
        raise NotSupported(f"create {name}: quota size requested but no quota support")
    words = tuple(word for word in options.get("o", "").split(",") if word)
    found = Options(device=options.get("device", ""), type=options.get("type", ""), words=words)
    if found.is_plain_bind and not found.device.startswith("/"):
        raise InvalidInput(f"create {name}: the device {found.device!r} needs to be an absolute path")
    return found


def mount(path: str, options: Options) -> None:
    """Mount what `options` ask for on a directory. Blocks while the kernel does it. Raises MinirunError, and nothing is mounted."""
    flags, propagations, data = _split(options.words)
    if options.type in _BY_NETWORK:
        data = [_resolved(path, word) for word in data]
    try:
        if flags & _MS_BIND:
            _bind(options.device, path, flags, propagations)
        else:
            syscalls.mount(options.device, path, options.type, flags, ",".join(data))
            try:
                _propagate(path, propagations)
            except OSError:
                unmount(path)
                raise
    except OSError as error:
        shown = ",".join(f"{word.partition('=')[0]}=********" if word.startswith(_SECRETS) else word for word in data)
        what = (
            f"mount {options.device}:{path}"
            + (f", flags: {flags:#x}" if flags else "")
            + (f", data: {shown}" if data else "")
        )
        raise failure(path, f"failed to mount local volume: {what}: {reason_within(error.errno or 0)}") from error


def _bind(source: str, path: str, flags: int, propagations: list[int]) -> None:
    """Mount a directory as two calls of mount(2) would, of which the second says all flags anew, but in one step: were we killed in
    between, the next container would write to what is to be read only."""
    attributes = cleared = 0
    if flags & ~(_MS_BIND | MS_REC):
        attributes = sum(attribute for flag, attribute in _ATTRIBUTES.items() if flags & flag)
        cleared = sum(_ATTRIBUTES.values()) & ~attributes
    if flags & sum(_TIMES):
        attributes |= next((attribute for flag, attribute in _TIMES.items() if flags & flag), 0)
        nodiratime = MOUNT_ATTR_NODIRATIME if flags & _MS_NODIRATIME else 0
        attributes |= nodiratime
        cleared |= MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME & ~nodiratime
    syscalls.bind(
        source, path, recursive=bool(flags & MS_REC), attributes=attributes, cleared=cleared, propagations=propagations
    )


def _propagate(path: str, propagations: list[int]) -> None:
    for propagation in propagations:
        syscalls.mount("", path, "", propagation, "")


def complete(path: str, options: Options) -> None:
    """Give what is mounted there the propagations that `mount` gives last, and may have been killed before. Raises MinirunError."""
    flags, propagations, _ = _split(options.words)
    try:
        if not flags & _MS_BIND:
            _propagate(path, propagations)
    except OSError as error:
        raise failure(path, f"change its propagation: {reason_within(error.errno or 0)}") from error


def failure(path: str, why: str) -> MinirunError:
    """Give docker's sentence about a volume that can't be mounted."""
    return MinirunError(f"error while mounting volume '{path}': {why}")


def _split(words: tuple[str, ...]) -> tuple[int, list[int], list[str]]:
    """Give the flags, the propagations and the file system's own options."""
    flags, propagations, data = 0, [], []
    for word in words:
        recursive = word[:1] == "r" and word[1:] in _PROPAGATIONS
        if word in _FLAGS:
            flags |= _FLAGS[word]
        elif word in _OPPOSITES:
            flags &= ~_FLAGS[_OPPOSITES[word]]
        elif word in _PROPAGATIONS or recursive:
            propagations.append(_PROPAGATIONS[word.removeprefix("r") if recursive else word] | MS_REC * recursive)
        elif word != "defaults":
            data.append(word)
    return flags, propagations, data


def _resolved(path: str, word: str) -> str:
    """Give `addr=HOST` with the address of the host, which the kernel doesn't look up; any other word as it is."""
    name, _, host = word.partition("=")
    if name != "addr":
        return word
    import socket

    try:
        return f"addr={socket.getaddrinfo(host, None)[0][4][0]}"
    except OSError as error:
        raise failure(path, f"error resolving passed in network volume address: {host}: {error.strerror}") from error


def unmount(path: str) -> None:
    """Take everything that is mounted on a directory out of the tree; containers keep what they have of it. Raises OSError."""
    while syscalls.unmount(path):
        pass


def is_mounted(path: str) -> bool:
    """Is anything mounted on this very directory? proc_pid_mountinfo(5)."""
    real = os.fsencode(
        os.path.realpath(path)
    )  # the data root may be a link, and mounts are shown where they really are
    for byte in (b"\\", b" ", b"\t", b"\n"):
        real = real.replace(byte, b"\\%03o" % byte[0])
    with open("/proc/self/mountinfo", "rb") as file:
        return any(line.split(b" ")[4] == real for line in file)
