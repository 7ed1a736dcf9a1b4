"""Controllers of a tree: which it has, enabling them on the way to a cgroup, writing limits to their files.

Owns: the rules of cgroup.subtree_control, and what a refusal of the kernel means. Leaves to others: what a limit is
called in version 2 (limits).

A limit is written or refused with the controller's name, never dropped. cgroup-v2.rst, "Controlling Controllers".
"""

from __future__ import annotations

from ...errors import InvalidInput, NotSupported
from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .hierarchy import Hierarchy


def available(hierarchy: Hierarchy) -> tuple[str, ...]:
    """Give the controllers that this tree has."""
    return tuple(files.read(f"{hierarchy.mountpoint}/cgroup.controllers").split())


def apply(hierarchy: Hierarchy, path: str, settings: Iterable[tuple[str, str, bool]]) -> None:
    """Write limits to the files of a cgroup and enable their controllers above it.

    NotSupported names the controller or file that this host lacks, InvalidInput a value that the kernel refuses; the limits before
    that one are written by then.
    """
    for file, value, optional in settings:
        _set(hierarchy, path, file, value, optional)


def _set(hierarchy: Hierarchy, path: str, file: str, value: str, optional: bool) -> None:
    """Write one limit; enable its controller when its file isn't there yet."""
    controller = file.partition(".")[0]
    for attempt in (1, 2):
        try:
            files.write(f"{path}/{file}", value)
            return
        except FileNotFoundError:
            if optional and attempt == 2:
                return
            if attempt == 2:
                raise NotSupported(f"this kernel has no {file} in the cgroup controller {controller!r}") from None
            if optional and controller not in available(hierarchy):
                return
            _enable(hierarchy, controller, path)
        except OSError as error:
            why = (error.strerror or "").lower()
            raise InvalidInput(f"write {value!r} to {file} of the container's cgroup: {why}") from error


def _enable(hierarchy: Hierarchy, controller: str, path: str) -> None:
    """Enable a controller in all directories above `path`; NotSupported says which one this host lacks and why."""
    if controller not in available(hierarchy):
        where = " (a hybrid host: it is bound to cgroup v1)" if hierarchy.hybrid else ""
        raise NotSupported(
            f"this host can't enforce the limit: its cgroup v2 tree has no {controller!r} controller{where}; "
            "leave the option out, or boot with systemd.unified_cgroup_hierarchy=1"
        )
    directory = hierarchy.mountpoint
    for component in path.removeprefix(f"{hierarchy.mountpoint}/").split("/"):
        try:
            files.write(f"{directory}/cgroup.subtree_control", f"+{controller}")
        except OSError as error:
            why = (error.strerror or "").lower()
            raise NotSupported(
                f"enable the cgroup controller {controller!r} in {directory}: {why}; no process may live there itself"
            ) from error
        directory += f"/{component}"
