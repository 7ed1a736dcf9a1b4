"""The cgroup of a bundle's container, whichever driver made it.

Owns: what can be done with it, from its place to its removal. Leaves to others: where it lies (placement), making and changing it
(making), the processes in it (members), the numbers (stats). `state` and `kill` import little more than this.

    place       decides where, makes nothing
    create      directory or unit, controllers, limits, device filter; nothing stays behind a failure
    (clone3 into `entrance()`, or join)
    settle      the first process moves into a cgroup beneath, where the configuration asks for one
    update freeze kill processes stats oom_kills delegate
    remove      kills what is left, and takes it away

What a value of this type says is all that has to be written down to find the cgroup again: path and unit.
"""

from __future__ import annotations

import os

from ...errors import InvalidInput, NotFound, NotSupported
from ...light import contextmanager, suppress
from ...record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ..spec import Resources
    from .hierarchy import Hierarchy

DRIVERS = ("cgroupfs", "systemd", "disabled")
_DELEGATE = "/sys/kernel/cgroup/delegate"
_DELEGATED_FILES = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")  # config-linux.md, "Cgroup ownership"
_SUBGROUP = "run.oci.systemd.subgroup"  # crun(1)
DELEGATED = "run.oci.delegate-cgroup"  # crun(1)


class ContainerCgroup(Record):
    """Where a container's cgroup is. `path` is "" when the driver is "disabled": then nothing is done, and a limit is refused.

    `unit` is systemd's, "" with cgroupfs; `slice_name` and `annotations` matter until it is made. `subgroup` is a directory in the
    unit's own that the container gets instead of it. `delegated` is one beneath `path` in which its processes live: the limits
    are above them.
    """

    path: str = ""
    unit: str = ""
    slice_name: str = ""
    subgroup: str = ""
    delegated: str = ""
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
        annotations = annotations or {}
        delegated = _name(annotations, DELEGATED, slash=True)
        if driver == "disabled":
            if delegated:
                raise NotSupported(f"annotation {DELEGATED}: cgroups are disabled for this container")
            return cls()
        from . import placement

        if driver == "cgroupfs":
            return cls(path=placement.directory_of(hierarchy, cgroups_path, container_id), delegated=delegated)
        if driver != "systemd":
            raise InvalidInput(f"{driver[:64]!r} isn't a cgroup driver: {', '.join(DRIVERS)}")
        slice_name, unit = placement.unit_of(cgroups_path, container_id)
        subgroup = _name(annotations, _SUBGROUP)
        path = placement.directory_of_unit(hierarchy, slice_name, unit)
        kept = {key: value for key, value in annotations.items() if key.startswith("org.systemd.property.")}
        return cls(
            path=f"{path}/{subgroup}" if subgroup else path,
            unit=unit,
            slice_name=slice_name,
            subgroup=subgroup,
            delegated=delegated,
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
        from . import making

        return making.create(self, resources, pid)

    def settle(self, pid: int, owner: int | None) -> None:
        """Move the first process into a cgroup beneath that is its own, with what it needs there; `owner` may change it.

        No limit is set there; those above hold. Call it when the cgroup namespace is there: its root is above too. NotSupported.
        """
        if self.delegated:
            from . import making

            making.settle(self, pid)
            if owner is not None:
                _delegate(f"{self.path}/{self.delegated}", owner)

    def update(self, resources: Resources) -> None:
        """Change limits, and the device filter when `resources` have rules; what they don't name stays.

        Errors as `create`; after one, the limits that were changed before it are what they were.
        """
        if not self.path:
            raise NotSupported("cgroups are disabled for this container: there is nothing to limit it with")
        from . import making

        making.update(self, resources)

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

        A container that has enabled controllers for cgroups of its own lets no process live in the outermost any more, nor does one
        with a `delegated` one; then it is where its first process, `first_pid`, went. InvalidInput for a path that leads out,
        NotFound for one that isn't there.
        """
        from . import files, placement

        components = [component for component in below.split("/") if component not in ("", ".")]
        if ".." in components or "\0" in below:
            raise InvalidInput(f"{below[:256]!r} isn't a cgroup of the container")
        directory = "/".join((self.path, *components))
        if not os.path.isdir(directory):
            raise NotFound(f"there is no cgroup {directory}")
        if components or not first_pid:
            return directory
        if not self.delegated and not files.read(f"{directory}/cgroup.subtree_control").strip():
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

    def delegate(self, uid: int) -> None:
        """Let a user make cgroups beneath and move processes there; not change the limits.

        For a container with a cgroup namespace of its own and /sys/fs/cgroup writable. config-linux.md, "Cgroup ownership".
        """
        if self.path:
            _delegate(self.path, uid)

    def remove(self, timeout_seconds: float = 10.0) -> None:
        """Kill what still lives in it, remove it with what the container made beneath, stop its unit. Idempotent; TimeoutError."""
        if not self.path:
            return
        from . import members

        members.remove(self.path, timeout_seconds)
        if self.unit:
            from . import systemd

            systemd.stop(self.unit)
            members.remove(self.unit_directory, timeout_seconds)  # gone, unless systemd is slow

    @property
    def unit_directory(self) -> str:
        """Give the directory of the unit: the container's own, or the one above it."""
        return self.path.removesuffix(f"/{self.subgroup}") if self.subgroup else self.path


def _name(annotations: Mapping[str, str], key: str, *, slash: bool = False) -> str:
    """Give the name of a cgroup that an annotation asks for, or ""; one `slash` may stand before it."""
    name = annotations.get(key, "").removeprefix("/" * slash)
    if name in (".", "..") or "/" in name or "\0" in name:
        raise InvalidInput(f"annotation {key}: {name[:64]!r} isn't the name of a cgroup")
    return name


def _delegate(path: str, uid: int) -> None:
    from . import files

    try:
        names: Sequence[str] = files.read(_DELEGATE).split()
    except OSError:
        names = _DELEGATED_FILES
    os.chown(path, uid, -1)
    for name in names:
        with suppress(FileNotFoundError):  # not each is in every cgroup
            os.chown(f"{path}/{name}", uid, -1)


def _hierarchy() -> Hierarchy:
    from .hierarchy import Hierarchy

    return Hierarchy.detect()
