"""The tree of this host, and the engine's directory in it.

Owns: where the tree is, which cgroup belongs to which container of the engine, making it and giving it back.
Leaves to others: writing limits (controllers), what they are in version 2 (limits), the processes (members), the container
of a bundle (container), putting the first process in (clone3 with CLONE_INTO_CGROUP, native/).

    /sys/fs/cgroup/            the tree of a unified host; on a hybrid host it is mounted elsewhere, with few controllers
      minirun/                 controllers enabled for the children, as they are asked for
        monitors/              the monitors of all containers: a limit on a container never hits who watches it
        confined/              has the usual device filter attached, once per boot (runtime/devices says why)
          ID/                  one container; processes only in leaves (the "no internal processes" rule)
        ID/                    one with a device filter of its own, or none: --device, --privileged, a host that refuses

A start without limits imports nothing of this package but this module.
"""

from __future__ import annotations

import errno
import os

from ...errors import InvalidInput, NotSupported
from ...light import suppress
from ...record import Record
from .. import devices
from ..spec import Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..spec import DeviceRule

DIRECTORY = "minirun"
_COUNTING = ("memory", "io", "pids")
_SECONDS_TO_LEAVE = 2.0


class Cgroup(Record):
    """A cgroup that was made; `device_filter_refused` says why device access isn't filtered, "" when it is (or needn't be)."""

    path: str
    device_filter_refused: str = ""


class Hierarchy:
    """The cgroup2 tree of this host, and our directory in it. A container's cgroup is named by the container's id.

    A name that begins with a slash is a path from the top of the tree on: of a container that lies in somebody else's cgroup.
    """

    def __init__(self, mountpoint: str, directory: str = DIRECTORY, *, hybrid: bool = False) -> None:
        self.mountpoint = mountpoint
        self.hybrid = hybrid
        self.root = f"{mountpoint}/{directory}"

    @classmethod
    def detect(
        cls, directory: str = DIRECTORY, *, base: str = "/sys/fs/cgroup", mounts: str = "/proc/self/mounts"
    ) -> Hierarchy:
        """Find the tree; NotSupported when there is none. Two look-ups on every usual host, no parsing."""
        if os.path.exists(f"{base}/cgroup.controllers"):
            return cls(base, directory)
        if os.path.exists(f"{base}/unified/cgroup.controllers"):
            return cls(f"{base}/unified", directory, hybrid=True)
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                _, mountpoint, kind, *_ = line.split(" ")
                if kind == "cgroup2":
                    return cls(mountpoint.replace("\\040", " "), directory, hybrid=True)
        raise NotSupported(
            "no cgroup v2 tree is mounted and minirun can't work with version 1: boot with systemd.unified_cgroup_hierarchy=1, "
            "or mount one: mount -t cgroup2 none /sys/fs/cgroup/unified"
        )

    @property
    def monitors(self) -> str:
        """Give the cgroup for monitors; made when it is missing."""
        return make(f"{self.root}/monitors")

    @property
    def confined(self) -> str:
        """Give the directory whose device filter counts for all cgroups in it; it may not exist yet."""
        return f"{self.root}/confined"

    def path(self, name: str) -> str:
        """Give the directory of a container's cgroup; when there is none, where one without the usual filter would be."""
        check_name(name)
        if name.startswith("/"):
            return self.mountpoint + name
        confined = f"{self.confined}/{name}"
        return confined if os.path.isdir(confined) else f"{self.root}/{name}"

    def has_controller(self, name: str) -> bool:
        """Does this tree have the controller? One file, no imports: each start asks."""
        with open(f"{self.mountpoint}/cgroup.controllers", encoding="utf-8") as file:
            return name in file.read().split()

    def controllers(self) -> tuple[str, ...]:
        """Give the controllers that this tree has."""
        from . import controllers

        return controllers.available(self)

    def create(self, name: str, resources: Resources) -> Cgroup:
        """Make a cgroup with its limits and its device filter; give it.

        NotSupported names the controller or file that a limit needs and this host lacks; InvalidInput a value that
        the kernel refuses. Nothing stays behind then. A device filter that the host refuses isn't an error: the
        caller takes away what would need it (`device_filter_refused`).
        """
        check_name(name)
        settings = list(_settings(resources))
        parent, rules, refused = self.root, resources.devices, ""
        if name.startswith("/"):
            parent = self.mountpoint
        elif rules == devices.DEFAULT:
            rules = ()
            refused = self._confine()
            parent = self.root if refused else self.confined
        path = make(f"{parent}/{name.removeprefix('/')}")
        try:
            if parent == self.mountpoint:
                self._count(path)
            if settings:
                self._apply(path, settings)
            return Cgroup(path=path, device_filter_refused=refused or _filter_devices(path, rules))
        except BaseException:
            os.rmdir(path)
            raise

    def update(self, name: str, resources: Resources) -> None:
        """Write the limits of a cgroup that exists; errors as `create`, and the limits before the failing one stay changed."""
        self._apply(self.path(name), _settings(resources))

    def kill(self, name: str) -> None:
        """Send SIGKILL to every process in it and beneath, at once. No error when it is gone."""
        from . import members

        members.kill(self.path(name))

    def freeze(self, name: str, frozen: bool = True) -> None:
        """Stop (or go on with) all processes; returns when the kernel says so. TimeoutError after 10 seconds."""
        from . import members

        members.freeze(self.path(name), frozen)

    def is_populated(self, name: str) -> bool:
        """Does any process live in it or beneath?"""
        from . import members

        return members.is_populated(self.path(name))

    def processes(self, name: str) -> list[int]:
        """Give the process ids in it and beneath, as this process sees them."""
        from . import members

        return members.processes(self.path(name))

    def remove(self, name: str, timeout_seconds: float = 10.0) -> None:
        """Kill what still lives in it, remove it and what its processes made beneath. Idempotent; TimeoutError."""
        path = self.path(name)
        try:
            os.rmdir(path)  # the usual case
        except FileNotFoundError:
            return
        except OSError:
            from . import members

            members.remove(path, timeout_seconds)

    def destroy(self, timeout_seconds: float = 10.0) -> None:
        """Remove our directory, when no container is left in it; OSError (EBUSY) otherwise. For uninstallation and tests.

        Waits a moment for monitors that are about to leave; others, which some process keeps for its next container, are ended.
        """
        if os.path.isdir(self.root):
            self._end_monitors(timeout_seconds)
        for path in (self.confined, f"{self.root}/monitors", self.root):
            with suppress(FileNotFoundError):
                os.rmdir(path)

    def _end_monitors(self, timeout_seconds: float) -> None:
        from . import files, members

        def wait(seconds: float) -> None:
            files.wait(self.root, lambda events: events.get("populated") == "0", seconds)

        monitors = f"{self.root}/monitors"
        try:
            wait(min(timeout_seconds, _SECONDS_TO_LEAVE))
        except TimeoutError:
            if set(members.processes(self.root)) - set(members.processes(monitors)):
                raise OSError(errno.EBUSY, "containers run in it", self.root) from None
            members.kill(monitors)
            wait(timeout_seconds)

    def _apply(self, path: str, settings: Iterable[tuple[str, str, bool]]) -> None:
        from . import controllers

        controllers.apply(self, path, settings)

    def _confine(self) -> str:
        """See to it that `confined` exists with the usual device filter; give why the host refuses, or ""."""
        try:
            if os.path.isdir(self.confined) and devices.is_attached(self.confined):
                return ""
            make(self.confined)
            self._count(f"{self.confined}/any")
            # Twice, when two do this at once: both filters agree.
            devices.attach(self.confined, devices.DEFAULT)
        except NotSupported as error:
            return str(error)
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def _count(self, path: str) -> None:
        """Let the kernel count what a container at `path` uses from its first moment on: afterwards it counts nothing (`stats`)."""
        from . import controllers

        controllers.enable_all(self, path, _COUNTING)


