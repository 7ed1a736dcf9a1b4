"""The plan: what a container start does, as a list that can be printed, compared, sent to the C core and walked there.

Owns: `Operation` with one constructor per operation, `Plan` and its encoding. native/minirun.h draws the encoding and
says what each operation does; a test compares its table with the one here. Leaves to others: which operations a
container needs (runtime/compile), sentences about them (linux/explain), walking them (native/).

    plan = Plan()
    plan.monitor += [run_directory("/run/minirun/containers/x"), clone(CLONE_NEWNS | CLONE_NEWPID)]
    plan.child += [root_bind(0, "/run/minirun/rootfs", "/srv/busybox"), pivot(0), exec_("/bin", ("true",), ())]
    plan.encode()

One file although it is long: a table of operations and a constructor for each, side by side with native/minirun.h.

Numbers may be negative (two's complement travels). Text is bytes of the kernel: `str` is encoded as os.fsencode does
it. Slots are small numbers that name descriptors in the process that walks the side: 0 to 199, or HOST for "a path of
the host".
"""

from __future__ import annotations

from struct import Struct

from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Text = str | bytes

MAGIC = 0x4E52494D
VERSION = 1
SLOTS = 250
HOST = 0xFF
OPTIONAL = 1

# enum mr_stdio
STDIO_NULL, STDIO_PIPES, STDIO_TERMINAL, STDIO_INHERIT = range(4)
# enum mr_create
CREATE_NOTHING, CREATE_DIRECTORY, CREATE_FILE, CREATE_NO_SYMLINKS, CREATE_ON_SYMLINK = 0, 1, 2, 4, 8
KEEP_MODE, KEEP_OWNER, KEEP_GROUP = 1, 2, 4

SIDES = ("monitor", "parent", "child", "prepare", "enter")  # in the order of enum mr_side
ORDER = ("monitor", "prepare", "enter", "parent", "child")  # as things happen

