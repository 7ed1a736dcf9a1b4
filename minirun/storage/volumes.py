"""Volumes: directories that outlive containers.

Owns: volumes/NAME/_data, the table of volumes, filling an empty one at its first use. Leaves to others: which container uses which
(engine/volumes), what is copied into it (engine/volume_mounts), the mount (runtime).

    volumes/NAME/_data       what containers see
    volumes/NAME/filling     the copy of an image's content, until it is complete and moved

A row is written first and deleted last. Each step can be repeated, so that whatever a killed command left is finished by `settle`:

    creating -> ready        the directories are made
    ready -> copying -> ready            the copy is incomplete: it is removed
             copying -> filling -> ready it is complete: what isn't moved yet is moved
    ready -> removing -> (gone)
    ready -> mounted -> ready            a file system of its own lies on _data (mounting)
             removing -> creating -> ready  it can't be removed: it is there again, with what is left in it

Every step is made under the volume's lock. _data itself is never replaced: a container may have it mounted already.
"""

from __future__ import annotations

import os
import time

from .. import database
from ..errors import InvalidInput, MinirunError, NotFound
from ..files import Lock
from ..jsontext import dumps, loads
from ..light import suppress
from ..linux import syscalls
from ..record import Record
from .overlay import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

    from .mounting import Options

DATA = "_data"
FILLING = "filling"
ANONYMOUS = "com.docker.volume.anonymous"  # the label that tells them apart, docker's own
NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
NAME_MAX = 255
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SELECT = "SELECT name, created_ns, labels, options, status FROM volumes"
_LOCKS = 1 << 61  # containers' locks are below: engine/engine


class Volume(Record):
    """One volume; `options` are those of the driver: type, device, o."""

    name: str
    created_ns: int
    labels: dict[str, str] = {}
    options: dict[str, str] = {}
    status: str = "ready"

    @property
    def is_anonymous(self) -> bool:
        return ANONYMOUS in self.labels


