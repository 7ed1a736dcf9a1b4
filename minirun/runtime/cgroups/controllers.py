"""Controllers of a tree: which it has, enabling them on the way to a cgroup, writing limits to their files.

Owns: the rules of cgroup.subtree_control, and what a refusal of the kernel means. Leaves to others: what a limit is
called in version 2 (limits).

A limit is written or refused with the controller's name, never dropped. cgroup-v2.rst, "Controlling Controllers".
"""

from __future__ import annotations

import errno
import os

from ...errors import InvalidInput, NotFound, NotSupported
from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .hierarchy import Hierarchy

_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
# Two files for one weight, the second has to be taken when the first isn't: which one counts depends on the disk's scheduler.
_INSTEAD = {"io.weight": "io.bfq.weight"}


def available(hierarchy: Hierarchy) -> tuple[str, ...]:
    """Give the controllers that this tree has."""
    return tuple(files.read(f"{hierarchy.mountpoint}/cgroup.controllers").split())


def apply(hierarchy: Hierarchy, path: str, settings: Iterable[tuple[str, str, bool]]) -> None:
    """Write limits to the files of a cgroup and enable their controllers above it.

    NotSupported names the controller or file that this host lacks, InvalidInput a value that the kernel refuses, NotFound says that
    there is no such cgroup; the limits before the failing one are written by then.
    """
    taken = ""
    for file, value, optional in settings:
        spare = optional or taken == _INSTEAD.get(file, "?")
        written = False
        for line in value.splitlines() or [""]:  # the kernel reads one line of io.max in one write
            written = _set(hierarchy, path, file, line, spare)
        taken = file if written else ""


def enable_all(hierarchy: Hierarchy, path: str, wanted: Iterable[str] | None = None) -> None:
    """Enable whatever this tree has above `path`, so that the numbers are there (stats); no error for what can't be enabled.

    `wanted` names those that are enough.
    """
    wanted = [name for name in available(hierarchy) if wanted is None or name in wanted]
    for directory in _above(hierarchy, path):
        try:
            enabled = files.read(f"{directory}/cgroup.subtree_control").split()
        except OSError:
            return
        for controller in wanted:
            if controller not in enabled:
                try:
                    files.write(f"{directory}/cgroup.subtree_control", f"+{controller}")
                except OSError:  # a limit that needs it says why
                    continue


def _set(hierarchy: Hierarchy, path: str, file: str, value: str, optional: bool) -> bool:
    """Write one limit; enable its controller when its file isn't there yet. False when it is optional and this host lacks it."""
    controller = file.partition(".")[0]
    for attempt in (1, 2):
        try:
            files.write(f"{path}/{file}", value)
            return True
        except FileNotFoundError:
            if not os.path.isdir(path):
                raise NotFound(f"there is no cgroup {path}") from None
            if optional and (attempt == 2 or controller not in available(hierarchy)):
                return False
            if attempt == 2 or controller == "cgroup":
                raise NotSupported(f"this kernel has no {file} in the cgroup controller {controller!r}") from None
            enable(hierarchy, controller, path)
        except OSError as error:
            if optional and error.errno == errno.EOPNOTSUPP:
                return False
            raise _refusal(error, file, value) from error
    raise AssertionError("two attempts end in an answer")


def _refusal(error: OSError, file: str, value: str) -> InvalidInput | NotSupported:
    why = (error.strerror or "").lower()
    what = f"write {value!r} to {file} of the container's cgroup: {why}"
    if error.errno == errno.EOPNOTSUPP:
        return NotSupported(f"{what}; the cgroup, or for block I/O the scheduler of the disk, has no such thing")
    if error.errno in _FORBIDDEN:
        return NotSupported(f"{what}; this cgroup tree isn't ours to change")
    return InvalidInput(what)


def enable(hierarchy: Hierarchy, controller: str, path: str) -> None:
    """Enable a controller in all directories above `path`; NotSupported says which one this host lacks and why."""
    require(hierarchy, controller)
    for directory in _above(hierarchy, path):
        try:
            files.write(f"{directory}/cgroup.subtree_control", f"+{controller}")
        except OSError as error:
            why = (error.strerror or "").lower()
            if error.errno == errno.EBUSY:
                why += "; processes live in it, and version 2 wants them in leaves only: choose another parent"
            raise NotSupported(f"enable the cgroup controller {controller!r} in {directory}: {why}") from error


def require(hierarchy: Hierarchy, controller: str) -> None:
    """NotSupported, with the controller's name, when this tree doesn't have it."""
    if controller not in available(hierarchy):
        where = " (a hybrid host: it is bound to cgroup v1)" if hierarchy.hybrid else ""
        raise NotSupported(
            f"this host can't enforce the {controller} limit: its cgroup v2 tree has no {controller!r} controller{where}; "
            "leave it out, or boot with systemd.unified_cgroup_hierarchy=1"
        )


def _above(hierarchy: Hierarchy, path: str) -> Iterator[str]:
    """Give the directories above `path`, the mount point first."""
    directory = hierarchy.mountpoint
    for component in path.removeprefix(f"{hierarchy.mountpoint}/").split("/"):
        yield directory
        directory += f"/{component}"