# code: (name, signature, parameters), a row as in MR_OPERATIONS
OPERATIONS: dict[int, tuple[str, str, str]] = {
    1: ("LOG", "suu", "path max_bytes max_files"),
    2: ("STDIO", "uuuu", "mode open_stdin rows columns"),
    3: ("EXIT_HOOK", "vv", "argv environment"),
    4: ("AWAIT_OWNER", "", ""),
    5: ("RUN_DIRECTORY", "s", "path"),
    6: ("CGROUP", "s", "path"),
    7: ("CLONE", "u", "flags"),
    8: ("ENTER", "suu", "pid_namespace_of start_time flags"),
    9: ("STDIO_OWNER", "uu", "uid gid"),
    10: ("DELAY", "u", "milliseconds"),
    11: ("HEALTH", "buuuuuss", "plan interval_ns timeout_ns start_period_ns start_interval_ns retries late path"),
    12: ("LOG_ATTRIBUTES", "b", "text"),
    16: ("SYNC", "u", "stage"),
    17: ("TAKE", "uu", "slot descriptor"),
    18: ("OPEN", "uusu", "slot beneath path flags"),
    19: ("CLOSE", "u", "slot"),
    20: ("WRITE", "usb", "beneath path data"),
    21: ("LINK_UP", "s", "name"),
    22: ("ADDRESS", "sbu", "name address prefix"),
    23: ("ROUTE", "sb", "name gateway"),
    24: ("STAGE", "u", "stage"),
    32: ("VETH", "sssb", "bridge host_name peer_name mac"),
    33: ("ID_MAP", "ss", "uid_map gid_map"),
    34: ("LINK_MOVE", "ss", "name inside"),
    48: ("UNSHARE", "u", "flags"),
    49: ("SETNS", "uu", "slot flags"),
    51: ("USER_NAMESPACE", "uss", "slot uid_map gid_map"),
    50: ("PROPAGATION", "u", "ms_flags"),
    56: ("OVERLAY", "ussvssv", "slot mountpoint base lowers upper work options"),
    71: ("OVERLAY_ID_MAPPED", "uussvssv", "slot userns_slot mountpoint base lowers upper work options"),
    57: ("ROOT_BIND", "uss", "slot mountpoint source"),
    58: ("FILESYSTEM", "ussvu", "slot type source options attributes"),
    59: ("TREE", "uusu", "slot beneath path recursive"),
    60: ("ATTRIBUTES", "uuuuu", "slot set clear propagation recursive"),
    61: ("ATTACH", "uusu", "slot root path create"),
    62: ("DIRECTORY", "usu", "root path mode"),
    63: ("SYMLINK", "uss", "root path target"),
    64: ("DEVICE", "usuuuu", "root path mode device uid gid"),
    65: ("MASK", "usu", "root path null_slot"),
    66: ("READ_ONLY", "us", "root path"),
    67: ("PIVOT", "u", "root"),
    68: ("ID_MAPPED", "uuu", "slot userns_slot recursive"),
    69: ("COPY_UP", "uusu", "slot root path keep"),
    70: ("CHROOT", "u", "root"),
    72: ("ROOT_CHANGE", "u", "root"),
    73: ("TAKE_MODE", "uus", "slot root path"),
    74: ("RECONFIGURE", "uv", "slot options"),
    80: ("HOSTNAME", "s", "name"),
    81: ("DOMAINNAME", "s", "name"),
    82: ("SESSION", "", ""),
    83: ("TERMINAL", "uuu", "root rows columns"),
    84: ("DEATH_SIGNAL", "u", "signal"),
    85: ("KEYRING", "s", "name"),
    86: ("RLIMIT", "uuu", "resource soft hard"),
    87: ("OOM_SCORE", "u", "adjustment"),
    88: ("BOUNDING", "u", "capabilities"),
    89: ("USER", "sv", "spec extra_groups"),
    90: ("IDENTITY", "uub", "uid gid groups"),
    91: ("CAPABILITIES", "uuuu", "effective permitted inheritable ambient"),
    92: ("NO_NEW_PRIVILEGES", "", ""),
    93: ("SECCOMP", "ub", "flags filter"),
    94: ("UMASK", "u", "mask"),
    95: ("DIRECTORY_CHANGE", "s", "path"),
    96: ("SIGNALS", "", ""),
    97: ("SEAL", "u", "keep"),
    98: ("INIT", "", ""),
    99: ("EXEC", "svv", "search_path argv environment"),
    100: ("GATE", "uu", "gate verdict"),
    101: ("EXECUTABLE", "ss", "search_path name"),
    102: ("HOOK", "svvbbu", "path argv environment state_head state_tail timeout_ms"),
    104: ("PERSONALITY", "u", "persona"),
    105: ("SCHEDULER", "uuuuuuu", "policy flags nice priority runtime deadline period"),
    106: ("IO_PRIORITY", "uu", "io_class priority"),
    107: ("CPU_AFFINITY", "b", "mask"),
    108: ("MEMORY_POLICY", "ub", "mode nodes"),
    103: ("SECCOMP_LISTEN", "ub", "flags filter"),
    109: ("READY", "u", "close"),
    110: ("HOME", "u", "uid"),
    111: ("FORGET", "uuu", "keep gate verdict"),
    112: ("MORTAL", "", ""),
}
FIRST_ACTION = 16  # smaller codes are settings of the monitor side


class Operation(Record):
    """One operation: its code, its arguments in the order of the table, and whether its failure is ignored."""

    code: int
    arguments: tuple[object, ...] = ()
    optional: bool = False

    def __init__(self, *, code: int, arguments: tuple[object, ...] = (), optional: bool = False) -> None:
        # A start has about eighty of these: written out, it takes a third of the time of a record's loop over its fields.
        put_code(self, code)
        put_arguments(self, arguments)
        put_optional(self, optional)

    @property
    def name(self) -> str:
        """Give the name of the table, in capitals."""
        return OPERATIONS[self.code][0]

    def argument(self, parameter: str) -> object:
        """Give one argument by the name of its parameter; ValueError when the operation has none of that name."""
        return self.arguments[OPERATIONS[self.code][2].split().index(parameter)]


