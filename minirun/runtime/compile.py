"""From a spec to a plan: which operations make this container, and in which order.

Owns: `compile_container`, `compile_exec`. The order is the security argument, so it stands here as a list of named
steps (`_CONTAINER`, `_TAIL`), each a small function that gives operations, with the reason where another order
would be wrong. Leaves to others: what Docker means (engine/spec), what an operation does (native/), running the
plan (monitor/).

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
from contextlib import suppress

from ..errors import NotSupported
from ..linux import flags, plan
from ..linux.plan import Operation, Plan
from ..record import Record
from . import capabilities, devices, seccomp
from .spec import Hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol

    from .spec import DeviceNode, Mount, Spec

    Step = Callable[["_Context"], Iterable[Operation]]

    class Endpoint(Protocol):
        """What a start needs to know of an address lease; network/networks has it."""

        @property
        def bridge(self) -> str: ...
        @property
        def host_interface(self) -> str: ...
        @property
        def interface(self) -> str: ...
        @property
        def mac(self) -> bytes: ...
        @property
        def address4(self) -> str: ...
        @property
        def prefix4(self) -> int: ...
        @property
        def gateway4(self) -> str: ...
        @property
        def address6(self) -> str: ...
        @property
        def prefix6(self) -> int: ...
        @property
        def gateway6(self) -> str: ...


# Slots of the child.
_ROOT, _NULL, _PROC, _SYS, _DEV, _PARAMETERS, _MOUNT, _NAMESPACE = range(8)
_FIRST_TREE = 8  # and up: trees that stay tied to the host's
_TIED = flags.MS_SHARED | flags.MS_SLAVE
_KEPT = {"/proc": _PROC, "/sys": _SYS, "/dev": _DEV}  # mounts that later steps reach into

_NETWORK_READY = 1  # stage of SYNC: the parent has put the veth into our network namespace
_SIGKILL = 9
_MKNOD = capabilities.mask(["MKNOD"])
_S_IFCHR, _S_IFBLK, _S_IFIFO = 0o020000, 0o060000, 0o010000
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Placement(Record):
    """Where a container lies on this host and who watches it: what the spec doesn't say."""

    run_directory: str
    mountpoint: str = (
        ""  # an empty directory of the host; each container mounts its root there, in its own mount namespace
    )
    base: str = ""  # what `lowers`, `upper` and `work` are relative to, unless absolute
    lowers: tuple[str, ...] = ()  # top first
    upper: str = ""
    work: str = ""
    overlay_options: tuple[str, ...] = ("index=off", "metacopy=off", "redirect_dir=nofollow")
    cgroup: str = ""
    log_path: str = ""  # "": no log
    log_max_bytes: int = 0
    log_max_files: int = 0
    open_stdin: bool = False
    rows: int = 0
    columns: int = 0
    endpoint: Endpoint | None = None
    namespaces: dict[str, int] = {}  # kind -> inherited descriptor, instead of the path in the spec
    exit_hook: tuple[str, ...] = ()
    exit_hook_environment: tuple[str, ...] = ()
    await_owner: bool = True
    keyring: str = ""  # name of the session keyring, usually the id
    cache_directory: str = ""  # compiled seccomp filters


class Target(Record):
    """A running container that a further process is started in. `pid` is its first process, known by `start_time`."""

    pid: int
    start_time: int
    cgroup: str = ""
    stdio: int = plan.STDIO_PIPES
    open_stdin: bool = False
    rows: int = 0
    columns: int = 0
    await_owner: bool = True
    keyring: str = ""
    cache_directory: str = ""


def compile_container(spec: Spec, placement: Placement) -> Plan:
    """Give the plan that starts the container. NotSupported for what the spec may say and we can't do yet."""
    _refuse(spec)
    context = _Context(spec, placement)
    result = Plan()
    result.monitor += _owner(context)
    result.parent += _network_from_outside(context)
    for step in _CONTAINER:
        result.child += step(context)
    return result


def compile_exec(spec: Spec, target: Target) -> Plan:
    """Give the plan that starts `spec.process` in a running container; of the rest, namespaces and filters count."""
    spec = _without_device_nodes(spec, target)
    joined = 0
    for namespace in spec.linux.namespaces:
        joined |= flags.NAMESPACES[namespace.kind]
    terminal = spec.process.terminal
    mode = plan.STDIO_TERMINAL if terminal else target.stdio
    result = Plan()
    result.monitor.append(plan.stdio(mode, target.open_stdin, target.rows, target.columns))
    if target.await_owner:
        result.monitor.append(plan.await_owner())
    if target.cgroup:
        result.monitor.append(plan.cgroup(target.cgroup))
    result.monitor.append(plan.enter(target.pid, target.start_time, joined))
    context = _Context(spec, target)
    if terminal:
        # The helper is inside the container by now: this is the container's root.
        result.child.append(plan.open_(_ROOT, plan.HOST, "/", os.O_PATH | os.O_DIRECTORY))
    for step in _TAIL:
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
    without = {name: getattr(held, name) & ~_MKNOD for name in ("bounding", "effective", "permitted")}
    return spec.replace(process=spec.process.replace(capabilities=held.replace(**without)))


