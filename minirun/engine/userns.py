"""Which ids of the host a container's user namespace holds: `--userns auto`.

Owns: what the option says, the reserve of ids, leases of them, and what a lease changes in a spec. Leaves to others: the
namespace and the mapped mounts (runtime/compile). Imported only for containers that have asked for one.

A lease belongs to its container from creation to removal, through stop and start: what the container has written lies in its
upper directory under these ids. The reserve is what /etc/subuid and /etc/subgid give to `containers`, podman's name for it; where
they say nothing, RESERVE, in which no distribution has users (systemd, UIDS-GIDS.md: "unused"), less what others have there.
"""

from __future__ import annotations

import errno
import os

from .. import database
from ..errors import Exhausted, InvalidInput, NotSupported
from ..record import Record
from ..runtime.spec import IdMapping, Namespace
from ..units import ID_MAX, whole_number
from .spec_limits import EVERYBODY

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from ..runtime.spec import Mount, Spec
    from .config import ContainerConfig
    from .container import Container
    from .engine import Engine

    Range = tuple[int, int]  # first id, how many

SIZE = 65536
RESERVE: Range = (1 << 31, (1 << 31) - SIZE)  # the last ids mean "none" to the kernel
RESERVED_FOR = "containers"
_OLDEST_KERNEL = (5, 19)  # overlayfs on ID-mapped layers
_PING_RANGE = "net.ipv4.ping_group_range"
_TTY_GROUP = 5

# Made when the first container asks for it: a database that is older than this table has no other need to change.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS id_leases (
    container_id TEXT PRIMARY KEY,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    size INTEGER NOT NULL
) STRICT, WITHOUT ROWID
"""


class IdLease(Record):
    """`size` ids of the host from `uid` and `gid` on, which are the container's from 0 on."""

    uid: int
    gid: int
    size: int

    @property
    def uid_mappings(self) -> tuple[IdMapping, ...]:
        return (IdMapping(container_id=0, host_id=self.uid, size=self.size),)

    @property
    def gid_mappings(self) -> tuple[IdMapping, ...]:
        return (IdMapping(container_id=0, host_id=self.gid, size=self.size),)


# ---- The option ----------------------------------------------------------------------------------------------------


def size_of(mode: str) -> int:
    """Give how many ids `auto` or `auto:size=N` asks for; InvalidInput for anything else."""
    kind, colon, rest = mode.partition(":")
    if kind != "auto":
        raise InvalidInput(f"invalid --userns: {mode!r}: there are host, auto and auto:size=N")
    if not colon:
        return SIZE
    key, _, value = rest.partition("=")
    if key in ("uidmapping", "gidmapping"):
        raise InvalidInput(f"--userns {mode}: {key} isn't supported: each container gets one range of ids, from 0 on")
    size = whole_number(value, ID_MAX) if key == "size" else None
    if not size:
        raise InvalidInput(f"invalid --userns: {mode!r}: the size is a number of ids, as in auto:size={SIZE}")
    return size


def check(config: ContainerConfig) -> None:
    """Raise InvalidInput for what can't be together with a user namespace of the container's own."""
    size = size_of(config.userns)
    for number in (*config.user.split(":"), *config.groups_add):
        if number.isascii() and number.isdecimal() and whole_number(number, size - 1) is None:
            raise InvalidInput(
                f"--userns {config.userns}: {number[:64]} isn't among the container's ids, 0 to {size - 1}"
            )


def check_host(engine: Engine) -> None:
    """Raise NotSupported when the kernel, or the file system of the layers, can't show them under other ids. Makes nothing."""
    from ..linux import syscalls

    release = os.uname().release
    if tuple(int(part) for part in release.split("-")[0].split(".")[:2]) < _OLDEST_KERNEL:
        raise NotSupported(f"--userns auto needs Linux 5.19, for layers with mapped ids; this is {release}")
    try:
        namespace = syscalls.user_namespace("0 0 1\n")
    except OSError as error:
        why = syscalls.reason_within(error.errno or 0)
        if error.errno in (errno.ENOSPC, errno.EUSERS):
            why = "there may be no more of them: see /proc/sys/user/max_user_namespaces"
        raise NotSupported(f"--userns auto: this host makes no user namespace: {why}") from error
    try:
        syscalls.check_id_mapping(engine.snapshots.root, namespace)
    except OSError as error:
        why = syscalls.reason_within(error.errno or 0)
        if error.errno == errno.EINVAL:
            why = "its file system has no ID-mapped mounts (ext4, xfs, btrfs and tmpfs have them)"
        raise NotSupported(f"--userns auto: the ids of {engine.snapshots.root} can't be mapped: {why}") from error
    finally:
        os.close(namespace)


# ---- Leases --------------------------------------------------------------------------------------------------------


