"""What the steps of a compilation look at: the spec, where the container lies, and what both come to.

Owns: `Placement`, `Target`, the slots of a plan. Leaves to others: the steps themselves (namespaces, mounts, network,
process), their order (the package).
"""

from __future__ import annotations

import os

from ...errors import NotSupported
from ...linux import flags, plan
from ...record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Protocol

    from ...linux.plan import Operation
    from ..spec import Mount, Spec

    Step = Callable[["Context"], Iterable[Operation]]

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


# Slots. The first are the child's own; from JOINED on they are filled ahead of the clone.
ROOT, NULL, PROC, SYS, DEV, PARAMETERS, MOUNT, NAMESPACE = range(8)
GATE, VERDICT, USER_NAMESPACE, JOINED = 8, 9, 10, 11  # JOINED and up: one for each of the seven namespaces by path
LENDER = 18  # the mount namespace of another container
MOUNTS = 19  # a mount namespace that isn't the container's own
FIRST_TREE = 20  # and up: trees that are cloned early: tied to the host's, or out of the child's reach
KEPT = {"/proc": PROC, "/sys": SYS, "/dev": DEV}  # mounts that later steps reach into

TIED = flags.MS_SHARED | flags.MS_SLAVE

# Stages of SYNC and STAGE.
NETWORK_READY, IDS_MAPPED, NAMESPACES_MADE, HOOKS_RUN, LIMITS_DUE, LIMITS_RAISED = range(1, 7)


class Placement(Record):
    """Where a container lies on this host and who watches it: what the spec doesn't say.

    A container with a monitor has a `run_directory`; one of the OCI runtime has `gate` and `verdict`, FIFOs at which its
    first process waits for the start.
    """

    run_directory: str = ""
    # An empty directory of the host; each container mounts its root there, in its own mount namespace.
    mountpoint: str = ""
    base: str = ""  # what `lowers`, `upper` and `work` are relative to, unless absolute
    lowers: tuple[str, ...] = ()  # top first
    upper: str = ""
    work: str = ""
    overlay_options: tuple[str, ...] = ("index=off", "metacopy=off", "redirect_dir=nofollow")
    more_overlay_options: tuple[str, ...] = ()  # of the root's layer that is written to
    cgroup: str = ""
    settles: bool = False  # the owner moves the child into another cgroup once it has its namespaces
    log_path: str = ""  # "": no log
    log_max_bytes: int = 0
    log_max_files: int = 0
    log_attributes: str = ""  # of each record: a member of a JSON object, and a comma
    open_stdin: bool = False
    rows: int = 0
    columns: int = 0
    endpoint: Endpoint | None = None
    namespaces: dict[str, int] = {}  # kind -> inherited descriptor, instead of the path in the spec
    exit_hook: tuple[str, ...] = ()
    exit_hook_environment: tuple[str, ...] = ()
    await_owner: bool = True
    keyring: str = ""  # name of the session keyring, usually the id; "": the caller's
    cache_directory: str = ""  # compiled seccomp filters
    gate: str = ""
    verdict: str = ""
    preserved: int = 0  # descriptors from 3 on that the program keeps
    bundle: str = ""  # where hooks before the pivot begin
    binds_devices: bool = False  # this host's root is one of a user namespace, who can't make device nodes
    pivot: bool = True  # False: the root is moved over /, for hosts whose root file system can't be pivoted away from
    # OCI state as JSON text, in two parts: the process id of the container goes between them.
    hook_state: tuple[str, str] = ("", "")


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
    exit_hook: tuple[str, ...] = ()  # gets the wait status as one more word, when nobody has taken note of the end
    exit_hook_environment: tuple[str, ...] = ()
    monitored: bool = True  # False: nobody stays to watch the process
    keyring: str = ""
    cache_directory: str = ""
    preserved: int = 0


