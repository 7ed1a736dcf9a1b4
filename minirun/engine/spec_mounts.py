"""The mounts of a container: its own proc, dev and sys, then what the user brings, in the order in which they are made.

Owns: Docker's default mounts, what is masked on this host, the rules for -v and --tmpfs.
Leaves to others: making the mounts (runtime/compile), the content of /etc/hosts and its like (network/names).

A mount of the user's takes the place of a default one at the same destination. The user's follow in order of depth,
so that none is covered by a later one above it.
"""

from __future__ import annotations

import os

from ..errors import InvalidInput
from ..light import suppress
from ..linux.flags import (
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTRIBUTES,
    PROPAGATIONS,
)
from ..runtime.spec import MASKED_PATHS, IdMapping, Mount
from .config import SHM_SIZE_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import BindMount, ContainerConfig, ImageMount, TmpfsMount, VolumeMount
    from .spec import Surroundings

_NONE = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC

_PROC = Mount(destination="/proc", type="proc", source="proc", attributes=_NONE)
_DEV = Mount(
    destination="/dev", type="tmpfs", source="tmpfs", data=("mode=755", "size=65536k"), attributes=MOUNT_ATTR_NOSUID
)
# newinstance is what every mount has since 4.7; gid 5 is `tty` in every distribution, and pty users may not read along.
_PTS = Mount(
    destination="/dev/pts",
    type="devpts",
    source="devpts",
    data=("newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
    attributes=MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
)
_SYS = Mount(destination="/sys", type="sysfs", source="sysfs", attributes=_NONE)
_CGROUP = Mount(destination="/sys/fs/cgroup", type="cgroup2", source="cgroup", attributes=_NONE)
_SHM = "/dev/shm"  # noqa: S108  (a container's own, made here; or on purpose the host's)
_MQUEUE = Mount(destination="/dev/mqueue", type="mqueue", source="mqueue", attributes=_NONE)

_THROTTLE = "/sys/devices/system/cpu/cpu{}/thermal_throttle"

# What a file may be mounted over in /proc: the figures that lxcfs tells a container about itself. Anything else
# there would let the user's files pass for the kernel's (CVE-2019-16884).
_OVER_PROC = (
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
)

_TMPFS_DATA = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "huge", "mpol")
_TMPFS_OPPOSITES = {
    "rw": MOUNT_ATTR_RDONLY,
    "suid": MOUNT_ATTR_NOSUID,
    "dev": MOUNT_ATTR_NODEV,
    "exec": MOUNT_ATTR_NOEXEC,
}
_TMPFS_IGNORED = ("defaults", "relatime", "async", "nomand", "private", "rprivate")


def mounts_of(config: ContainerConfig, surroundings: Surroundings) -> tuple[Mount, ...]:
    """Give all mounts in order. Looks whether a bind's source is a file; the source need not exist yet."""
    read_only = 0 if config.privileged else MOUNT_ATTR_RDONLY
    own = (
        _PROC,
        _DEV,
        _PTS,
        _SYS.replace(attributes=_SYS.attributes | read_only),
        _CGROUP.replace(attributes=_CGROUP.attributes | read_only),
        *_of_ipc(config),
    )
    users = [*(_as_owner(config, bind, _bind(bind)) for bind in config.binds), *map(_tmpfs, config.tmpfs)]
    users += [_volume(config, volume) for volume in config.volumes]
    users += [_image(mount, surroundings.layers.get(mount.image_id, ())) for mount in config.image_mounts]
    taken = {mount.destination for mount in users}
    users += [file for file in _files(config, surroundings) if file.destination not in taken]
    users.sort(key=lambda mount: mount.destination.count("/"))
    return (*(mount for mount in own if mount.destination not in taken), *users)


def masked_paths() -> tuple[str, ...]:
    """Give the paths of this host that a container must not read: docker's list, and what tells of other tenants' load."""
    if not os.path.exists(_THROTTLE.format(0)):
        return MASKED_PATHS
    return MASKED_PATHS + tuple(_THROTTLE.format(number) for number in range(os.sysconf("SC_NPROCESSORS_CONF")))


def prepare(config: ContainerConfig) -> None:
    """Make the source directories of -v that don't exist yet, as docker does. InvalidInput when that fails."""
    check_sources(config)
    for bind in config.binds:
        if os.path.lexists(bind.source):
            if not bind.propagation.endswith("private"):
                _check_propagation(bind)
            continue
        try:
            _make_directory(bind.source)
        except OSError as error:
            why = (error.strerror or "").lower()
            raise InvalidInput(f"error while creating mount source path {bind.source!r}: {why}") from error