def _refuse(spec: Spec) -> None:
    """What is in the specification and not here yet is refused, never dropped."""
    if spec.hooks != Hooks():
        raise NotSupported("hooks aren't supported yet")
    if spec.linux.uid_mappings or spec.linux.gid_mappings:
        raise NotSupported("user namespaces aren't supported yet")
    if spec.process.apparmor_profile or spec.process.selinux_label:
        raise NotSupported("AppArmor profiles and SELinux labels aren't supported yet")


class _Context:
    """What the steps look at: the spec, where it is placed, and what both come to."""

    def __init__(self, spec: Spec, place: Placement | Target) -> None:
        self.spec = spec
        self.place = place

        mounted = {mount.destination for mount in spec.mounts}
        self.kept = {path: slot for path, slot in _KEPT.items() if path in mounted}
        tied = [mount for mount in spec.mounts if mount.type == "bind" and mount.propagation & _TIED]
        if len(tied) > plan.SLOTS - _FIRST_TREE:
            raise NotSupported(f"more than {plan.SLOTS - _FIRST_TREE} shared or slave binds aren't supported")
        self.tied = {mount.destination: (_FIRST_TREE + place, mount) for place, mount in enumerate(tied)}

    @property
    def placement(self) -> Placement:
        assert isinstance(self.place, Placement)
        return self.place

    def anchor(self, path: str) -> tuple[int, str]:
        """Give slot and path beneath it: beneath our own mount where there is one, so that nothing can be slid under it."""
        for top, slot in self.kept.items():
            if path.startswith(top + "/"):
                return slot, path[len(top) + 1 :]
        return _ROOT, path


# ---- The monitor and the parent ------------------------------------------------------------------------------------


def _owner(context: _Context) -> Iterator[Operation]:
    place = context.placement
    yield plan.run_directory(place.run_directory)
    if place.log_path:
        yield plan.log(place.log_path, place.log_max_bytes, place.log_max_files)
    mode = plan.STDIO_TERMINAL if context.spec.process.terminal else plan.STDIO_PIPES
    yield plan.stdio(mode, place.open_stdin, place.rows, place.columns)
    if place.exit_hook:
        yield plan.exit_hook(place.exit_hook, place.exit_hook_environment)
    if place.await_owner:
        yield plan.await_owner()
    if place.cgroup:
        yield plan.cgroup(place.cgroup)
    yield plan.clone(_clone_flags(context.spec))


def _clone_flags(spec: Spec) -> int:
    """New namespaces from birth, but for the cgroup's: it is rooted where its maker is, so the child makes it itself."""
    wanted = 0
    for namespace in spec.linux.namespaces:
        if namespace.kind == "user" or (namespace.kind in ("pid", "mount") and namespace.path):
            raise NotSupported(
                f"a {namespace.kind} namespace{' by path' if namespace.path else ''} isn't supported yet"
            )
        if not namespace.path and namespace.kind != "cgroup":
            wanted |= flags.NAMESPACES[namespace.kind]
    if not wanted & flags.CLONE_NEWNS:
        raise NotSupported("a container without a mount namespace of its own isn't supported")
    return wanted


def _network_from_outside(context: _Context) -> Iterator[Operation]:
    """The parent makes the veth pair while the child makes its mounts: both take about as long."""
    endpoint = context.placement.endpoint
    if endpoint is not None:
        yield plan.veth(endpoint.bridge, endpoint.host_interface, endpoint.interface, endpoint.mac)
        yield plan.sync(_NETWORK_READY)


# ---- The child: namespaces and mounts ------------------------------------------------------------------------------


def _join_namespaces(context: _Context) -> Iterator[Operation]:
    """Before everything else: mounts of proc, sys and mqueue show the namespaces of who makes them."""
    for namespace in context.spec.linux.namespaces:
        if not namespace.path:
            continue
        descriptor = context.placement.namespaces.get(namespace.kind)
        if descriptor is not None:
            yield plan.take(_NAMESPACE, descriptor)
        else:
            yield plan.open_(_NAMESPACE, plan.HOST, namespace.path, os.O_RDONLY)
        yield plan.setns(_NAMESPACE, flags.NAMESPACES[namespace.kind])


