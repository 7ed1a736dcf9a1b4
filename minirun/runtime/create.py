"""Creating a container of the OCI runtime: everything up to the point where its program only has to be executed.

Owns: the order and its undo, `CreateOptions`. Leaves to others: each step (state, cgroups/, compile/, process, hooks).

    directory -> minirun-spawn, which waits -> state.json -> cgroup -> plan -> hooks at the stage, listener of seccomp handed out
        -> state.json with the process -> terminal handed out -> pid file

A command that is killed in between leaves a directory whose state names what else there may be; `delete --force` takes it away.
"""

from __future__ import annotations

import os
import time

from ..errors import Conflict, InvalidInput, StartFailed
from ..light import ExitStack
from ..linux import flags, syscalls
from ..record import Record
from . import console, passed_on
from .container import Container, listing
from .state import SHARED, Directory, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.plan import Plan
    from .bundle import Bundle
    from .cgroups import ContainerCgroup
    from .compile import Placement
    from .container import Runtime
    from .process import Maker, Spawned
    from .spec import Spec

_MKNOD = "MKNOD"


class CreateOptions(Record):
    """What a caller may ask for besides the configuration."""

    pid_file: str = ""
    console_socket: str = ""
    pidfd_socket: str = ""
    preserve_fds: int = 0
    no_pivot: bool = False
    no_new_keyring: bool = False


class Created(Record):
    """A created container, and the master of its terminal when nobody else has got it (else -1)."""

    container: Container
    terminal: int = -1


def create(runtime: Runtime, container_id: str, bundle: Bundle, options: CreateOptions) -> Container:
    """Make a container that waits for its start; nothing is left behind on failure.

    Raises Conflict (the id is taken), InvalidInput, NotSupported, StartFailed. Blocks until its hooks have run.
    """
    if bundle.spec.process.terminal and not options.console_socket:
        raise InvalidInput("cannot allocate tty if runc will detach without setting console socket")
    from .process import reap

    try:
        return make(runtime, container_id, bundle, options).container
    finally:
        reap()


def make(runtime: Runtime, container_id: str, bundle: Bundle, options: CreateOptions) -> Created:
    """As `create`; a terminal without a socket for it is the caller's to serve, and who has made the process is to be reaped."""
    _check(bundle, options)
    bundle, options = _with_descriptors(bundle, options)
    directory = Directory(runtime.root, container_id)
    with directory.taken(), ExitStack() as undo:
        undo.callback(_abandon, runtime, container_id)
        directory.make_gate()
        spawned, state = _make(runtime, directory, bundle, options)
        created = Created(container=Container(runtime, container_id), terminal=spawned.terminal)
        if options.pid_file:
            write_pid_file(options.pid_file, state.pid)
        undo.pop_all()
    return created


def _check(bundle: Bundle, options: CreateOptions) -> None:
    spec = bundle.spec
    if not spec.process.arguments:
        raise InvalidInput("process.args: must not be empty")
    if options.console_socket and not spec.process.terminal:
        raise InvalidInput("cannot use console socket if runc will not detach or allocate tty")
    if not os.path.isdir(spec.root.path):
        raise InvalidInput(f"root.path: {spec.root.path} is no directory")
    if spec.linux.has_new("user") and not (spec.linux.uid_mappings and spec.linux.gid_mappings):
        raise InvalidInput("linux.uidMappings: a new user namespace needs mappings of users and groups")


def _with_descriptors(bundle: Bundle, options: CreateOptions) -> tuple[Bundle, CreateOptions]:
    """Sockets of the service manager come before what the caller counts."""
    sockets = passed_on.listening()
    options = options.replace(preserve_fds=passed_on.check(sockets + options.preserve_fds))
    process = bundle.spec.process
    process = process.replace(environment=process.environment + passed_on.variables(sockets))
    return bundle.replace(spec=bundle.spec.replace(process=process)), options


