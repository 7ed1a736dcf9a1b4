"""The OCI runtime specification as values: what a container is, before anyone decided how to make it.

Owns: `Spec` and its parts, named after the keys of `config.json` in snake_case.
Leaves to others: Docker's meaning (engine/spec), the kernel's (runtime/compile), the JSON file of a bundle.

Shape and defaults follow opencontainers/runtime-spec, `config.md` and `config-linux.md`; None or an empty tuple
means "not given". Two places say more than the specification: `BuiltinSeccomp` names our own profile instead of
spelling it out at each start, and `Mount.create` says what to make of a target that isn't there.
"""

from __future__ import annotations

from ..record import Record

SPECIFICATION = "1.2.0"

# What every container engine hides of /proc and /sys unless it is told otherwise: they tell of the machine, or change it.
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class User(Record):
    """Who runs the process: numbers, or a `name` ("user[:group]") looked up in the root file system at the last moment.

    The lookup happens in the new process, in its own root, by the C core: never in a process with the host's libraries.
    """

    name: str | None = None
    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()
    additional_groups: tuple[str, ...] = ()  # names or numbers as `--group-add` has them; only with `name`
    umask: int = 0o022


class Capabilities(Record):
    """Capability sets as bit masks (bit n is capability n, runtime/capabilities has the names). capabilities(7)."""

    bounding: int = 0
    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    ambient: int = 0


class Rlimit(Record):
    """One limit of setrlimit(2); `resource` is the kernel's number."""

    resource: int
    soft: int
    hard: int


class Scheduler(Record):
    """Scheduling of the process as sched_setattr(2) takes it; `policy` and `flags` are the kernel's numbers."""

    policy: int = 0
    nice: int = 0
    priority: int = 0
    flags: int = 0
    runtime_ns: int = 0
    deadline_ns: int = 0
    period_ns: int = 0


class IoPriority(Record):
    """I/O priority as ioprio_set(2) takes it: `io_class` is the kernel's number (1 real time, 2 best effort, 3 idle)."""

    io_class: int
    priority: int = 0


class Process(Record):
    """The program, and the process that becomes it."""

    arguments: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    working_directory: str = "/"
    user: User = User()
    capabilities: Capabilities = Capabilities()
    rlimits: tuple[Rlimit, ...] = ()
    terminal: bool = False
    no_new_privileges: bool = False
    oom_score_adjustment: int | None = None
    apparmor_profile: str = ""
    selinux_label: str = ""
    rows: int = 0  # of a new terminal; 0 is the kernel's default
    columns: int = 0
    scheduler: Scheduler | None = None
    io_priority: IoPriority | None = None
    initial_cpus: str = ""  # "0-3,7": CPU affinity until the program is executed; `exec` only
    final_cpus: str = ""  # ... and of the program
    init: bool = False  # a reaping first process in front of the program (`--init`); not in the specification


class Root(Record):
    """The root file system: `path` is a directory, or empty when the placement brings an overlay.

    `no_devices` mounts it `nodev`; not in the specification.
    """

    path: str = ""
    read_only: bool = False
    no_devices: bool = False


class IdMapping(Record):
    """A range of ids of the container and where it lies on the host. user_namespaces(7)."""

    container_id: int
    host_id: int
    size: int


class Mount(Record):
    """One mount, in order. `attributes` are MOUNT_ATTR_* bits; `type` is "bind" for an existing tree.

    `data` are the file system's own options. `propagation` is one of the MS_* kinds, 0 for the default. `create` is
    "directory" or "file": what appears beneath the root when the target is missing.

    `cleared` are attributes that an option such as "rw" takes away from what the source had. `tree_attributes` and
    `tree_cleared` come from the options that begin with r ("rro", "rrw"): they hold for the mount and all beneath it.
    `id_map` is "" or, for an ID-mapped mount, "idmap" or "ridmap" (the mounts beneath too); without mappings of its own it
    takes those of the container's user namespace. `copy_up` fills a tmpfs with what the root file system has there.
    `part` is the path of a directory in the source, which others may change: links in it are followed inside the source.
    A source that is a symbolic link is itself what is mounted with `source_nofollow`; with `copy_symlink` the same link is
    made at the destination, and nothing mounted. `destination_nofollow`: a link there is mounted on, not followed. crun(1).
    `layers` are directories, the top first and relative to the placement's base: an overlay of them is what is mounted, of type
    "bind" and without a source.
    `of_lender`: the source lies in the mount namespace of another container, `Placement.namespaces["mount"]`.
    """

    destination: str
    type: str
    source: str = ""
    data: tuple[str, ...] = ()
    attributes: int = 0
    recursive: bool = False
    propagation: int = 0
    create: str = "directory"
    cleared: int = 0
    tree_attributes: int = 0
    tree_cleared: int = 0
    id_map: str = ""
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    copy_up: bool = False
    part: str = ""
    remount: bool = False
    copy_symlink: bool = False
    source_nofollow: bool = False
    destination_nofollow: bool = False
    of_lender: bool = False
    layers: tuple[str, ...] = ()


class Hook(Record):
    """A program of the host, run at a point in the container's life.

    Without an environment (None) it gets the runtime's, but inside the container none: what the image says of it could
    bring libraries of its own into a program of the host.
    """

    path: str
    arguments: tuple[str, ...] = ()
    environment: tuple[str, ...] | None = None
    timeout_seconds: int | None = None


class Hooks(Record):
    """Hooks by their point in time."""

    prestart: tuple[Hook, ...] = ()
    create_runtime: tuple[Hook, ...] = ()
    create_container: tuple[Hook, ...] = ()
    start_container: tuple[Hook, ...] = ()
    poststart: tuple[Hook, ...] = ()
    poststop: tuple[Hook, ...] = ()