(_, put_code), (_, put_arguments), (_, put_optional) = Operation._setters


def optional(operation: Operation) -> Operation:
    """Give the same operation; its failure is reported by --trace and otherwise ignored."""
    return operation.replace(optional=True)


# ---- Settings: the monitor side ------------------------------------------------------------------------------------


def log(path: Text, max_bytes: int, max_files: int) -> Operation:
    """Write output as json-file lines to `path`, rotated at `max_bytes` to path.1 .. path.(max_files-1)."""
    return Operation(code=1, arguments=(path, max_bytes, max_files))


def log_attributes(text: bytes) -> Operation:
    """Let each record of the log hold this text, before its time: a member of a JSON object, and a comma."""
    return Operation(code=12, arguments=(text,))


def stdio(mode: int, open_stdin: bool = False, rows: int = 0, columns: int = 0) -> Operation:
    """Say what the container's 0, 1, 2 are: STDIO_NULL, STDIO_PIPES, STDIO_TERMINAL or STDIO_INHERIT."""
    return Operation(code=2, arguments=(mode, open_stdin, rows, columns))


def exit_hook(argv: Sequence[Text], environment: Sequence[Text]) -> Operation:
    """Run this program when nobody acknowledged the exit."""
    return Operation(code=3, arguments=(argv, environment))


def delay(milliseconds: int) -> Operation:
    """Start nothing: let the time pass, then run the exit hook, unless the run directory is removed before."""
    return Operation(code=10, arguments=(milliseconds,))


def health(
    plan: bytes,
    interval_ns: int,
    timeout_ns: int,
    start_period_ns: int,
    start_interval_ns: int,
    retries: int,
    late: Text,
    path: Text,
) -> Operation:
    """Run this plan of a further process again and again; its ENTER means the container that the monitor is about to start.

    `late` is what is said of one that didn't end within its time-out; the results are written to the file `path`.
    """
    numbers = (interval_ns, timeout_ns, start_period_ns, start_interval_ns, retries)
    return Operation(code=11, arguments=(plan, *numbers, late, path))


def await_owner() -> Operation:
    """Don't clone before the owner's first ATTACH."""
    return Operation(code=4)


def run_directory(path: Text) -> Operation:
    """Keep lock, started, exit and attach.sock in this directory."""
    return Operation(code=5, arguments=(path,))


def cgroup(path: Text) -> Operation:
    """Let the new process be born in this cgroup (CLONE_INTO_CGROUP)."""
    return Operation(code=6, arguments=(path,))


def clone(flags: int) -> Operation:
    """Make the new process with these namespaces.

    Not CLONE_NEWCGROUP: the kernel would root it in the cgroup of the parent; use `unshare` on the child side.
    """
    return Operation(code=7, arguments=(flags,))


def enter(pid_namespace_of: int | str, start_time: int, flags: int) -> Operation:
    """Join namespaces of a process, which is verified by its start time (field 22 of /proc/PID/stat)."""
    return Operation(code=8, arguments=(str(pid_namespace_of), start_time, flags))


def stdio_owner(uid: int, gid: int) -> Operation:
    """Give the pipes of the container's 0, 1, 2 to this user of the host: root of a user namespace can't take them itself."""
    return Operation(code=9, arguments=(uid, gid))


# ---- Both sides ----------------------------------------------------------------------------------------------------


def sync(stage: int) -> Operation:
    """Meet the other side here; both need it with the same number."""
    return Operation(code=16, arguments=(stage,))


def take(slot: int, descriptor: int) -> Operation:
    """Put an inherited descriptor into a slot."""
    return Operation(code=17, arguments=(slot, descriptor))


def open_(slot: int, beneath: int, path: Text, flags: int) -> Operation:
    """Open beneath the descriptor of a slot, or a path of the host (HOST)."""
    return Operation(code=18, arguments=(slot, beneath, path, flags))


def close(slot: int) -> Operation:
    """Close what a slot holds."""
    return Operation(code=19, arguments=(slot,))