def _make_directory(path: str) -> None:
    """Make a directory and those above it, as a daemon would: for all users to enter, whatever the caller's umask is."""
    if not os.path.isdir(above := os.path.dirname(path)):
        _make_directory(above)
    with suppress(FileExistsError):
        os.mkdir(path)
        os.chmod(path, 0o755)


def check_sources(config: ContainerConfig) -> None:
    """Raise InvalidInput for a --mount whose source isn't there: nobody makes it, in case the path is mistyped."""
    for bind in config.binds:
        if bind.by_mount and not os.path.lexists(bind.source):
            raise InvalidInput(f'invalid mount config for type "bind": bind source path does not exist: {bind.source}')


def _check_propagation(bind: BindMount) -> None:
    """Raise InvalidInput where no mount could ever come along, because the host's own mount doesn't take part.

    mount_namespaces(7), SHARED SUBTREES; proc_pid_mountinfo(5) for the fields.
    """
    place, tags = "", ""
    path = os.path.realpath(bind.source)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.split(" - ")[0].split()
            mounted = fields[4].replace("\\040", " ")
            if (path + "/").startswith(mounted.rstrip("/") + "/") and len(mounted) >= len(place):
                place, tags = mounted, " ".join(fields[6:])
    wanted: tuple[str, ...] = ("shared:",)
    kind = "shared"
    if bind.propagation.endswith("slave"):
        wanted, kind = ("shared:", "master:"), "shared or slave"
    if not any(tag in tags for tag in wanted):
        raise InvalidInput(f"path {bind.source} is mounted on {place} but it is not a {kind} mount")


def check(config: ContainerConfig) -> None:
    """Raise InvalidInput for mounts that can't be."""
    seen: set[str] = set()
    volumes = (_volume(config, volume) for volume in config.volumes)
    images = (_image(mount, ()) for mount in config.image_mounts)
    for mount in (*map(_bind, config.binds), *map(_tmpfs, config.tmpfs), *volumes, *images):
        if mount.destination in seen:
            raise InvalidInput(f"Duplicate mount point: {mount.destination}")
        seen.add(mount.destination)
    if any(bind.id_mapped for bind in config.binds) and not config.has_user_namespace:
        raise InvalidInput("volume option idmap: the container's ids are the host's; it goes with --userns auto")
    if any(bind.id_mapped and bind.as_owner for bind in config.binds):
        raise InvalidInput("volume options idmap and owner: one of them says whose the files are")
    if config.shm_size_bytes < 0:
        raise InvalidInput("SHM size can not be less than 0")


def without_devices(mount: Mount) -> Mount:
    """Give the mount with `nodev`, unless it is where the container's own device nodes are."""
    if mount.destination in ("/dev", "/dev/pts") and mount.type != "bind":
        return mount
    return mount.replace(attributes=mount.attributes | MOUNT_ATTR_NODEV)


def _of_ipc(config: ContainerConfig) -> tuple[Mount, ...]:
    """Shared memory and message queues go with the IPC namespace."""
    if config.ipc_mode == "host":
        paths = ("/dev/mqueue", _SHM)
        return tuple(Mount(destination=path, type="bind", source=path) for path in paths if os.path.ismount(path))
    if config.ipc_mode == "none":
        return (_MQUEUE,)
    if "ipc" in config.lenders:
        return _MQUEUE, Mount(destination=_SHM, type="bind", source=_SHM, of_lender=True)
    return _MQUEUE, _shared_memory(config.shm_size_bytes or SHM_SIZE_BYTES)  # tmpfs(5) has no limit with size=0


def _shared_memory(size_bytes: int) -> Mount:
    data = ("mode=1777", f"size={size_bytes}")
    return Mount(destination=_SHM, type="tmpfs", source="shm", data=data, attributes=_NONE)


def _files(config: ContainerConfig, surroundings: Surroundings) -> list[Mount]:
    pairs = (
        ("/etc/hosts", surroundings.hosts_file),
        ("/etc/hostname", surroundings.hostname_file),
        ("/etc/resolv.conf", surroundings.resolv_file),
    )
    attributes = MOUNT_ATTR_RDONLY if config.read_only else 0
    return [
        Mount(destination=destination, type="bind", source=source, attributes=attributes, create="file")
        for destination, source in pairs
        if source
    ]