def lease(connection: sqlite3.Connection, container: Container) -> IdLease:
    """Give a container ids that no other one has, until `release`; Exhausted. In the transaction that writes its row."""
    connection.execute(_SCHEMA)
    size = size_of(container.config.userns)
    rows = connection.execute("SELECT uid, gid, size FROM id_leases").fetchall()
    uid = _free("/etc/subuid", ((uid, count) for uid, _gid, count in rows), size)
    gid = _free("/etc/subgid", ((gid, count) for _uid, gid, count in rows), size)
    connection.execute("INSERT INTO id_leases VALUES (?, ?, ?, ?)", (container.id, uid, gid, size))
    return IdLease(uid=uid, gid=gid, size=size)


def release(connection: sqlite3.Connection, container_id: str) -> None:
    """Give a container's ids back, once its processes and its files are gone. None leased is no error."""
    connection.execute(_SCHEMA)
    connection.execute("DELETE FROM id_leases WHERE container_id = ?", (container_id,))


def holders(connection: sqlite3.Connection) -> list[str]:
    """Give the containers that have ids."""
    connection.execute(_SCHEMA)
    return [row[0] for row in connection.execute("SELECT container_id FROM id_leases ORDER BY container_id")]


def lease_of(connection: sqlite3.Connection, container_id: str) -> IdLease | None:
    """Give the ids that a container has; None for one that is only being explained."""
    connection.execute(_SCHEMA)
    row = connection.execute("SELECT uid, gid, size FROM id_leases WHERE container_id = ?", (container_id,)).fetchone()
    return IdLease(uid=row[0], gid=row[1], size=row[2]) if row else None


def lease_to_expect(connection: sqlite3.Connection, container: Container) -> IdLease:
    """Give what `lease` would give now, and lease nothing."""
    found = None
    try:
        with database.transaction(connection):
            found = lease(connection, container)
            raise _RolledBack
    except _RolledBack:
        pass
    assert found is not None
    return found


class _RolledBack(Exception):
    """Ends a transaction whose changes nobody wants."""


def _free(file: str, leased: Iterable[Range], size: int) -> int:
    """Give the first id of a gap of `size` ids in the reserve."""
    reserve, foreign = _reserve(file)
    taken = sorted((*leased, *foreign))
    for first, count in reserve:
        candidate = first
        for begin, length in taken:
            if begin + length <= candidate:
                continue
            if begin >= candidate + size:
                break
            candidate = begin + length
        if candidate + size <= first + count:
            return candidate
    raise Exhausted(
        f"lease {size} ids for the container: {file} has no such gap left in what it reserves for {RESERVED_FOR!r}; "
        "remove containers, reserve more, or ask for fewer with --userns auto:size=N"
    )


def _reserve(file: str) -> tuple[list[Range], list[Range]]:
    """Give the ranges that are ours, and those in them that are others'. subuid(5)."""
    own: list[Range] = []
    foreign: list[Range] = []
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                owner, _, numbers = line.strip().partition(":")
                first, _, count = numbers.partition(":")
                begin, length = whole_number(first, ID_MAX), whole_number(count, ID_MAX + 1)
                if begin is not None and length:  # as newuidmap(1), which skips what it can't read
                    length = min(length, ID_MAX + 1 - begin)
                    (own if owner == RESERVED_FOR else foreign).append((begin, length))
    except FileNotFoundError:
        pass
    # Who wrote down a reserve of ours has decided about overlaps.
    return (own, []) if own else ([RESERVE], foreign)


def give(engine: Engine, container: Container, *paths: str) -> None:
    """Give files that are made for the container to its root."""
    held = lease_of(engine.connection, container.id)
    assert held is not None
    for path in paths:
        os.chown(path, held.uid, held.gid, follow_symlinks=False)


# ---- What it changes in a spec -------------------------------------------------------------------------------------


def mapped(spec: Spec, held: IdLease) -> Spec:
    """Give the spec of the same container in a user namespace of its own."""
    linux = spec.linux
    sysctl = linux.sysctl
    if sysctl.get(_PING_RANGE) == EVERYBODY:  # both ends have to be ids that exist here
        sysctl = {**sysctl, _PING_RANGE: f"0 {held.size - 1}"}
    return spec.replace(
        mounts=tuple(_mount(mount, held) for mount in spec.mounts),
        linux=linux.replace(
            namespaces=(*linux.namespaces, Namespace(kind="user")),
            uid_mappings=held.uid_mappings,
            gid_mappings=held.gid_mappings,
            sysctl=sysctl,
        ),
    )


def _mount(mount: Mount, held: IdLease) -> Mount:
    """What a mount option says in the container's ids and the kernel reads in the host's."""
    if mount.type == "devpts" and held.size <= _TTY_GROUP:
        return mount.replace(data=tuple(item for item in mount.data if not item.startswith("gid=")))
    if not mount.uid_mappings:
        return mount
    return mount.replace(
        uid_mappings=tuple(item.replace(host_id=held.uid + item.host_id) for item in mount.uid_mappings),
        gid_mappings=tuple(item.replace(host_id=held.gid + item.host_id) for item in mount.gid_mappings),
    )