def write(beneath: int, path: Text, data: Text) -> Operation:
    """Make one write(2) to an existing file."""
    return Operation(code=20, arguments=(beneath, path, data))


def link_up(name: Text) -> Operation:
    """Bring a network interface up."""
    return Operation(code=21, arguments=(name,))


def address(name: Text, address: bytes, prefix: int) -> Operation:
    """Give an interface an address: 4 or 16 bytes, and the length of its prefix in bits."""
    return Operation(code=22, arguments=(name, address, prefix))


def route(name: Text, gateway: bytes) -> Operation:
    """Make `gateway` (4 or 16 bytes) the default route."""
    return Operation(code=23, arguments=(name, gateway))


# ---- The parent side -----------------------------------------------------------------------------------------------


def veth(bridge: Text, host_name: Text, peer_name: Text, mac: bytes) -> Operation:
    """Make a veth pair: one end in the bridge, the other in the child's network namespace; `mac` may be empty."""
    return Operation(code=32, arguments=(bridge, host_name, peer_name, mac))


def stage(stage: int) -> Operation:
    """Tell the owner that this point is reached, with the child's process id, and wait until it has done its part."""
    return Operation(code=24, arguments=(stage,))


def id_map(uid_map: Text, gid_map: Text) -> Operation:
    """Write the child's uid_map and gid_map, lines as user_namespaces(7) has them."""
    return Operation(code=33, arguments=(uid_map, gid_map))


def link_move(name: Text, inside: Text) -> Operation:
    """Move an interface into the child's network namespace, there under the name `inside`; its addresses stay behind."""
    return Operation(code=34, arguments=(name, inside))


# ---- The child side: namespaces ------------------------------------------------------------------------------------


def unshare(flags: int) -> Operation:
    """Make new namespaces for the child itself, unshare(2)."""
    return Operation(code=48, arguments=(flags,))


def setns(slot: int, flags: int) -> Operation:
    """Join the namespace (or those of a pidfd) that a slot holds, setns(2)."""
    return Operation(code=49, arguments=(slot, flags))


def user_namespace(slot: int, uid_map: Text, gid_map: Text) -> Operation:
    """Make a user namespace without processes, to map mounts by; the slot holds it."""
    return Operation(code=51, arguments=(slot, uid_map, gid_map))


def propagation(ms_flags: int) -> Operation:
    """Set the propagation of all mounts of the child's namespace: MS_PRIVATE or MS_SLAVE, with MS_REC."""
    return Operation(code=50, arguments=(ms_flags,))


# ---- The child side: file systems ----------------------------------------------------------------------------------


def overlay(
    slot: int,
    mountpoint: Text,
    base: Text,
    lowers: Sequence[Text],
    upper: Text,
    work: Text,
    options: Sequence[Text] = (),
) -> Operation:
    """Mount the root file system; `lowers` top first; they, `upper` and `work` are relative to `base` or absolute.

    Without `upper` and `work` ("") the mount is read-only.
    """
    return Operation(code=56, arguments=(slot, mountpoint, base, lowers, upper, work, options))


def overlay_id_mapped(
    slot: int,
    userns_slot: int,
    mountpoint: Text,
    base: Text,
    lowers: Sequence[Text],
    upper: Text,
    work: Text,
    options: Sequence[Text] = (),
) -> Operation:
    """Make the root file system, detached, of layers whose files get the ids of a user namespace; the rest as `overlay`.

    The upper directory holds the ids of the host: what the container writes belongs to its own range on the disk too.
    """
    return Operation(code=71, arguments=(slot, userns_slot, mountpoint, base, lowers, upper, work, options))


def root_bind(slot: int, mountpoint: Text, source: Text) -> Operation:
    """Mount a directory of the host as the root file system."""
    return Operation(code=57, arguments=(slot, mountpoint, source))