def _bind(bind: BindMount) -> Mount:
    if bind.propagation and bind.propagation not in PROPAGATIONS:
        raise InvalidInput(f"invalid mount propagation {bind.propagation!r}: one of {' '.join(PROPAGATIONS)}")
    if not bind.source.startswith("/"):
        raise InvalidInput(f"invalid volume specification: the source {bind.source!r} needs to be an absolute path")
    is_file = os.path.exists(bind.source) and not os.path.isdir(bind.source)
    read_only = MOUNT_ATTR_RDONLY if bind.read_only else 0
    alone = bind.submounts in ("disabled", "writable")
    return Mount(
        destination=_destination(bind.target, is_file=is_file),
        type="bind",
        source=bind.source,
        # All of it, unless something else is said: a read-only bind whose submounts can be written isn't read-only.
        attributes=read_only if alone else 0,
        tree_attributes=0 if alone else read_only,
        recursive=bind.submounts != "disabled",
        propagation=PROPAGATIONS[bind.propagation or "rprivate"],
        create="file" if is_file else "directory",
    )


def _volume(config: ContainerConfig, volume: VolumeMount) -> Mount:
    """One bind of the volume's directory; with a user namespace its files have the container's own ids, as the image's have."""
    return Mount(
        destination=_destination(volume.target),
        type="bind",
        source=volume.source,
        part=volume.part,
        attributes=MOUNT_ATTR_RDONLY if volume.read_only else 0,
        propagation=PROPAGATIONS["private"],
        id_map="idmap" if config.has_user_namespace and not volume.is_device else "",
    )


def _image(mount: ImageMount, layers: tuple[str, ...]) -> Mount:
    """An overlay without an upper: nothing can be written there."""
    return Mount(destination=_destination(mount.target), type="bind", layers=layers, part=mount.part)


def _as_owner(config: ContainerConfig, bind: BindMount, mount: Mount) -> Mount:
    """Map one id: the source's owner is the container's user there, and the other way round. mount_setattr(2), ID-mapped mounts.

    Every other owner is shown as nobody, and nobody else of the container can make files: none could belong to the owner.
    """
    if bind.id_mapped:
        return mount.replace(id_map="ridmap" if mount.recursive else "idmap")
    if not bind.as_owner:
        return mount
    from ..units import ID_MAX, whole_number

    user, _, group = config.user.partition(":")
    uid, gid = whole_number(user or "0", ID_MAX), whole_number(group or "0", ID_MAX)
    if uid is None or gid is None:
        raise InvalidInput(f"volume option owner: give --user as a number, {config.user[:64]!r} is known inside only")
    status = os.stat(bind.source)
    return mount.replace(
        id_map="ridmap" if mount.recursive else "idmap",
        uid_mappings=(IdMapping(container_id=status.st_uid, host_id=uid, size=1),),
        gid_mappings=(IdMapping(container_id=status.st_gid, host_id=gid, size=1),),
    )


def _tmpfs(tmpfs: TmpfsMount) -> Mount:
    """Read the options as mount(8) has them, over docker's noexec,nosuid,nodev."""
    attributes, data = _NONE, []
    for option in tmpfs.options:
        name, _, value = option.partition("=")
        if name in _TMPFS_DATA and value:
            data.append(option)
        elif option in MOUNT_ATTRIBUTES:
            attributes |= MOUNT_ATTRIBUTES[option]
        elif option in _TMPFS_OPPOSITES:
            attributes &= ~_TMPFS_OPPOSITES[option]
        elif option and option not in _TMPFS_IGNORED:
            raise InvalidInput(f"invalid tmpfs option {option!r} for {tmpfs.target}")
    return Mount(
        destination=_destination(tmpfs.target), type="tmpfs", source="tmpfs", data=tuple(data), attributes=attributes
    )


def _destination(path: str, *, is_file: bool = False) -> str:
    """Give the path without needless parts; InvalidInput when it isn't absolute, is the root, or pretends to be /proc."""
    if not path.startswith("/"):
        raise InvalidInput(f"invalid mount path: {path!r}: mount path must be absolute")
    clean = "/" + "/".join(part for part in path.split("/") if part not in ("", "."))
    if ".." in clean.split("/"):
        raise InvalidInput(f"invalid mount path: {path!r}: it may not contain '..'")
    if clean == "/":
        raise InvalidInput("invalid specification: destination can't be '/'")
    if clean == "/proc" or (clean.startswith("/proc/") and not (is_file and clean in _OVER_PROC)):
        raise InvalidInput(f"{clean} can't be mounted over: it belongs to the kernel")
    return clean