def _make(runtime: Runtime, directory: Directory, bundle: Bundle, options: CreateOptions) -> tuple[Spawned, State]:
    from .process import Maker

    linux = bundle.spec.linux
    # In a user namespace of its own the container's network has to be made there.
    ahead = flags.CLONE_NEWNET if linux.has_new("network") and not linux.has_new("user") else 0
    with Maker(preserved=options.preserve_fds, namespaces=ahead) as maker:
        return _make_with(maker, runtime, directory, bundle, options)


def _make_with(
    maker: Maker, runtime: Runtime, directory: Directory, bundle: Bundle, options: CreateOptions
) -> tuple[Spawned, State]:
    from .cgroups import ContainerCgroup, Hierarchy
    from .compile import compile_container

    spec = bundle.spec
    cgroup = ContainerCgroup.place(
        Hierarchy.detect(), spec.linux.cgroups_path, directory.id, runtime.cgroup_driver, spec.annotations
    )
    state = _first_state(runtime, directory, bundle, cgroup.path)
    directory.write_config(bundle.content)
    # A cgroup that is there already may be somebody else's: until it is ours, whoever finds this state must not touch it.
    is_there = cgroup.exists()
    directory.write(state.replace(cgroup="") if is_there else state)
    if is_there:
        _check_owner(runtime, cgroup.path)
    with cgroup.holder() as pid:
        try:
            spec = _with_cgroup(runtime, spec, cgroup, pid)
        except Conflict:
            directory.write(state.replace(cgroup=""))  # it is somebody else's, and not to be removed with this attempt
            raise
        spec = _with_notifications(spec, directory)
        plan = compile_container(spec, _placement(runtime, directory, bundle.replace(spec=spec), cgroup, options))
        state = state.replace(**_behind_gate(plan))
        spawned, recorded = _spawn(maker, plan, directory, state, spec, cgroup)
    state = _with_process(state, spawned.pid)
    if state != recorded:
        directory.write(state)
    return _hand_out(spawned, spec, options), state


def _check_owner(runtime: Runtime, cgroup: str) -> None:
    """Refuse the cgroup of a container that has stopped: to delete that one would end this one. Conflict."""
    for other in listing(runtime):
        if other.record.cgroup == cgroup:
            raise Conflict(f"container's cgroup is that of container {other.id}")


def _first_state(runtime: Runtime, directory: Directory, bundle: Bundle, cgroup: str) -> State:
    spec = bundle.spec
    return State(
        version=spec.version,
        id=directory.id,
        bundle=bundle.path,
        rootfs=spec.root.path,
        created=_now(),
        cgroup=cgroup,
        cgroups_path=spec.linux.cgroups_path,
        cgroup_driver=runtime.cgroup_driver,
        annotations=spec.annotations,
        later_hooks=tuple(kind for kind in ("poststart", "poststop") if getattr(spec.hooks, kind)),
    )


def _with_process(state: State, pid: int) -> State:
    return state.replace(pid=pid, start_time=syscalls.process_start_time(pid) or 0)


def _with_notifications(spec: Spec, directory: Directory) -> Spec:
    """Give the program a socket of its own, where a service manager wants to hear from it."""
    if not os.environ.get("NOTIFY_SOCKET"):
        return spec
    from . import notify

    return notify.prepare(spec, directory.notify) if notify.manager() else spec


def _spawn(
    maker: Maker, plan: Plan, directory: Directory, state: State, spec: Spec, cgroup: ContainerCgroup
) -> tuple[Spawned, State]:
    """Walk the plan, with what is done from outside while the process waits inside: its last cgroup, hooks.

    Gives the process, and what was written down of it meanwhile.
    """
    from .failures import explain_failure
    from .process import SpawnFailed

    recorded = state

    def at_stage(pid: int) -> None:
        from . import hooks
        from .config.annotations import hook_files

        nonlocal recorded
        recorded = _with_process(state, pid)
        directory.write(recorded)
        cgroup.settle(pid, _root_of(spec))
        text = _state_text(recorded, "created")  # runtime.md, "State": what comes after step 2 of the lifecycle
        files = hook_files(spec.annotations)
        hooks.run("prestart", spec.hooks.prestart, text, state.bundle, **files)
        hooks.run("createRuntime", spec.hooks.create_runtime, text, state.bundle, **files)

    def with_listener(pid: int, descriptor: int) -> None:
        hand_out_listener(descriptor, pid, spec, _with_process(state, pid), "creating")

    try:
        spawned = maker.make(plan, stages={NAMESPACES_MADE: at_stage}, listener=with_listener)
    except SpawnFailed as failure:
        raise explain_failure(plan, failure.operation_index, failure.errno) from failure
    return spawned, recorded