def filesystem(slot: int, type: Text, source: Text, options: Sequence[Text] = (), attributes: int = 0) -> Operation:
    """Make a file system, detached: nobody reaches it by a path before `attach`. `attributes` is MOUNT_ATTR_*."""
    return Operation(code=58, arguments=(slot, type, source, options, attributes))


def tree(slot: int, beneath: int, path: Text, recursive: bool) -> Operation:
    """Clone an existing mount, directory or file, detached: the first half of a bind mount."""
    return Operation(code=59, arguments=(slot, beneath, path, recursive))


def attributes(slot: int, set: int, clear: int = 0, propagation: int = 0, recursive: bool = False) -> Operation:
    """Change attributes (MOUNT_ATTR_*) and propagation (MS_*) of a mount, mount_setattr(2)."""
    return Operation(code=60, arguments=(slot, set, clear, propagation, recursive))


def attach(slot: int, root: int, path: Text, create: int = CREATE_NOTHING) -> Operation:
    """Mount what a slot holds on `path` beneath `root`; CREATE_* says what to make when it isn't there."""
    return Operation(code=61, arguments=(slot, root, path, create))


def directory(root: int, path: Text, mode: int = 0o755) -> Operation:
    """Make a directory and its parents beneath `root`; existing ones stay as they are."""
    return Operation(code=62, arguments=(root, path, mode))


def symlink(root: int, path: Text, target: Text) -> Operation:
    """Make a symbolic link beneath `root`."""
    return Operation(code=63, arguments=(root, path, target))


def device(root: int, path: Text, mode: int, device: int, uid: int = 0, gid: int = 0) -> Operation:
    """Make a device node beneath `root`: `mode` with its type (S_IFCHR), `device` as os.makedev gives it."""
    return Operation(code=64, arguments=(root, path, mode, device, uid, gid))


def mask(root: int, path: Text, null_slot: int) -> Operation:
    """Hide a file under /dev/null, a directory under an empty read-only one; nothing when `path` is absent."""
    return Operation(code=65, arguments=(root, path, null_slot))


def read_only(root: int, path: Text) -> Operation:
    """Make what lies at `path` read-only; nothing when it is absent."""
    return Operation(code=66, arguments=(root, path))


def pivot(root: int) -> Operation:
    """Make the mount in a slot the root, let go of the old one, and go to /."""
    return Operation(code=67, arguments=(root,))


def id_mapped(slot: int, userns_slot: int, recursive: bool) -> Operation:
    """Show a detached tree with the ids of a user namespace. mount_setattr(2), ID-mapped mounts."""
    return Operation(code=68, arguments=(slot, userns_slot, recursive))


def copy_up(slot: int, root: int, path: Text, keep: int = 0) -> Operation:
    """Fill the file system in `slot` with what lies at `path` beneath `root`; nothing when it is absent.

    Its root takes mode and owner of that, but for what `keep` names (KEEP_MODE, KEEP_OWNER, KEEP_GROUP).
    """
    return Operation(code=69, arguments=(slot, root, path, keep))


def chroot(root: int) -> Operation:
    """Move the mount in a slot over /, and make it the root of the process; where `pivot` is not possible."""
    return Operation(code=70, arguments=(root,))


def root_change(root: int) -> Operation:
    """Make what a slot holds the root of the process, and of no other; the mounts of its namespace stay as they are."""
    return Operation(code=72, arguments=(root,))


def take_mode(slot: int, root: int, path: Text) -> Operation:
    """Give the root of a new file system the mode of the directory at `path`; nothing when it is absent."""
    return Operation(code=73, arguments=(slot, root, path))


def reconfigure(slot: int, options: Sequence[Text]) -> Operation:
    """Change options of the file system that is mounted where the slot's descriptor was opened."""
    return Operation(code=74, arguments=(slot, options))


# ---- The child side: the process -----------------------------------------------------------------------------------


def hostname(name: Text) -> Operation:
    """Set the host name of the child's UTS namespace."""
    return Operation(code=80, arguments=(name,))


def domainname(name: Text) -> Operation:
    """Set the NIS domain name of the child's UTS namespace."""
    return Operation(code=81, arguments=(name,))