class Context:
    """The spec, its place, and what both come to."""

    def __init__(self, spec: Spec, place: Placement | Target) -> None:
        self.spec = spec
        self.place = place

        mounted = {mount.destination for mount in spec.mounts}
        self.kept = {path: slot for path, slot in KEPT.items() if path in mounted}
        self.in_user_namespace = any(item.kind == "user" for item in spec.linux.namespaces)
        self.binds_devices = self.in_user_namespace or (isinstance(place, Placement) and place.binds_devices)
        self.joined_kinds = {item.kind for item in spec.linux.namespaces if item.path}
        if isinstance(place, Placement) and place.gate:
            self.spec = spec = spec.replace(mounts=tuple(self._effective(mount) for mount in spec.mounts))
        # By place in the list: two mounts may have one destination.
        early = [number for number, mount in enumerate(spec.mounts) if mount.type == "bind" and self.is_early(mount)]
        if len(early) > plan.SLOTS - FIRST_TREE:
            raise NotSupported(f"more than {plan.SLOTS - FIRST_TREE} binds of this kind aren't supported")
        self.early = {number: FIRST_TREE + place for place, number in enumerate(early)}
        self.kept |= {
            spec.mounts[number].destination: slot
            for number, slot in self.early.items()
            if spec.mounts[number].destination in KEPT
        }

    def at(self, place: Placement) -> Context:
        """Give the same spec at another place, where the same is true of it."""
        other = object.__new__(Context)
        other.__dict__.update(self.__dict__, place=place)
        return other

    def _effective(self, mount: Mount) -> Mount:
        """Give the mount that serves where the wanted one can't be made; a new file system gets the label of all."""
        linux = self.spec.linux
        if linux.mount_label and not mount.remount and mount.type not in _UNLABELLED:
            return mount.replace(data=(*mount.data, f"context={linux.mount_label}"))
        own_network = linux.has_new("network")
        if mount.type == "sysfs" and self.in_user_namespace and not own_network:
            # sysfs shows a network namespace, and takes privileges over it.
            return mount.replace(type="bind", source="/sys", data=(), recursive=True)
        if mount.type in ("cgroup", "cgroup2"):
            if any(item.kind == "cgroup" for item in linux.namespaces):
                return mount.replace(type="cgroup2", source="cgroup", data=())
            return mount.replace(type="bind", source=self.placement.cgroup or "/sys/fs/cgroup", data=(), recursive=True)
        return mount

    @property
    def has_own_mounts(self) -> bool:
        """Does it get a mount namespace of its own? Else it lives in that of others, with a root that only it sees."""
        return self.spec.linux.has_new("mount")

    @property
    def maps_layers(self) -> bool:
        """Are the root's layers an overlay whose ids are mapped?"""
        return self.in_user_namespace and isinstance(self.place, Placement) and bool(self.place.lowers)

    def is_made_outside(self, mount: Mount) -> bool:
        """Is it made with the host's privileges: sysfs shows a network namespace, and this one is another user namespace's?"""
        own_network = self.spec.linux.has_new("network")
        return mount.type == "sysfs" and self.in_user_namespace and not own_network and not self.placement.gate

    @property
    def has_procfs(self) -> bool:
        """Does the container get a procfs of its own on /proc?"""
        return any(mount.destination == "/proc" and mount.type == "proc" for mount in self.spec.mounts)

    @property
    def dev_comes_from_outside(self) -> bool:
        """Is /dev a bind of a directory that somebody has filled already?"""
        return any(mount.destination == "/dev" and mount.type == "bind" for mount in self.spec.mounts)

    @property
    def has_hooks_before_pivot(self) -> bool:
        """Has the owner anything to do while the child waits: running hooks, or writing down that the child is going to?"""
        hooks = self.spec.hooks
        return self.placement.settles or bool(hooks.prestart or hooks.create_runtime or hooks.create_container)

    def is_early(self, mount: Mount) -> bool:
        """Is the tree cloned ahead of everything else: it stays tied to the host's, or the child can't reach or map it later?"""
        if self.in_user_namespace or mount.id_map or mount.of_lender or mount.layers:
            return True
        return bool(mount.propagation & TIED) and _has_ties(mount)

    @property
    def placement(self) -> Placement:
        assert isinstance(self.place, Placement)
        return self.place

    @property
    def is_monitored(self) -> bool:
        """Does a process of ours stay to watch this one, whose end is to be the end of it?"""
        return self.place.monitored if isinstance(self.place, Target) else not self.place.gate

    def anchor(self, path: str) -> tuple[int, str]:
        """Give slot and path beneath it: beneath our own mount where there is one, so that nothing can be slid under it."""
        for top, slot in self.kept.items():
            if path.startswith(top + "/"):
                return slot, path[len(top) + 1 :]
        return ROOT, path

    def early_trees(self) -> Iterator[tuple[Mount, int]]:
        """Give the mounts whose trees are cloned early, with their slots."""
        for number, slot in self.early.items():
            yield self.spec.mounts[number], slot


# A tree has the labels of its files; the kernel has its own for these.
_UNLABELLED = ("bind", "proc", "sysfs", "cgroup", "cgroup2", "mqueue")


def _has_ties(mount: Mount) -> bool:
    """Does the host's mount that the source lies on, or with `recursive` one beneath it, have peers or a master?

    Without them a tree is cloned at its turn like any other: mountinfo then shows it in the order of the list.
    """
    source = os.path.realpath(mount.source)
    longest, tied = "", False
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split(" ")
            point, ties = fields[4].replace("\\040", " "), fields[6].startswith(("shared:", "master:"))
            if (source + "/").startswith(point.rstrip("/") + "/"):
                if len(point) >= len(longest):
                    longest, tied = point, ties
            elif ties and mount.recursive and point.startswith(source.rstrip("/") + "/"):
                return True
    return tied
