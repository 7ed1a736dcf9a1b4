"""From a spec to a plan: which operations make this container, and in which order.

Owns: `compile_container`, `compile_exec`. The order is the security argument, so it stands here as a list of named
steps (`_child`, process.TAIL), each a small function that gives operations, with the reason where another order
would be wrong. Leaves to others: what Docker means (engine/spec), what an operation does (native/), running the
plan (monitor/, runtime/process).

    context      spec and placement        mounts       root file system, /dev, masks, pivot
    namespaces   new ones, joined ones     network      veth, addresses, kernel parameters
    process      the program, and its privileges: shared by containers and further processes
    template     all of this once, for many containers of one kind

Nothing of the image is trusted, and the root file system is the image's. Therefore

- mounts are made detached and put onto descriptors beneath a root descriptor; no path is resolved twice
  (CVE-2021-30465);
- kernel parameters are written through a procfs that nobody else can reach or cover (CVE-2025-52881);
- masks come from the host's /dev/null, opened before anything of the image is looked at (CVE-2025-31133);
- what lies in our own /proc, /sys and /dev is reached through the descriptors of those mounts, not through the root;
- /proc, /sys and /dev of the image must be directories; a symbolic link there is refused (CVE-2019-19921,
  CVE-2026-41579).
"""

from __future__ import annotations

import os

from ...light import suppress
from ...linux import flags, plan
from ...linux.plan import Plan
from .. import capabilities, devices
from .context import ROOT, Context, Placement, Target
from .process import TAIL, limits_from_outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...linux.plan import Operation
    from ..spec import Spec
    from .context import Endpoint, Step

__all__ = ["Endpoint", "Placement", "Target", "compile_container", "compile_exec"]

_MKNOD = capabilities.mask(["MKNOD"])


def compile_container(spec: Spec, placement: Placement) -> Plan:
    """Give the plan that starts the container. NotSupported for what the spec may say and can't be done."""
    context = Context(spec, placement)
    result = Plan()
    for side, steps in steps_of_container().items():
        operations = getattr(result, side)
        for step in steps:
            operations += step(context)
    return result


def steps_of_container() -> dict[str, tuple[Step, ...]]:
    """Give the steps by side of the plan."""
    from . import mounts, namespaces, network

    return {
        "monitor": (_owner, _clone),
        "prepare": (namespaces.prepare, mounts.prepare),
        "enter": (namespaces.enter, mounts.enter),
        "parent": (namespaces.map_ids, network.from_outside, mounts.hooks_from_outside, limits_from_outside),
        "child": _child(),
    }


def _child() -> tuple[Step, ...]:
    from . import mounts, namespaces, network

    return (
        namespaces.become_root_inside,
        namespaces.join,
        namespaces.late_ones,
        mounts.trees_of_host,
        mounts.stop_propagation,
        mounts.null_device,
        mounts.images,
        mounts.nodes_apart,
        mounts.root,
        mounts.mounts,
        mounts.devices_elsewhere,
        mounts.working_directory,
        mounts.hide,
        network.own_procfs,
        network.from_inside,
        network.late_parameters,
        mounts.hooks_before_pivot,
        mounts.close_root,
        namespaces.names,
        *TAIL,
    )


def _owner(context: Context) -> Iterator[Operation]:
    """What the process that makes the container has to know; with a monitor, what it has to do."""
    place = context.placement
    if place.run_directory:
        yield plan.run_directory(place.run_directory)
        if place.log_path:
            yield plan.log(place.log_path, place.log_max_bytes, place.log_max_files)
            if place.log_attributes:
                yield plan.log_attributes(place.log_attributes.encode())
        mode = plan.STDIO_TERMINAL if context.spec.process.terminal else plan.STDIO_PIPES
        yield plan.stdio(mode, place.open_stdin, place.rows, place.columns)
        yield from _stdio_owner(context.spec)
        if place.exit_hook:
            yield plan.exit_hook(place.exit_hook, place.exit_hook_environment)
        if place.await_owner:
            yield plan.await_owner()
    if place.cgroup:
        yield plan.cgroup(place.cgroup)


def _clone(context: Context) -> Iterator[Operation]:
    from .namespaces import clone_flags

    yield plan.clone(clone_flags(context.spec))


def _stdio_owner(spec: Spec) -> Iterator[Operation]:
    """Root of a new user namespace is nobody who could take the monitor's pipes."""
    uids = [item.host_id for item in spec.linux.uid_mappings if item.container_id == 0]
    gids = [item.host_id for item in spec.linux.gid_mappings if item.container_id == 0]
    if uids and gids:
        yield plan.stdio_owner(uids[0], gids[0])


def compile_exec(spec: Spec, target: Target) -> Plan:
    """Give the plan that starts `spec.process` in a running container; of the rest, namespaces and filters count."""
    spec = _without_device_nodes(spec, target)
    joined = flags.CLONE_NEWNS
    for namespace in spec.linux.namespaces:
        joined |= flags.NAMESPACES[namespace.kind]
    terminal = spec.process.terminal
    mode = plan.STDIO_TERMINAL if terminal else target.stdio
    result = Plan()
    if target.monitored:
        result.monitor.append(plan.stdio(mode, target.open_stdin, target.rows, target.columns))
        result.monitor += _stdio_owner(spec)
        if target.exit_hook:
            result.monitor.append(plan.exit_hook(target.exit_hook, target.exit_hook_environment))
        if target.await_owner:
            result.monitor.append(plan.await_owner())
    if target.cgroup:
        result.monitor.append(plan.cgroup(target.cgroup))
    result.monitor.append(plan.enter(target.pid, target.start_time, joined))
    context = Context(spec, target)
    if not context.has_own_mounts:
        # The root of that namespace isn't the container's. Whose process it is, ENTER verifies after this.
        result.prepare.append(plan.open_(ROOT, plan.HOST, f"/proc/{target.pid}/root", os.O_PATH | os.O_DIRECTORY))
        result.child.append(plan.root_change(ROOT))
    if context.in_user_namespace:
        if (adjustment := spec.process.oom_score_adjustment) is not None:
            result.prepare.append(plan.oom_score(adjustment))
        result.child.append(plan.identity(0, 0, ()))
    if terminal:
        # The helper is inside the container by now: this is the container's root.
        result.child.append(plan.open_(ROOT, plan.HOST, "/", os.O_PATH | os.O_DIRECTORY))
    result.parent += limits_from_outside(context)
    for step in TAIL:
        result.child += step(context)
    return result


def _without_device_nodes(spec: Spec, target: Target) -> Spec:
    """Where the host has refused the device filter, a further process may make no device nodes either."""
    held = spec.process.capabilities
    if spec.linux.resources.devices in ((), devices.EVERYTHING) or not held.bounding & _MKNOD:
        return spec
    for cgroup in (os.path.dirname(target.cgroup), target.cgroup):
        with suppress(OSError):
            if devices.is_attached(cgroup):
                return spec
    return spec.replace(process=spec.process.replace(capabilities=capabilities.only(held, ~_MKNOD)))