def session() -> Operation:
    """Make the child the leader of a new session, setsid(2)."""
    return Operation(code=82)


def terminal(root: int, rows: int = 0, columns: int = 0) -> Operation:
    """Open a pseudo terminal in the devpts of `root`: controlling terminal, 0, 1, 2 and /dev/console of the child."""
    return Operation(code=83, arguments=(root, rows, columns))


def death_signal(signal: int) -> Operation:
    """Get this signal when the monitor dies. A change of credentials forgets it: put it after the last one."""
    return Operation(code=84, arguments=(signal,))


def keyring(name: Text) -> Operation:
    """Join a new session keyring."""
    return Operation(code=85, arguments=(name,))


def rlimit(resource: int, soft: int, hard: int) -> Operation:
    """Set a resource limit by its number; RLIM_INFINITY or -1 is unlimited. setrlimit(2)."""
    return Operation(code=86, arguments=(resource, soft, hard))


def oom_score(adjustment: int) -> Operation:
    """Set oom_score_adj, -1000 to 1000."""
    return Operation(code=87, arguments=(adjustment,))


def bounding(capabilities: int) -> Operation:
    """Drop every capability that isn't in this bit set from the bounding set."""
    return Operation(code=88, arguments=(capabilities,))


def user(spec: Text, extra_groups: Sequence[Text] = ()) -> Operation:
    """Become user[:group], names looked up in the root's /etc/passwd and /etc/group, with supplementary groups.

    Fails with ENOENT for an unknown user, ESRCH for an unknown group, ERANGE for a number above 2^31-1, EINVAL for
    what is neither a number nor a name, EFBIG for account files of an unreasonable size.
    """
    return Operation(code=89, arguments=(spec, extra_groups))


def identity(uid: int, gid: int, groups: Iterable[int] = ()) -> Operation:
    """Become this user, group and supplementary groups, by numbers alone."""
    encoded = b"".join(group.to_bytes(4, "little") for group in groups)
    return Operation(code=90, arguments=(uid, gid, encoded))


def capabilities(effective: int, permitted: int, inheritable: int, ambient: int = 0) -> Operation:
    """Set the capability sets, bit sets of CAP_* numbers."""
    return Operation(code=91, arguments=(effective, permitted, inheritable, ambient))


def no_new_privileges() -> Operation:
    """Forbid privileges by exec, PR_SET_NO_NEW_PRIVS."""
    return Operation(code=92)


def seccomp(flags: int, filter: bytes) -> Operation:
    """Install a system call filter, an array of struct sock_filter.

    Without `no_new_privileges` before it, it needs CAP_SYS_ADMIN.
    """
    return Operation(code=93, arguments=(flags, filter))


def executable(search_path: Text, name: Text) -> Operation:
    """Fail as `exec_` would because the program isn't there or can't be executed, without executing it."""
    return Operation(code=101, arguments=(search_path, name))


def hook(
    path: Text,
    argv: Sequence[Text],
    environment: Sequence[Text],
    state_head: Text,
    state_tail: Text,
    timeout_ms: int,
) -> Operation:
    """Run a program and wait for it; its input is the state, our process id between head and tail.

    Fails with ECANCELED when it is not happy, ETIMEDOUT when its time (0: unlimited) is up, else as execve(2).
    """
    return Operation(code=102, arguments=(path, argv, environment, state_head, state_tail, timeout_ms))


def personality(persona: int) -> Operation:
    """Set execution domain and flags, personality(2)."""
    return Operation(code=104, arguments=(persona,))


def scheduler(policy: int, flags: int, nice: int, priority: int, runtime: int, deadline: int, period: int) -> Operation:
    """Set scheduling policy and attributes; times in nanoseconds. sched_setattr(2)."""
    return Operation(code=105, arguments=(policy, flags, nice, priority, runtime, deadline, period))


def io_priority(io_class: int, priority: int) -> Operation:
    """Set the I/O priority, ioprio_set(2)."""
    return Operation(code=106, arguments=(io_class, priority))