NAMESPACES_MADE = 3  # compile.context has it; importing that early would cost `state` and `kill`


def _with_cgroup(runtime: Runtime, spec: Spec, cgroup: ContainerCgroup, pid: int) -> Spec:
    """Make the cgroup; where the host refuses the device filter, what it would have kept shut stays shut by other means."""
    refused = cgroup.create(spec.linux.resources, pid)
    if (owner := _owner_of_cgroup(spec)) is not None:
        cgroup.delegate(owner)
    return _without_device_filter(runtime, spec, refused) if refused else spec


def _without_device_filter(runtime: Runtime, spec: Spec, refused: str) -> Spec:
    """No node can be made, and those of the image lead nowhere. What root has asked for stays: nodes of its own, binds."""
    from . import capabilities, devices

    if spec.linux.resources.devices == devices.EVERYTHING:
        return spec
    mknod, held = capabilities.mask([_MKNOD]), spec.process.capabilities
    if any(getattr(held, name) & mknod for name in capabilities.SETS):
        runtime.warn(f"process.capabilities: without a device filter CAP_MKNOD isn't granted: {refused}")
    copies = tuple(
        mount.replace(attributes=mount.attributes | flags.MOUNT_ATTR_NODEV) if mount.copy_up else mount
        for mount in spec.mounts
    )
    process = spec.process.replace(capabilities=capabilities.only(held, ~mknod))
    return spec.replace(process=process, root=spec.root.replace(no_devices=True), mounts=copies)


def _owner_of_cgroup(spec: Spec) -> int | None:
    """Give who may make cgroups in that of the container: its own root, if it has namespaces for both and can write there.

    config-linux.md, "Cgroup ownership".
    """
    writable = any(
        mount.destination == "/sys/fs/cgroup" and not mount.attributes & flags.MOUNT_ATTR_RDONLY
        for mount in spec.mounts
    )
    return _root_of(spec) if writable and spec.linux.has_new("cgroup") else None


def _root_of(spec: Spec) -> int | None:
    """Give who root of the container is to the host, in a user namespace of the container's own."""
    if not spec.linux.has_new("user"):
        return None
    return next((item.host_id for item in spec.linux.uid_mappings if item.container_id == 0), None)


def _is_in_user_namespace() -> bool:
    """Are we root of a user namespace only, to whom mknod(2) is forbidden? The first one maps all ids. user_namespaces(7)"""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return file.read().split() != ["0", "0", "4294967295"]


def _placement(
    runtime: Runtime, directory: Directory, bundle: Bundle, cgroup: ContainerCgroup, options: CreateOptions
) -> Placement:
    from .compile import Placement

    spec, shared = bundle.spec, f"{runtime.root}/{SHARED}"
    os.makedirs(f"{shared}/rootfs", 0o700, exist_ok=True)
    return Placement(
        mountpoint=f"{shared}/rootfs",
        cgroup=cgroup.path,
        settles=bool(cgroup.delegated),
        gate=directory.gate,
        verdict=directory.verdict,
        rows=spec.process.rows,
        columns=spec.process.columns,
        keyring="" if options.no_new_keyring else directory.id,
        cache_directory=f"{shared}/seccomp",
        preserved=options.preserve_fds,
        bundle=bundle.path,
        binds_devices=_is_in_user_namespace(),
        pivot=not options.no_pivot,
        hook_state=_hook_state(bundle, directory),
    )


