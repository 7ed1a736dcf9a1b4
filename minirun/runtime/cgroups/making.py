"""Making a container's cgroup, and changing what it allows.

Owns: the order of the steps, and what is undone when one fails. Leaves to others: the cgroup's later life (container), each step.

    create   a place that nobody uses -> directory or unit -> controllers -> limits -> device filter
    settle   a cgroup beneath -> the first process into it -> controllers, now that nobody lives above it
    update   enough left of memory -> systemd -> limits -> device filter
"""

from __future__ import annotations

import errno
import os

from ...errors import Conflict, InvalidInput, NotSupported
from ...light import ExitStack, suppress
from .. import devices
from . import controllers, files, limits
from .hierarchy import Hierarchy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..spec import DeviceRule, Resources
    from .container import ContainerCgroup
    from .limits import Setting


def create(cgroup: ContainerCgroup, resources: Resources, pid: int) -> str:
    """See ContainerCgroup.create."""
    settings = list(limits.settings_of(resources))
    if not cgroup.path:
        if wanted := [file for file, _, optional in settings if not optional]:
            raise NotSupported(f"cgroups are disabled, and the limit for {wanted[0]} needs one")
        return "cgroups are disabled"
    _check_fitness(cgroup)
    hierarchy = Hierarchy.detect()
    with ExitStack() as undo:
        if cgroup.unit:
            _start_unit(undo, cgroup, settings, pid)
        else:
            _make_directories(undo, cgroup.path)
        controllers.enable_all(hierarchy, cgroup.path)
        controllers.apply(hierarchy, cgroup.path, settings)
        refused = _filter_devices(cgroup.path, resources.devices)
        undo.pop_all()
    return refused


def settle(cgroup: ContainerCgroup, pid: int) -> None:
    """See ContainerCgroup.settle."""
    path = f"{cgroup.path}/{cgroup.delegated}"
    try:
        os.mkdir(path, 0o755)
        files.write(f"{path}/cgroup.procs", str(pid))
    except OSError as error:
        why = (error.strerror or "").lower()
        raise NotSupported(f"move the container into the cgroup {path}: {why}") from error
    controllers.enable_all(Hierarchy.detect(), path)


def update(cgroup: ContainerCgroup, resources: Resources) -> None:
    """See ContainerCgroup.update."""
    _check_usage(cgroup.path, resources)
    current = {file: text for file in ("memory.max", "cpu.max") if (text := _content(cgroup.path, file))}
    settings = list(limits.settings_of(limits.completed(resources, current)))
    before = {file: text for file, _, _ in settings if (text := _content(cgroup.path, file)) and "\n" not in text}
    try:
        if cgroup.unit:
            from . import properties, systemd

            systemd.set_properties(cgroup.unit, properties.of_limits(settings))
        controllers.apply(Hierarchy.detect(), cgroup.path, settings)
        if resources.devices and (refused := _filter_devices(cgroup.path, resources.devices)):
            raise NotSupported(f"this host doesn't let us filter devices: {refused}")
    except BaseException:
        _write_back(cgroup.path, before)
        raise


def _check_fitness(cgroup: ContainerCgroup) -> None:
    """Refuse a cgroup that somebody uses. config-linux.md, "Control groups"."""
    if not cgroup.exists():
        return
    if found := cgroup.processes():
        raise Conflict(f"container's cgroup is not empty: {len(found)} process(es) found")
    if cgroup.is_frozen():
        raise Conflict("container's cgroup unexpectedly frozen")


def _start_unit(undo: ExitStack, cgroup: ContainerCgroup, settings: Sequence[Setting], pid: int) -> None:
    """Let systemd make it."""
    from . import properties, systemd

    wanted = properties.of_limits(settings) | properties.of_annotations(cgroup.annotations)
    systemd.start(cgroup.unit, cgroup.slice_name, pid, wanted)
    undo.callback(cgroup.remove)
    if not os.path.isdir(cgroup.unit_directory):
        raise NotSupported(
            f"systemd started {cgroup.unit}, but not at {cgroup.unit_directory}: is it another instance?"
        )
    if cgroup.subgroup:  # before any controller is enabled in the unit's directory, nobody may live there
        os.mkdir(cgroup.path, 0o755)
        cgroup.join(pid)


def _make_directories(undo: ExitStack, path: str) -> None:
    """Make what is missing; `undo` learns to take away what wasn't there."""
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


def _filter_devices(path: str, rules: Sequence[DeviceRule]) -> str:
    """Put the filter in force, in the place of one that was; give why the host doesn't let us, or ""."""
    wanted = devices.of_container(rules)
    if wanted == devices.EVERYTHING:
        try:
            if not devices.is_attached(path):
                return ""
        except OSError:  # a host that can't say has none
            return ""
    try:
        devices.replace(path, wanted)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _check_usage(path: str, resources: Resources) -> None:
    """Refuse a limit of memory below what is used, when that is asked for: the kernel would kill. config-linux.md, "Memory"."""
    limit = resources.memory.limit
    if resources.memory.check_before_update and limit is not None and limit >= 0:
        used = int(_content(path, "memory.current") or 0)
        if limit < used:
            raise InvalidInput(f"unable to set memory limit to {limit} (current usage: {used})")


def _content(path: str, file: str) -> str:
    """Give the content of a file of the cgroup, "" when there is none."""
    try:
        return files.read(f"{path}/{file}").strip()
    except OSError:
        return ""


def _write_back(path: str, before: dict[str, str]) -> None:
    """Make the files what they were, as far as the kernel lets us."""
    for _ in range(2):  # some depend on others, as burst and quota do
        for file, text in before.items():
            with suppress(OSError):
                files.write(f"{path}/{file}", text)