class Namespace(Record):
    """One namespace: `kind` is pid mount uts ipc network cgroup user time; without `path` a new one is made."""

    kind: str
    path: str = ""


class DeviceNode(Record):
    """A device node in the container's /dev; `kind` is c, b, u or p. `source` is the host's node when its path is another one."""

    path: str
    kind: str
    major: int = 0
    minor: int = 0
    mode: int = 0o666
    uid: int = 0
    gid: int = 0
    source: str = ""


class DeviceRule(Record):
    """What the device filter says: `kind` a, b or c; None stands for any number; `access` out of "rwm"."""

    allow: bool
    kind: str = "a"
    major: int | None = None
    minor: int | None = None
    access: str = "rwm"


class Memory(Record):
    """Limits in bytes; -1 is unlimited, None not asked. `swap` counts memory and swap together, as the specification does.

    Without `swap_required` a kernel that doesn't account for swap goes without that one limit; not in the
    specification.
    """

    limit: int | None = None
    swap: int | None = None
    swap_required: bool = True
    reservation: int | None = None
    check_before_update: bool = False


class Cpu(Record):
    """`shares` on the scale of cgroup v1 (1024 is usual), `quota` and `period` in microseconds."""

    shares: int | None = None
    quota: int | None = None
    period: int | None = None
    cpus: str = ""
    mems: str = ""
    burst: int | None = None
    idle: int | None = None  # 1: SCHED_IDLE for the whole group


class DeviceLimit(Record):
    """A number for one block device: bytes or operations a second, or a weight."""

    major: int
    minor: int
    value: int


class BlockIo(Record):
    """Limits of block I/O. `weight` is on the scale of the specification, 10 to 1000."""

    weight: int | None = None
    device_weights: tuple[DeviceLimit, ...] = ()
    read_bytes: tuple[DeviceLimit, ...] = ()
    write_bytes: tuple[DeviceLimit, ...] = ()
    read_operations: tuple[DeviceLimit, ...] = ()
    write_operations: tuple[DeviceLimit, ...] = ()


class RdmaLimit(Record):
    """Limits of one RDMA device; None is unlimited."""

    device: str
    handles: int | None = None
    objects: int | None = None


class Resources(Record):
    """What the cgroup enforces. No device rules means: no device filter."""

    memory: Memory = Memory()
    cpu: Cpu = Cpu()
    pids_limit: int | None = None  # -1 is unlimited
    block_io: BlockIo = BlockIo()
    huge_pages: dict[str, int] = {}  # page size ("2MB") -> bytes
    rdma: tuple[RdmaLimit, ...] = ()
    devices: tuple[DeviceRule, ...] = ()
    unified: dict[str, str] = {}  # file of cgroup v2 -> what is written to it


class SyscallArgument(Record):
    """A comparison with one argument; `operator` is one of the SCMP_CMP_* names."""

    index: int
    value: int
    value_two: int = 0
    operator: str = "SCMP_CMP_EQ"


class SyscallRule(Record):
    """An action for system calls by name; with `arguments` only when all of them hold."""

    names: tuple[str, ...]
    action: str
    errno: int | None = None
    arguments: tuple[SyscallArgument, ...] = ()


class Seccomp(Record):
    """A filter as the specification has it. `architectures` are SCMP_ARCH_* names; none means the host's own."""

    default_action: str
    default_errno: int | None = None
    architectures: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    syscalls: tuple[SyscallRule, ...] = ()
    listener_path: str = ""  # socket that gets the descriptor of SCMP_ACT_NOTIFY
    listener_metadata: str = ""


class BuiltinSeccomp(Record):
    """Our own profile (runtime/seccomp_profile) for a container that holds these capabilities."""

    capabilities: int


class RawSeccomp(Record):
    """A filter that somebody else has compiled: struct sock_filter, one after another."""

    program: bytes


class MemoryPolicy(Record):
    """NUMA policy as set_mempolicy(2) takes it: `mode` with its MPOL_F_* flags, `nodes` as a list ("0-3,7")."""

    mode: int
    nodes: str = ""


class NetDevice(Record):
    """A network device of the host that moves into the container, there under the name `inside`."""

    name: str
    inside: str


CLOCKS = ("monotonic", "boottime")


class TimeOffset(Record):
    """What a clock of the time namespace is ahead of the host's. time_namespaces(7)."""

    clock: str  # one of CLOCKS
    seconds: int = 0
    nanoseconds: int = 0


class Linux(Record):
    """Everything that only Linux has."""

    namespaces: tuple[Namespace, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    devices: tuple[DeviceNode, ...] = ()
    cgroups_path: str = ""
    resources: Resources = Resources()
    seccomp: Seccomp | BuiltinSeccomp | RawSeccomp | None = None
    sysctl: dict[str, str] = {}
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    rootfs_propagation: int = 0  # MS_* of the whole tree; 0 means private
    personality: int | None = None  # personality(2): domain and flags
    memory_policy: MemoryPolicy | None = None
    net_devices: tuple[NetDevice, ...] = ()
    time_offsets: tuple[TimeOffset, ...] = ()
    mount_label: str = ""  # SELinux context of the mounts

    def has_new(self, kind: str) -> bool:
        """Does the container get a namespace of this kind for itself?"""
        for item in self.namespaces:  # noqa: SIM110 -- asked two dozen times for each start: a generator takes twice as long
            if item.kind == kind and not item.path:
                return True
        return False


class Spec(Record):
    """One container. `version` is the ociVersion that the configuration was written for."""

    process: Process
    version: str = SPECIFICATION
    root: Root = Root()
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[Mount, ...] = ()
    hooks: Hooks = Hooks()
    linux: Linux = Linux()
    annotations: dict[str, str] = {}