def _cgroup_namespace(context: _Context) -> Iterator[Operation]:
    """The child is in its cgroup from birth, so a namespace made now has that as its root. clone3 would take the parent's."""
    if context.spec.linux.has_new("cgroup"):
        yield plan.unshare(flags.CLONE_NEWCGROUP)


def _trees_of_host(context: _Context) -> Iterator[Operation]:
    """Trees that shall follow the host's mounts, cloned while the mounts here are still tied to those of the host."""
    for slot, mount in context.tied.values():
        yield plan.tree(slot, plan.HOST, mount.source, mount.recursive)


def _stop_propagation(context: _Context) -> Iterator[Operation]:
    """Before the first mount is made: none of the container's may reach the host. What was cloned above stays tied."""
    yield plan.propagation(flags.MS_PRIVATE | flags.MS_REC)


def _null_device(context: _Context) -> Iterator[Operation]:
    """The source of masks: the host's, opened while no byte of the image has been looked at."""
    if context.spec.linux.masked_paths:
        yield plan.open_(_NULL, plan.HOST, "/dev/null", os.O_PATH | os.O_NOFOLLOW)


def _root(context: _Context) -> Iterator[Operation]:
    spec, place = context.spec, context.placement
    if place.lowers:
        layers = (place.base, place.lowers, place.upper, place.work)
        yield plan.overlay(_ROOT, place.mountpoint, *layers, place.overlay_options)
    else:
        yield plan.root_bind(_ROOT, place.mountpoint, spec.root.path)
    if spec.root.no_devices:
        yield plan.attributes(_ROOT, flags.MOUNT_ATTR_NODEV)


def _mounts(context: _Context) -> Iterator[Operation]:
    """In the spec's order. Each is complete before it is attached: it is never visible with the wrong attributes."""
    for mount in context.spec.mounts:
        slot = _KEPT.get(mount.destination, _MOUNT)
        if mount.destination in context.tied:
            slot = context.tied[mount.destination][0]
        elif mount.type == "bind":
            yield plan.tree(slot, plan.HOST, mount.source, mount.recursive)
        else:
            yield plan.filesystem(slot, mount.type, mount.source, mount.data, mount.attributes)
        yield from _attributes(mount, slot)
        if slot == _PROC:
            yield from _parameters(context.spec.linux.sysctl, _PROC, late=False)
        if slot == _DEV and mount.type != "bind":
            yield from _fill_dev(context)
        root, path = context.anchor(mount.destination)
        if root == _PROC:
            root, path = _ROOT, mount.destination  # a target on procfs has to look like one: ATTACH refuses others
        create = plan.CREATE_FILE if mount.create == "file" else plan.CREATE_DIRECTORY
        if mount.destination in _KEPT:
            create |= plan.CREATE_NO_SYMLINKS
        yield plan.attach(slot, root, path, create)


def _attributes(mount: Mount, slot: int) -> Iterator[Operation]:
    """A file system is made with its attributes; a tree has those of the host's mount until now."""
    changed = mount.attributes if mount.type == "bind" else 0
    propagation = mount.propagation & ~flags.MS_REC
    if propagation == flags.MS_PRIVATE:
        propagation = 0  # what everything is by now
    if changed or propagation:
        clear = flags.MOUNT_ATTR__ATIME if changed & flags.MOUNT_ATTR__ATIME else 0
        # Recursive: a read-only bind whose submounts can be written isn't read-only.
        yield plan.attributes(slot, changed, clear, propagation, mount.recursive)


def _parameters(sysctl: dict[str, str], slot: int, *, late: bool) -> Iterator[Operation]:
    """Kernel parameters, through a procfs in `slot` that isn't attached anywhere. One parameter is one write(2)."""
    for key, value in sysctl.items():
        if _is_late(key) == late:
            yield plan.write(slot, "sys/" + key.translate(_SWAPPED), value)


_SWAPPED = {ord("."): "/", ord("/"): "."}  # as sysctl(8): a slash in a key stands for a dot in a name


def _is_late(key: str) -> bool:
    """Does the parameter depend on the interfaces, and thus come after them?"""
    return key.startswith(("net.ipv4.conf.", "net.ipv6.conf.", "net.ipv4.neigh.", "net.ipv6.neigh."))