class Volumes:
    """All volumes of one data root."""

    def __init__(self, root: str, connection: sqlite3.Connection, locks: str) -> None:
        self.root = root
        self._connection = connection
        self._locks = locks

    # ---- rows

    def get(self, name: str) -> Volume | None:
        """Give the volume of this name, whatever state it is in."""
        if not name.isascii():
            return None
        row = self._connection.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
        return _from_row(row) if row else None

    def find(self, name: str) -> Volume:
        """Give the volume of this name; NotFound in docker's words."""
        volume = self.get(name)
        if volume is None or volume.status == "removing":
            raise NotFound(f"get {name}: no such volume")
        return volume

    def all(self) -> list[Volume]:
        """Give every volume, by name."""
        rows = self._connection.execute(f"{_SELECT} WHERE status != 'removing' ORDER BY name")
        return [_from_row(row) for row in rows]

    def claim(self, name: str, labels: Mapping[str, str], options: Mapping[str, str]) -> bool:
        """Write down a volume that isn't there yet; False for one that is. In the caller's transaction; `settle` makes it.

        Raises InvalidInput for a name that can't be one, MinirunError when it is being removed at this moment, OSError on a
        kernel without openat2(2).
        """
        existing = self.get(check_name(name))
        if existing is not None and existing.status == "removing":
            raise MinirunError(f"create {name}: the volume is being removed; try again")
        if existing is not None:
            return False
        syscalls.require_openat2()
        values = (name, time.time_ns(), dumps(dict(labels)), dumps(dict(options)), "creating")
        self._connection.execute("INSERT INTO volumes VALUES (?, ?, ?, ?, ?)", values)
        database.record_event(self._connection, "volume", "create", name, {"driver": "local"})
        return True

    def mark(self, name: str, status: str) -> None:
        """Change a volume's state. In a transaction of its own unless the caller has one."""
        with database.transaction(self._connection):
            self._connection.execute("UPDATE volumes SET status = ? WHERE name = ?", (status, name))

    # ---- directories

    def directory(self, name: str) -> str:
        return f"{self.root}/{name}"

    def data(self, name: str) -> str:
        """Give the directory that containers see."""
        return f"{self.root}/{name}/{DATA}"

    def lock(self, name: str) -> Lock:
        """The lock under which a volume's directories change."""
        from binascii import crc32

        return Lock(self._locks, _LOCKS + crc32(name.encode()))  # two that share one wait for each other, no more

    def settle(self, name: str) -> Volume | None:
        """Bring a volume out of a passing state: finish what was begun. Gives it as it is then. Blocks while another is at it."""
        with self.lock(name):
            return self.settle_locked(name)

    def settle_locked(self, name: str) -> Volume | None:
        """As `settle`, for a caller that holds the lock. Raises MinirunError."""
        volume = self.get(name)
        if volume is None or volume.status in ("ready", "mounted"):
            return volume
        try:
            if volume.status == "removing":
                self._erase_or_keep(name)
                return None
            if volume.status == "creating":
                self._make(name)
            elif volume.status == "copying":
                self._drop_copy(name)
            else:
                self._move_in(name)
        except OSError as error:
            raise MinirunError(f"volume {name}: {error.strerror}: {error.filename or self.directory(name)}") from error
        self.mark(name, "ready")
        return volume.replace(status="ready")

    def is_empty(self, name: str) -> bool:
        with os.scandir(self.data(name)) as entries:
            return next(entries, None) is None

    def fill(self, name: str, copy: Callable[[int], bool]) -> None:
        """Let `copy` fill a directory and make its content the volume's, if that is empty; all of it or nothing.

        `copy` gets a new directory's descriptor and says whether there was something to copy. Raises what it raises, OSError.
        """
        with self.lock(name):
            volume = self.settle_locked(name)
            if volume is None or not self.is_empty(name):
                return
            self.mark(name, "copying")
            try:
                if self._copy(name, copy):
                    self.mark(name, "filling")
            finally:
                self.settle_locked(name)

    def mount(self, name: str, options: Options) -> None:
        """Mount what a volume is on its directory, unless it is there; for who holds its lock. Raises MinirunError."""
        from . import mounting

        self.settle_locked(name)
        if mounting.is_mounted(self.data(name)):
            mounting.complete(self.data(name), options)
        else:
            self.mark(name, "mounted")
            mounting.mount(self.data(name), options)

    def unmount(self, name: str) -> None:
        """Take a volume's file system away again; for who holds its lock and knows that nobody needs it. Raises MinirunError."""
        from . import mounting

        volume = self.get(name)
        if volume is None or volume.status != "mounted":
            return
        try:
            mounting.unmount(self.data(name))
        except OSError as error:
            raise MinirunError(f"volume {name}: {error.strerror}: {self.data(name)}") from error
        self.mark(name, "ready")

    def _copy(self, name: str, copy: Callable[[int], bool]) -> bool:
        path = f"{self.directory(name)}/{FILLING}"
        os.mkdir(path, 0o700)
        descriptor = os.open(path, _DIRECTORY)
        try:
            if not copy(descriptor):
                return False
            from ..linux import trees

            trees.sync_file_system(descriptor)  # from now on it counts as complete
            return True
        finally:
            os.close(descriptor)

    def _make(self, name: str) -> None:
        for path, mode in ((self.root, 0o700), (self.directory(name), 0o700), (self.data(name), 0o755)):
            with suppress(FileExistsError):
                os.mkdir(path, mode)
                os.chmod(path, mode)  # whatever the umask

    def _erase_or_keep(self, name: str) -> None:
        """Remove the directory and the row; OSError, and then it is no secret what still lies there."""
        try:
            self._erase(name)
        except OSError:
            self.mark(name, "creating")
            self._make(name)
            self.mark(name, "ready")
            raise

    def _erase(self, name: str) -> None:
        from .mounting import unmount

        unmount(self.data(name))
        with suppress(FileNotFoundError):
            parent = os.open(self.root, _DIRECTORY)
            try:
                remove_tree(parent, name)
            finally:
                os.close(parent)
        with database.transaction(self._connection):
            gone = self._connection.execute("DELETE FROM volumes WHERE name = ? AND status = 'removing'", (name,))
            if gone.rowcount:
                database.record_event(self._connection, "volume", "destroy", name, {"driver": "local"})

    def _drop_copy(self, name: str) -> None:
        parent = os.open(self.directory(name), _DIRECTORY)
        try:
            remove_tree(parent, FILLING)
        finally:
            os.close(parent)

    def _move_in(self, name: str) -> None:
        """Move what was copied, entry by entry, and give the directory the attributes of the image's. Can be repeated."""
        try:
            source = os.open(f"{self.directory(name)}/{FILLING}", _DIRECTORY)
        except FileNotFoundError:
            return
        try:
            target = os.open(self.data(name), _DIRECTORY)
            try:
                before = os.stat(source)  # each move changes its times
                for entry in os.listdir(source):
                    os.rename(entry, entry, src_dir_fd=source, dst_dir_fd=target)
                _take_attributes(source, before, target)
            finally:
                os.close(target)
        finally:
            os.close(source)
        os.rmdir(f"{self.directory(name)}/{FILLING}")


def check_name(name: str) -> str:
    """Give the name; InvalidInput in docker's words when it can't be a volume's."""
    if len(name) < 2 or len(name) > NAME_MAX:
        length = "short, names should be at least two alphanumeric characters" if len(name) < 2 else "long"
        raise InvalidInput(f"create {name}: volume name is too {length}")
    if not NAME_CHARACTERS.issuperset(name) or name[0] in "_.-":
        raise InvalidInput(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )
    return name


def _take_attributes(source: int, status: os.stat_result, target: int) -> None:
    """In this order: a change of owner cuts mode bits, all of it changes times."""
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, status.st_mode & 0o7777)
    for name in os.listxattr(source):
        os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _from_row(row: tuple[str, int, str, str, str]) -> Volume:
    name, created_ns, labels, options, status = row
    return Volume(name=name, created_ns=created_ns, labels=loads(labels), options=loads(options), status=status)