def _hook_state(bundle: Bundle, directory: Directory) -> tuple[str, str]:
    """The state that hooks inside the container read: only there is it known which number the process has."""
    text = _state_text(
        State(
            version=bundle.spec.version,
            id=directory.id,
            bundle=bundle.path,
            annotations=bundle.spec.annotations,
        ),
        "created",
    )
    head, _, tail = text.partition('"pid":0')
    return head + '"pid":', tail


def _state_text(state: State, status: str) -> str:
    from ..jsontext import dumps

    found: dict[str, object] = {
        "ociVersion": state.version,
        "id": state.id,
        "pid": state.pid,
        "status": status,
        "bundle": state.bundle,
    }
    if state.annotations:
        found["annotations"] = state.annotations
    return dumps(found)


def _behind_gate(plan: Plan) -> dict[str, object]:
    """Give what can fail at the start, in words: the plan itself isn't kept."""
    operations = plan.operations()
    for index, (_, operation) in enumerate(operations):
        if operation.name == "GATE":
            later = range(index + 1, len(operations))
            return {"gate_index": index, "sentences": tuple([_sentence(plan, place, index) for place in later])}
    return {}


def _sentence(plan: Plan, place: int, gate: int) -> str:
    operations = plan.operations()
    if operations[place][1].name != "HOOK":
        return plan.describe(place)
    number = sum(earlier.name == "HOOK" for _, earlier in operations[gate:place])
    return f"error running startContainer hook #{number}: {plan.describe(place)}"


_PIDFD = "run.oci.pidfd_receiver"  # crun(1)


def _hand_out(spawned: Spawned, spec: Spec, options: CreateOptions) -> Spawned:
    """Give terminal and process to who has asked for them."""
    return hand_out_terminal(spawned, options.console_socket, options.pidfd_socket or spec.annotations.get(_PIDFD, ""))


def hand_out_listener(descriptor: int, pid: int, spec: Spec, state: State, status: str) -> None:
    """Send the descriptor of a filter's notifications to the agent that answers them. config-linux.md, "Seccomp"."""
    path = getattr(spec.linux.seccomp, "listener_path", "")
    console.send(path, _listener_text(pid, spec, state, status), (descriptor,), "seccomp listener")


def hand_out_terminal(spawned: Spawned, console_socket: str, pidfd_socket: str) -> Spawned:
    """Send the pty master and a descriptor of the process to the sockets that want them; what was sent isn't ours any more."""
    if console_socket and spawned.terminal >= 0:
        try:
            console.send(console_socket, b"/dev/ptmx", (spawned.terminal,), "terminal")
        finally:
            os.close(spawned.terminal)
        spawned = spawned.replace(terminal=-1)
    if pidfd_socket:
        descriptor = os.pidfd_open(spawned.pid)
        try:
            console.send(pidfd_socket, b"pidfd", (descriptor,), "process descriptor")
        finally:
            os.close(descriptor)
    return spawned


def _listener_text(pid: int, spec: Spec, state: State, status: str) -> bytes:
    """config-linux.md, "The Container Process State"."""
    from ..jsontext import dumps, loads

    found = {
        "ociVersion": state.version,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": getattr(spec.linux.seccomp, "listener_metadata", ""),
        "state": loads(_state_text(state, status)),
    }
    return dumps(found).encode()


def write_pid_file(path: str, pid: int) -> None:
    """No newline, and never half of it. The directory may be one that everybody writes in: no name there is to be guessed."""
    from ..files import write_atomically

    try:
        write_atomically(path, str(pid).encode(), 0o644)
    except OSError as error:
        raise StartFailed(f"write the pid file {path}: {error.strerror}") from error


def _now() -> str:
    nanoseconds = time.time_ns()
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(nanoseconds // 1_000_000_000))
    return f"{whole}.{nanoseconds % 1_000_000_000:09d}Z"


def _abandon(runtime: Runtime, container_id: str) -> None:
    """Undo, still under the lock: whatever there is by now goes."""
    Container(runtime, container_id).discard()