def _fill_dev(context: _Context) -> Iterator[Operation]:
    """Nodes and links of /dev, while it is still detached: the image has no part in it.

    mknod and not a bind of the host's nodes: one system call instead of three, and no further mounts in the
    container. (In a user namespace, which forbids mknod, binds will be needed.)
    """
    for node in context.spec.linux.devices:
        if node.path.startswith("/dev/"):
            yield _node(_DEV, node.path[len("/dev/") :], node)
    yield plan.symlink(_DEV, "fd", "/proc/self/fd")
    yield plan.symlink(_DEV, "stdin", "/proc/self/fd/0")
    yield plan.symlink(_DEV, "stdout", "/proc/self/fd/1")
    yield plan.symlink(_DEV, "stderr", "/proc/self/fd/2")
    yield plan.symlink(_DEV, "core", "/proc/kcore")
    yield plan.symlink(_DEV, "ptmx", "pts/ptmx")


def _devices_elsewhere(context: _Context) -> Iterator[Operation]:
    """Nodes outside of /dev lie in the root itself."""
    for node in context.spec.linux.devices:
        if not node.path.startswith("/dev/"):
            yield _node(_ROOT, node.path, node)


def _node(root: int, path: str, node: DeviceNode) -> Operation:
    kind = {"c": _S_IFCHR, "u": _S_IFCHR, "b": _S_IFBLK, "p": _S_IFIFO}[node.kind]
    number = os.makedev(node.major, node.minor)
    return plan.device(root, path, kind | node.mode, number, node.uid, node.gid)


def _working_directory(context: _Context) -> Iterator[Operation]:
    """Made when it is missing, beneath the root descriptor: a link in the image can't lead it to the host."""
    path = context.spec.process.working_directory
    if path.strip("/"):
        yield plan.directory(_ROOT, path, 0o755)


def _hide(context: _Context) -> Iterator[Operation]:
    """After the last mount, which could otherwise uncover what was masked; before the first byte of the image runs."""
    for path in context.spec.linux.masked_paths:
        yield plan.mask(*context.anchor(path), _NULL)
    for path in context.spec.linux.readonly_paths:
        yield plan.read_only(*context.anchor(path))


def _network(context: _Context) -> Iterator[Operation]:
    """As late as possible: the parent has made the veth pair meanwhile. Interfaces first, parameters of theirs after."""
    if not context.spec.linux.has_new("network"):
        return
    endpoint = context.placement.endpoint
    if endpoint is not None:
        yield plan.sync(_NETWORK_READY)
    yield plan.link_up("lo")
    if endpoint is not None:
        yield _neighbours_word(endpoint)
        yield plan.address(endpoint.interface, _packed(endpoint.address4), endpoint.prefix4)
        if endpoint.address6:
            yield plan.address(endpoint.interface, _packed(endpoint.address6), endpoint.prefix6)
        yield plan.link_up(endpoint.interface)
        # Routes need an interface that is up.
        if endpoint.gateway4:
            yield plan.route(endpoint.interface, _packed(endpoint.gateway4))
        if endpoint.address6 and endpoint.gateway6:
            yield plan.route(endpoint.interface, _packed(endpoint.gateway6))


def _neighbours_word(endpoint: Endpoint) -> Operation:
    """Before the interface is up: no route or address by a neighbour's router advertisement, and no IPv6 at all on a
    network without (CVE-2020-13401, CVE-2024-32473). A kernel without IPv6 has neither file.
    """
    file, value = ("accept_ra", "0") if endpoint.address6 else ("disable_ipv6", "1")
    return plan.optional(plan.write(_PARAMETERS, f"sys/net/ipv6/conf/{endpoint.interface}/{file}", value))


def _own_procfs(context: _Context) -> Iterator[Operation]:
    """For parameters of interfaces: /proc/sys of the container is read-only by now."""
    if context.placement.endpoint is not None or any(map(_is_late, context.spec.linux.sysctl)):
        yield plan.filesystem(_PARAMETERS, "proc", "proc")


def _late_parameters(context: _Context) -> Iterator[Operation]:
    """Parameters of interfaces that the user asked for."""
    yield from _parameters(context.spec.linux.sysctl, _PARAMETERS, late=True)


def _close_root(context: _Context) -> Iterator[Operation]:
    """Read-only only now: mount targets and the working directory had to be made."""
    if context.spec.root.read_only:
        yield plan.attributes(_ROOT, flags.MOUNT_ATTR_RDONLY)
    yield plan.pivot(_ROOT)
    if context.spec.linux.rootfs_propagation:
        yield plan.propagation(context.spec.linux.rootfs_propagation)


def _names(context: _Context) -> Iterator[Operation]:
    if context.spec.linux.has_new("uts"):
        if context.spec.hostname:
            yield plan.hostname(context.spec.hostname)
        if context.spec.domainname:
            yield plan.domainname(context.spec.domainname)


