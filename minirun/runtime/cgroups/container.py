"""The cgroup of a bundle's container, whichever driver made it.

Owns: the order in which it is made, changed and given back, and what is undone when that fails. Leaves to others: where it lies
(placement), limits (limits, controllers), systemd (systemd), the processes in it (members), the numbers (stats).

    place       decides where, makes nothing
    create      directory or unit, controllers, limits, device filter; nothing stays behind a failure
    (clone3 into `entrance()`, or join)
    update freeze signal kill processes stats oom_events delegate
    remove      kills what is left, and takes it away

What a value of this type says is all that has to be written down to find the cgroup again: path and unit.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, contextmanager, suppress

from ...errors import Conflict, InvalidInput, NotFound, NotSupported
from ...record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ..spec import DeviceRule, Resources
    from .hierarchy import Hierarchy

DRIVERS = ("cgroupfs", "systemd", "disabled")
_DELEGATE = "/sys/kernel/cgroup/delegate"
_DELEGATED = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")  # config-linux.md, "Cgroup ownership"
_SUBGROUP = "run.oci.systemd.subgroup"  # crun(1)


class ContainerCgroup(Record):
    """Where a container's cgroup is. `path` is "" when the driver is "disabled": then nothing is done, and a limit is refused.

    `unit` is systemd's, "" with cgroupfs; `slice_name` and `annotations` matter until it is made. `subgroup` is a directory in the
    unit's own that the container gets instead of it.
    """

    path: str = ""
    unit: str = ""
    slice_name: str = ""
    subgroup: str = ""
    annotations: Mapping[str, str] = {}

    @classmethod
    def place(
        cls,
        hierarchy: Hierarchy,
        cgroups_path: str,
        container_id: str,
        driver: str = "cgroupfs",
        annotations: Mapping[str, str] | None = None,
    ) -> ContainerCgroup:
        """Decide where a container's cgroup will be. InvalidInput for a path that the driver doesn't take."""
        if driver == "disabled":
            return cls()
        from . import placement

        if driver == "cgroupfs":
            return cls(path=placement.directory_of(hierarchy, cgroups_path, container_id))
        if driver != "systemd":
            raise InvalidInput(f"{driver[:64]!r} isn't a cgroup driver: {', '.join(DRIVERS)}")
        slice_name, unit = placement.unit_of(cgroups_path, container_id)
        annotations = annotations or {}
        subgroup = annotations.get(_SUBGROUP, "")
        if subgroup in (".", "..") or "/" in subgroup or "\0" in subgroup:
            raise InvalidInput(f"annotation {_SUBGROUP}: {subgroup[:64]!r} isn't the name of a cgroup")
        path = placement.directory_of_unit(hierarchy, slice_name, unit)
        kept = {key: value for key, value in annotations.items() if key.startswith("org.systemd.property.")}
        return cls(
            path=f"{path}/{subgroup}" if subgroup else path,
            unit=unit,
            slice_name=slice_name,
            subgroup=subgroup,
            annotations=kept,
        )

    @contextmanager
    def holder(self) -> Iterator[int]:
        """Give a process id for `create` until the container's first process is in: no scope is ever empty. 0 for cgroupfs."""
        if not self.unit:
            yield 0
            return
        from .systemd import holder

        with holder() as pid:
            yield pid

    def create(self, resources: Resources, pid: int = 0) -> str:
        """Make it with its limits and its device filter; give why this host refuses the filter, or "".

        `pid` is the process that systemd puts into a new scope (`holder`). Conflict when processes live in it already, or it is
        frozen: what is done to this container would be done to them. NotSupported and InvalidInput as controllers.apply.
        """
        from . import controllers, limits

        settings = list(limits.settings_of(resources))
        if not self.path:
            if wanted := [file for file, _, optional in settings if not optional]:
                raise NotSupported(f"cgroups are disabled, and the limit for {wanted[0]} needs one")
            return "cgroups are disabled"
        hierarchy = _hierarchy()
        with ExitStack() as undo:
            self._make(undo, settings, pid)
            controllers.enable_all(hierarchy, self.path)
            controllers.apply(hierarchy, self.path, settings)
            refused = self._filter_devices(resources.devices)
            undo.pop_all()
        return refused

    def update(self, resources: Resources) -> None:
        """Change limits, and the device filter when `resources` have rules; what they don't name stays.

        Errors as `create`; after one, the limits that were changed before it are what they were.
        """
        if not self.path:
            raise NotSupported("cgroups are disabled for this container: there is nothing to limit it with")
        from . import controllers, limits

        self._check_usage(resources)
        current = {file: text for file in ("memory.max", "cpu.max") if (text := self._text(file))}
        settings = list(limits.settings_of(limits.completed(resources, current)))
        before = {file: text for file, _, _ in settings if (text := self._text(file)) and "\n" not in text}
        try:
            if self.unit:
                from . import properties, systemd

                systemd.set_properties(self.unit, properties.of_limits(settings))
            controllers.apply(_hierarchy(), self.path, settings)
            if resources.devices and (refused := self._filter_devices(resources.devices)):
                raise NotSupported(f"this host doesn't let us filter devices: {refused}")
        except BaseException:
            self._write_back(before)
            raise

    def exists(self) -> bool:
        """Is it there?"""
        return bool(self.path) and os.path.isdir(self.path)

    def join(self, pid: int) -> None:
        """Move a process (0: this one) into it. NotFound when it is gone."""
        if self.path:
            from . import files

            try:
                files.write(f"{self.path}/cgroup.procs", str(pid))
            except FileNotFoundError:
                raise NotFound(f"there is no cgroup {self.path}") from None

    def entrance(self, below: str = "", first_pid: int = 0) -> str:
        """Give the directory that one more process goes into: `below` it (`exec --cgroup`), or itself.

        A container that has enabled controllers for cgroups of its own lets no process live in the outermost any more; then it is
        where its first process, `first_pid`, went. InvalidInput for a path that leads out, NotFound for one that isn't there.
        """
        from . import files, placement

        components = [component for component in below.split("/") if component not in ("", ".")]
        if ".." in components or "\0" in below:
            raise InvalidInput(f"{below[:256]!r} isn't a cgroup of the container")
        directory = "/".join((self.path, *components))
        if not os.path.isdir(directory):
            raise NotFound(f"there is no cgroup {directory}")
        if components or not first_pid or not files.read(f"{directory}/cgroup.subtree_control").strip():
            return directory
        own = _hierarchy().mountpoint + placement.own_cgroup(f"/proc/{first_pid}/cgroup")
        return own if own.startswith(f"{self.path}/") else directory

    def freeze(self, frozen: bool = True) -> None:
        """Stop (or go on with) all processes; returns when the kernel says so. TimeoutError, and then all go on."""
        if not self.path:
            raise NotSupported("cgroups are disabled for this container: it can't be paused")
        from . import members

        members.freeze(self.path, frozen)

    def is_frozen(self) -> bool:
        """Do all its processes stand still?"""
        from . import members

        return bool(self.path) and members.is_frozen(self.path)

    def is_populated(self) -> bool:
        """Does any process live in it or beneath?"""
        from . import members

        return bool(self.path) and members.is_populated(self.path)

    def processes(self, recursive: bool = True) -> list[int]:
        """Give the process ids in it, and beneath it unless told otherwise, as this process sees them."""
        from . import members

        if not self.path:
            return []
        return members.processes(self.path) if recursive else members.of_one(f"{self.path}/cgroup.procs")

    def kill(self, number: int = 9) -> None:
        """Send a signal to every process in it and beneath; SIGKILL reaches a frozen one too. No error when it is gone."""
        if self.path:
            from . import members

            members.signal(self.path, number)

    def stats(self) -> dict[str, Any]:
        """Give its numbers as `runc events --stats` has them under "data". NotFound, NotSupported."""
        if not self.path:
            raise NotSupported("cgroups are disabled for this container: nothing is counted")
        from . import stats

        try:
            return stats.of(self.path)
        except FileNotFoundError:
            raise NotFound(f"there is no cgroup {self.path}") from None

    def oom_kills(self) -> int:
        """Count the processes that were killed for want of memory, here and beneath; 0 without the controller."""
        from . import stats

        return stats.table(f"{self.path}/memory.events").get("oom_kill", 0) if self.path else 0

    def oom_events(self) -> Iterator[int]:
        """Wait, and give `oom_kills` each time that it has grown; ends when no process is left. NotSupported without memory."""
        from . import files

        if not self.path or not os.path.exists(f"{self.path}/memory.events"):
            raise NotSupported("this container's cgroup has no 'memory' controller: nobody tells of its want of memory")
        seen = self.oom_kills()
        try:
            for _ in files.changes(self.path, "memory.events", "cgroup.events"):
                populated = self.is_populated()  # before the count: the last process may have been killed
                now = self.oom_kills()
                if now > seen:
                    seen = now
                    yield now
                if not populated:
                    return
        except OSError as error:
            if error.errno not in files.GONE:
                raise

    def delegate(self, uid: int) -> None:
        """Let a user make cgroups beneath and move processes there; not change the limits.

        For a container with a cgroup namespace of its own and /sys/fs/cgroup writable. config-linux.md, "Cgroup ownership".
        """
        if not self.path:
            return
        from . import files

        try:
            names: Sequence[str] = files.read(_DELEGATE).split()
        except OSError:
            names = _DELEGATED
        os.chown(self.path, uid, -1)
        for name in names:
            with suppress(FileNotFoundError):  # not each is in every cgroup
                os.chown(f"{self.path}/{name}", uid, -1)

    def remove(self, timeout_seconds: float = 10.0) -> None:
        """Kill what still lives in it, remove it with what the container made beneath, stop its unit. Idempotent; TimeoutError."""
        if not self.path:
            return
        from . import members

        members.remove(self.path, timeout_seconds)
        if self.unit:
            from . import systemd

            systemd.stop(self.unit)
            members.remove(self._unit_directory, timeout_seconds)  # gone, unless systemd is slow

    @property
    def _unit_directory(self) -> str:
        return self.path.removesuffix(f"/{self.subgroup}") if self.subgroup else self.path

    def _make(self, undo: ExitStack, settings: list[tuple[str, str, bool]], pid: int) -> None:
        """Make the directory, or let systemd make it; `undo` learns how to take away what wasn't there."""
        self._check_fitness()
        if self.unit:
            from . import properties, systemd

            wanted = properties.of_limits(settings) | properties.of_annotations(self.annotations)
            systemd.start(self.unit, self.slice_name, pid, wanted)
            undo.callback(self.remove)
            if not os.path.isdir(self._unit_directory):
                raise NotSupported(
                    f"systemd started {self.unit}, but not at {self._unit_directory}: is it another instance?"
                )
            if self.subgroup:  # before any controller is enabled in the unit's directory, nobody may live there
                os.mkdir(self.path, 0o755)
                self.join(pid)
            return
        _make_directories(undo, self.path)

    def _check_fitness(self) -> None:
        """Refuse a cgroup that somebody uses. config-linux.md, "Control groups"."""
        if not os.path.isdir(self.path):
            return
        if found := self.processes():
            raise Conflict(f"container's cgroup is not empty: {len(found)} process(es) found")
        if self.is_frozen():
            raise Conflict("container's cgroup unexpectedly frozen")

    def _filter_devices(self, rules: Sequence[DeviceRule]) -> str:
        """Put the filter in force, in the place of one that was; give why the host doesn't let us, or ""."""
        from .. import devices

        wanted = devices.of_container(rules)
        try:
            if wanted == devices.EVERYTHING and not devices.is_attached(self.path):
                return ""
            devices.replace(self.path, wanted)
        except OSError as error:
            return "" if wanted == devices.EVERYTHING else error.strerror or str(error)
        return ""

    def _check_usage(self, resources: Resources) -> None:
        """Refuse a limit of memory below what is used, when that is asked for: the kernel would kill. config-linux.md, "Memory"."""
        limit = resources.memory.limit
        if resources.memory.check_before_update and limit is not None and limit >= 0:
            used = int(self._text("memory.current") or 0)
            if limit < used:
                raise InvalidInput(f"unable to set memory limit to {limit} (current usage: {used})")

    def _text(self, file: str) -> str:
        """Give the content of one of its files, "" when there is none."""
        from . import files

        try:
            return files.read(f"{self.path}/{file}").strip()
        except OSError:
            return ""

    def _write_back(self, before: dict[str, str]) -> None:
        from . import files

        for _ in range(2):  # some depend on others, as burst and quota do
            for file, text in before.items():
                with suppress(OSError):
                    files.write(f"{self.path}/{file}", text)


def _hierarchy() -> Hierarchy:
    from .hierarchy import Hierarchy

    return Hierarchy.detect()


def _make_directories(undo: ExitStack, path: str) -> None:
    missing, parent = [], path
    while not os.path.isdir(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    for directory in reversed(missing):
        try:
            os.mkdir(directory, 0o755)
        except FileExistsError:
            if not os.path.isdir(directory):
                raise InvalidInput(f"cgroupsPath: {directory} is a file, not a cgroup") from None
            continue  # another container, which has the same parent, was faster
        except OSError as error:
            why = (error.strerror or "").lower()
            raise NotSupported(f"make the cgroup {directory}: {why}") from error
        undo.callback(_remove_if_empty, directory)


def _remove_if_empty(directory: str) -> None:
    """Undo a mkdir; not when another container has come to lie in it meanwhile."""
    try:
        os.rmdir(directory)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY):
            raise