def make(path: str) -> str:
    """Make a cgroup, with those above it when they are missing; no error when it is there. Gives the path. NotSupported."""
    try:
        try:
            os.mkdir(path, 0o755)
        except FileNotFoundError:
            os.makedirs(path, mode=0o755, exist_ok=True)
    except FileExistsError:
        pass
    except OSError as error:
        why = (error.strerror or "").lower()
        raise NotSupported(f"make the cgroup {path}: {why}{_ADVICE.get(error.errno or 0, '')}") from error
    return path


# cgroup-v2.rst, "Core Interface Files"
_ADVICE = {
    errno.EAGAIN: "; cgroup.max.descendants or cgroup.max.depth of a cgroup above allows no more",
    errno.EROFS: "; this cgroup tree isn't ours to change: mount it writable",
}


def check_name(name: str) -> None:
    """Refuse a name that would lead out of our directory, or of the tree, or mean something else there; InvalidInput."""
    parts = name[1:].split("/") if name.startswith("/") else [name]
    forbidden = (".", "..", "") if name.startswith("/") else (".", "..", "", "monitors", "confined")
    if any(part in forbidden or "/" in part or "\0" in part or len(part) > 255 for part in parts):
        raise InvalidInput(f"{name[:64]!r} can't be the name of a cgroup")


def _settings(resources: Resources) -> Iterable[tuple[str, str, bool]]:
    """Give what has to be written; most containers have no limits, and then the conversions aren't even imported."""
    if resources.replace(devices=()) == Resources():
        return ()
    from .limits import settings_of

    return settings_of(resources)


def _filter_devices(path: str, rules: Sequence[DeviceRule]) -> str:
    """Attach the device filter; give why the host doesn't let us, or ""."""
    if not rules or rules == devices.EVERYTHING:
        return ""
    try:
        devices.attach(path, rules)
    except OSError as error:
        return error.strerror or str(error)
    return ""