# ---- The child: the process. Shared with exec ----------------------------------------------------------------------


def _session(context: _Context) -> Iterator[Operation]:
    """A session of its own: nothing typed into the caller's terminal from inside (TIOCSTI, CVE-2017-5226)."""
    yield plan.session()
    if context.spec.process.terminal:
        yield plan.terminal(_ROOT, context.place.rows, context.place.columns)
    if context.place.keyring:
        # A kernel without keys has nothing to share; any other failure would leave us the host's keyring.
        join = plan.keyring(context.place.keyring)
        yield join if os.path.exists("/proc/keys") else plan.optional(join)


def _limits(context: _Context) -> Iterator[Operation]:
    """While privileges are left: raising a limit needs CAP_SYS_RESOURCE."""
    process = context.spec.process
    if process.oom_score_adjustment is not None:
        yield plan.oom_score(process.oom_score_adjustment)
    for limit in process.rlimits:
        yield plan.rlimit(limit.resource, limit.soft, limit.hard)


def _go_to_work(context: _Context) -> Iterator[Operation]:
    """As root, so that a directory that the user may not enter still works, as it does with docker."""
    yield plan.directory_change(context.spec.process.working_directory)


def _bounding(context: _Context) -> Iterator[Operation]:
    """Before the identity changes: it takes CAP_SETPCAP, which is gone afterwards."""
    yield plan.bounding(context.spec.process.capabilities.bounding)


def _become(context: _Context) -> Iterator[Operation]:
    """Names are looked up in the container's root by the C core, which keeps capabilities through the change."""
    user = context.spec.process.user
    if user.name is None:
        yield plan.identity(user.uid, user.gid, user.additional_gids)
    else:
        yield plan.user(user.name, user.additional_groups)


def _filter_with_privilege(context: _Context) -> Iterator[Operation]:
    """Without no_new_privs a filter takes CAP_SYS_ADMIN: it comes while we have it, and as late as that allows.

    What follows is subject to it: capset, prctl, poll, rt_sigaction, close_range, execve.
    """
    if not context.spec.process.no_new_privileges:
        yield from _filter(context)


def _give_up_privileges(context: _Context) -> Iterator[Operation]:
    """For a user other than root exec would empty effective and permitted anyway: nothing is inheritable or ambient."""
    held = context.spec.process.capabilities
    yield plan.capabilities(held.effective, held.permitted, held.inheritable, held.ambient)


def _die_with_monitor(context: _Context) -> Iterator[Operation]:
    """After the last change of credentials, which makes the kernel forget it. prctl(2)."""
    yield plan.death_signal(_SIGKILL)


def _filter_without_privilege(context: _Context) -> Iterator[Operation]:
    """With no_new_privs the filter needs no privilege and can be the last thing, so it may forbid all that we did."""
    if context.spec.process.no_new_privileges:
        yield plan.no_new_privileges()
        yield from _filter(context)


def _filter(context: _Context) -> Iterator[Operation]:
    profile = context.spec.linux.seccomp
    if profile is not None:
        bits, program = seccomp.filter_of(profile, os.uname().machine, context.place.cache_directory)
        yield plan.seccomp(bits, program)


def _last(context: _Context) -> Iterator[Operation]:
    process = context.spec.process
    if process.user.umask != 0o022:
        yield plan.umask(process.user.umask)
    yield plan.signals()
    # Nothing of the host's stays open, and it is sealed before exec so that the new program never sees it
    # (CVE-2024-21626).
    yield plan.seal(3)
    if process.init:
        # As confined as the program itself: everything above holds for it too.
        yield plan.init()
    path = next((entry[5:] for entry in process.environment if entry.startswith("PATH=")), _DEFAULT_PATH)
    yield plan.exec_(path, process.arguments, process.environment)


def _packed(address: str) -> bytes:
    import _socket

    return _socket.inet_pton(_socket.AF_INET6 if ":" in address else _socket.AF_INET, address)


_TAIL: tuple[Step, ...] = (
    _session,
    _limits,
    _go_to_work,
    _bounding,
    _become,
    _filter_with_privilege,
    _give_up_privileges,
    _die_with_monitor,
    _filter_without_privilege,
    _last,
)

_CONTAINER: tuple[Step, ...] = (
    _join_namespaces,
    _cgroup_namespace,
    _trees_of_host,
    _stop_propagation,
    _null_device,
    _root,
    _mounts,
    _devices_elsewhere,
    _working_directory,
    _hide,
    _own_procfs,
    _network,
    _late_parameters,
    _close_root,
    _names,
    *_TAIL,
)