ALL_CPUS = b"\xff" * 128  # more than there are is no error


def cpu_affinity(mask: bytes) -> Operation:
    """Run on these CPUs only: bit n of the mask is CPU n. sched_setaffinity(2)."""
    return Operation(code=107, arguments=(mask,))


def home(uid: int) -> Operation:
    """Look up the user's home in the container's /etc/passwd; `exec_` adds it where the environment has no HOME."""
    return Operation(code=110, arguments=(uid,))


def memory_policy(mode: int, nodes: bytes) -> Operation:
    """Set the NUMA memory policy; bit n is node n. set_mempolicy(2)."""
    return Operation(code=108, arguments=(mode, nodes))


def seccomp_listen(flags: int, filter: bytes) -> Operation:
    """As `seccomp`; the owner gets the descriptor on which SECCOMP_RET_USER_NOTIF waits. seccomp_unotify(2).

    The filter must not stop sendmsg(2) and close(2), which come before anybody can answer.
    """
    return Operation(code=103, arguments=(flags, filter))


def umask(mask: int) -> Operation:
    """Set the file mode creation mask; without this operation it is 0022."""
    return Operation(code=94, arguments=(mask,))


def directory_change(path: Text) -> Operation:
    """Make `path` the working directory; ENOENT when it lies outside of the root (CVE-2024-21626)."""
    return Operation(code=95, arguments=(path,))


def signals() -> Operation:
    """Default handlers, nothing blocked."""
    return Operation(code=96)


def seal(keep: int) -> Operation:
    """Let no descriptor from `keep` on survive exec."""
    return Operation(code=97, arguments=(keep,))


def forget(keep: int, gate: int, verdict: int) -> Operation:
    """Close all descriptors from `keep` on but those in two slots, and the one that leads to the caller."""
    return Operation(code=111, arguments=(keep, gate, verdict))


def mortal() -> Operation:
    """Let HUP, INT, QUIT and TERM end this process until it executes, even if it is the first of its pid namespace."""
    return Operation(code=112, arguments=())


def init() -> Operation:
    """Fork: this process stays as pid 1 and reaps, the new one goes on with the plan."""
    return Operation(code=98)


def exec_(search_path: Text, argv: Sequence[Text], environment: Sequence[Text]) -> Operation:
    """Execute the program; a name without a slash is looked for in `search_path` (a:b:c)."""
    return Operation(code=99, arguments=(search_path, argv, environment))


def ready(close: bool) -> Operation:
    """Tell the caller that the child is complete; with `close` it says nothing more, and the caller need not stay.

    Needed ahead of a filter that may forbid sendmsg(2), and ahead of `gate`.
    """
    return Operation(code=109, arguments=(close,))


def gate(gate: int, verdict: int) -> Operation:
    """Wait for a byte from the FIFO in slot `gate`; write a later failure to that in `verdict` (struct mr_message).

    Both are open for reading and writing. Who opens the gate reads the verdict: nothing but its end means success.
    """
    return Operation(code=100, arguments=(gate, verdict))


# ---- The plan ------------------------------------------------------------------------------------------------------


class Plan:
    """Operations by side. `operations` gives their order in the encoding: what a failure's number counts."""

    __slots__ = ("_encoding", "child", "enter", "monitor", "parent", "prepare")

    def __init__(self) -> None:
        self.monitor: list[Operation] = []
        self.prepare: list[Operation] = []
        self.enter: list[Operation] = []
        self.parent: list[Operation] = []
        self.child: list[Operation] = []
        self._encoding: bytes | None = None

    def operations(self) -> list[tuple[str, Operation]]:
        """Give (side, operation) in encoded order."""
        return [(side, operation) for side in ORDER for operation in getattr(self, side)]

    def encode(self) -> bytes:
        """Give the bytes that native/plan.c reads; ValueError for text with a NUL, TypeError for a wrong argument."""
        if self._encoding is None:
            return self._framed([encoded(side, getattr(self, side)) for side in ORDER])
        return self._encoding

    def close(self, encoding: Sequence[bytes]) -> None:
        """Take what `encoded` gave for its operations, in their order, as this plan's encoding; it isn't to be changed any more."""
        self._encoding = self._framed(encoding)

    def _framed(self, encoding: Sequence[bytes]) -> bytes:
        body = b"".join(encoding)
        count = sum(len(getattr(self, side)) for side in ORDER)
        return _PLAN_HEADER.pack(MAGIC, VERSION, _PLAN_HEADER.size + len(body), count) + body

    def describe(self, index: int) -> str:
        """Say what the operation at `index` does, for error messages: "mount proc on /proc"."""
        from .explain import describe_at

        return describe_at(self, index)

    def explain(self) -> list[str]:
        """Give one line per operation, side first."""
        from .explain import lines

        return lines(self)


def describe(operation: Operation) -> str:
    """Say what one operation does, by itself: what a slot holds is not known here."""
    from .explain import sentence

    return sentence(operation, {})


_PLAN_HEADER = Struct("<IIII")
_head, _HEAD_BYTES = Struct("<HBBI").pack, 8
_number = Struct("<Q").pack
_length = Struct("<I").pack
_PADDING = tuple(b"\0" * (-length % 8) for length in range(8))
_STRING_END = tuple(b"\0" + _PADDING[(5 + length) % 8] for length in range(8))


def encoded(side: str, operations: Iterable[Operation]) -> bytes:
    """Give the bytes of operations of one side; errors as `Plan.encode`."""
    return b"".join(map(_encoder(SIDES.index(side), is_setting=side == "monitor"), operations))


def _encoder(side: int, *, is_setting: bool) -> Callable[[Operation], bytes]:
    """Give what encodes one operation of a side, and remembers it: most of a start's are those of the start before."""
    known = _encoded[side]
    if len(known) > KNOWN_MAX:
        known.clear()

    def encode(operation: Operation) -> bytes:
        key = (operation.code, operation.arguments, operation.optional)
        try:
            part = known.get(key)
        except TypeError:  # a list among the arguments
            return _encode(side, is_setting, operation)
        if part is None:
            part = _encode(side, is_setting, operation)
            if len(part) <= KNOWN_BYTES:
                known[key] = part
        return part

    return encode


KNOWN_MAX = 500  # of a side
KNOWN_BYTES = 512
_encoded: tuple[dict[object, bytes], ...] = tuple({} for _ in SIDES)


def _encode(side: int, is_setting: bool, operation: Operation) -> bytes:
    code, arguments = operation.code, operation.arguments
    name, signature, _ = OPERATIONS[code]
    if (code < FIRST_ACTION) != is_setting:
        raise TypeError(f"{name} doesn't belong on the {SIDES[side]} side")
    if len(arguments) != len(signature):
        raise TypeError(f"{name} takes {len(signature)} arguments, not {len(arguments)}")
    body = b""
    for kind, value in zip(signature, arguments):  # noqa: B905 -- of one length, as was just seen
        if kind == "u":
            body += _number(value & 0xFFFFFFFFFFFFFFFF)  # type: ignore[operator]  # signature says number
        elif kind == "s":
            body += _string(value)
        elif kind == "b":
            data = value.encode() if isinstance(value, str) else value
            body += _length(len(data)) + data + _PADDING[(4 + len(data)) % 8]  # type: ignore[arg-type,operator]
        else:
            body += _number(len(value)) + b"".join(map(_string, value))  # type: ignore[arg-type,call-overload]
    return _head(code, side, OPTIONAL if operation.optional else 0, _HEAD_BYTES + len(body)) + body


def _string(value: object) -> bytes:
    if type(value) is str:
        data = value.encode("utf-8", "surrogateescape")
    elif isinstance(value, (str, bytes)):
        data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    else:
        raise TypeError(f"text is str or bytes, not {type(value).__name__}")
    if b"\0" in data:
        raise ValueError(f"{data!r} holds a NUL byte")
    length = len(data)
    return _length(length) + data + _STRING_END[length % 8]
