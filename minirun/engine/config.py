"""What the user asked for: one frozen value per container, stored with it and shown by `inspect`.

Owns: the vocabulary of a request (`ContainerConfig` and its parts), to and from JSON.
Leaves to others: parsing command-line text (cli/parse), turning it into an OCI spec (engine/spec).
Every field has a default that means "not asked": the image or the host then decides in engine/spec, in one place.
"""

from __future__ import annotations

from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


SHM_SIZE_BYTES = 64 * 1024 * 1024


class BindMount(Record):
    """A directory or file of the host inside the container (`-v source:target[:options]`)."""

    source: str
    target: str
    read_only: bool = False
    propagation: str = "rprivate"  # private rprivate slave rslave shared rshared
    as_owner: bool = False  # what the container's user writes belongs to the owner of the source
    id_mapped: bool = False  # with --userns auto: ids are the container's, so what its root writes is root's
    submounts: str = (
        ""  # of the source: "" they come along, "disabled" they don't, "writable", "readonly" (--mount bind-recursive)
    )
    by_mount: bool = False  # written as --mount: the source has to be there


class TmpfsMount(Record):
    """An empty file system in memory (`--tmpfs target[:options]`); options as mount(8) has them."""

    target: str
    options: tuple[str, ...] = ()
    by_mount: bool = False  # written as --mount


class VolumeMount(Record):
    """A volume inside the container (`-v [name:]target[:options]`, an image's VOLUME); `source` is what lies behind it.

    As the user asked for it a volume without a name has none, and no source: `create` fills both in.
    """

    target: str
    name: str = ""
    source: str = ""
    read_only: bool = False
    copy: bool = True  # an empty one begins with what the image has there
    part: str = ""  # of the volume: the path of a directory in it
    mode: str = ""  # as it was written
    labels: dict[str, str] = {}  # of the volume, if it is made now; so are the driver and its options
    driver: str = ""
    options: dict[str, str] = {}
    is_anonymous: bool = False  # goes with its container, when that is asked for
    is_device: bool = False  # shows a directory of the host's
    by_mount: bool = False  # written as --mount
    is_mounted: bool = False  # is a file system of its own, mounted for as long as one of its containers runs


class ImageMount(Record):
    """What an image holds, shown inside the container; nobody can write there (`--mount type=image`)."""

    target: str
    name: str = ""  # as it was asked for
    image_id: str = ""  # what the name led to when the container was created
    part: str = ""  # of the image: the path of a directory in it


class PortMapping(Record):
    """A host address and port that lead to a port of the container (`-p [address:]host:container/protocol`)."""

    container_port: int
    protocol: str = "tcp"  # tcp udp sctp
    host_address: str = ""  # "" means every address, IPv4 and IPv6
    host_port: int = 0  # 0 means: a free port is chosen at start
    host_port_last: int = 0  # the first free one from host_port to this; 0: host_port alone


class Ulimit(Record):
    """A resource limit (`--ulimit name=soft[:hard]`); -1 is unlimited. setrlimit(2)."""

    name: str
    soft: int
    hard: int


class Device(Record):
    """A device node of the host made available (`--device host[:container[:rwm]]`)."""

    host_path: str
    container_path: str
    permissions: str = "rwm"


class DeviceRate(Record):
    """How much a container may move on one block device in a second, in bytes or operations (`--device-read-bps path:rate`)."""

    path: str
    rate: int


class DeviceWeight(Record):
    """A container's share of one block device, 10 to 1000 (`--blkio-weight-device path:weight`)."""

    path: str
    weight: int


class ContainerConfig(Record):
    """One container as the user asked for it.

    The store keeps what isn't as by default (`given`): to change a default is a step of the database (engine/schema).
    """

    image: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None  # None: the image's; () : none at all (--entrypoint "")
    name: str = ""
    environment: tuple[str, ...] = ()  # NAME=value, in order; later wins; NAME alone takes the image's away
    labels: dict[str, str] = {}
    working_directory: str = ""
    user: str = ""
    hostname: str = ""
    domainname: str = ""  # of NIS, uname(2)
    interactive: bool = False  # -i: keep stdin open
    terminal: bool = False  # -t
    attach: tuple[str, ...] = ()  # the streams a foreground run attaches: stdin stdout stderr
    detached: bool = False  # run -d
    auto_remove: bool = False  # --rm
    id_file: str = ""  # where its id was written to
    init: bool = False
    read_only: bool = False
    privileged: bool = False
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    pid_mode: str = ""  # host, container:NAME; "": a pid namespace of its own
    ipc_mode: str = ""  # host, container:NAME; "", private, shareable: of its own; none: of its own, without /dev/shm
    uts_mode: str = ""  # host; "": of its own
    cgroupns_mode: str = ""  # host; "", private: of its own
    userns: str = ""  # auto, auto:size=N: a user namespace of its own; "" and host: the host's
    security_options: tuple[
        str, ...
    ] = ()  # no-new-privileges, seccomp=unconfined, seccomp=FILE, systempaths=unconfined
    groups_add: tuple[str, ...] = ()
    binds: tuple[BindMount, ...] = ()
    tmpfs: tuple[TmpfsMount, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
    image_mounts: tuple[ImageMount, ...] = ()
    volumes_from: tuple[str, ...] = ()  # NAME[:ro|rw]
    devices: tuple[Device, ...] = ()
    device_rules: tuple[str, ...] = ()  # "c 1:3 rwm" and the like, beside those for `devices`
    ulimits: tuple[Ulimit, ...] = ()
    sysctls: dict[str, str] = {}
    shm_size_bytes: int = SHM_SIZE_BYTES  # 0: the same
    memory_bytes: int = 0
    memory_swap_bytes: int = 0  # memory plus swap as docker counts it; -1 unlimited, 0 not asked
    memory_reservation_bytes: int = 0
    nano_cpus: int = 0  # 10**9 is one CPU
    cpu_period_us: int = 0
    cpu_quota_us: int = 0  # of processor time in each period
    cpu_shares: int = 0  # docker's scale, 1024 is the default weight
    cgroup_parent: str = ""  # a cgroup of the host, or a slice, that the container's lies in
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int = 0  # -1 unlimited, 0 not asked
    oom_score_adj: int = 0  # -1000 to 1000
    block_weight: int = 0  # 10 to 1000, 0 not asked
    block_device_weights: tuple[DeviceWeight, ...] = ()
    device_read_bytes: tuple[DeviceRate, ...] = ()
    device_write_bytes: tuple[DeviceRate, ...] = ()
    device_read_operations: tuple[DeviceRate, ...] = ()
    device_write_operations: tuple[DeviceRate, ...] = ()
    network: str = "bridge"  # none host bridge container:NAME
    mac_address: str = ""  # on the bridge; "" is one that belongs to the IPv4 address
    ports: tuple[PortMapping, ...] = ()
    publish_all: bool = False
    exposed: tuple[str, ...] = ()  # "80/tcp", beside those of the image
    annotations: dict[str, str] = {}
    extra_hosts: tuple[str, ...] = ()  # name:address
    links: tuple[str, ...] = ()  # NAME:ALIAS of other containers on the bridge; once it is created ID:ALIAS
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    restart_policy: str = "no"  # on-failure always unless-stopped
    restart_retries: int = 0  # of on-failure, in a row; 0: any number
    restart_on_unhealthy: bool = False
    health_command: tuple[str, ...] = ()  # as docker's Healthcheck.Test: NONE, CMD and words, CMD-SHELL and a line
    health_interval_ns: int = 0  # 0: the image's, or else docker's
    health_timeout_ns: int = 0
    health_start_period_ns: int = 0
    health_start_interval_ns: int = 0
    health_retries: int = 0
    no_healthcheck: bool = False  # the image's isn't wanted
    stop_signal: str = ""
    stop_timeout_seconds: int | None = None
    log_driver: str = "json-file"  # local: kept in the same form; none: what the container writes is kept nowhere
    log_max_bytes: int = 16 * 1024 * 1024
    log_max_files: int = 3
    log_mode: str = ""  # blocking, non-blocking: the same here (docs/logs.md); so is the buffer of the second
    log_buffer: str = ""
    log_env: str = ""  # names with commas between, of variables that each record says; so are the labels
    log_env_regex: str = ""
    log_labels: str = ""
    log_labels_regex: str = ""
    log_tag: str = ""  # a template of a further attribute
    detach_keys: str = ""

    @property
    def has_user_namespace(self) -> bool:
        """Does the container get user ids of its own?"""
        return self.userns not in ("", "host")

    @property
    def has_log_attributes(self) -> bool:
        """Does each record of its log say anything of the container?"""
        return bool(self.log_env or self.log_env_regex or self.log_labels or self.log_labels_regex or self.log_tag)

    @property
    def lenders(self) -> dict[str, str]:
        """Give the kinds of namespaces that are another container's, and which container's."""
        modes = {"network": self.network, "pid": self.pid_mode, "ipc": self.ipc_mode}
        return {kind: mode.partition(":")[2] for kind, mode in modes.items() if mode.startswith("container:")}

    @property
    def has_own_pids(self) -> bool:
        """Is its first process pid 1 of a namespace of its own?"""
        return not self.pid_mode

    @property
    def health_fields_given(self) -> bool:
        """Does the request say anything about health?"""
        fields = (name for name in type(self)._fields if name.startswith("health_"))
        return self.no_healthcheck or self.restart_on_unhealthy or any(getattr(self, name) for name in fields)

    @property
    def has_health_check(self) -> bool:
        """Is its health checked while it runs? Of a container, whose image has had its say by then."""
        return len(self.health_command) > 1

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ContainerConfig:
        """Read what `given` wrote; unknown keys are a TypeError, missing ones take their default."""
        values: dict[str, Any] = {}
        for key, value in data.items():
            kind = _NESTED.get(key)
            if kind is not None:
                value = tuple([kind(**{name: _frozen(part) for name, part in item.items()}) for item in value])
            values[key] = _frozen(value)
        return cls(**values)


_NESTED: dict[str, type[Record]] = {
    "binds": BindMount,
    "tmpfs": TmpfsMount,
    "volumes": VolumeMount,
    "image_mounts": ImageMount,
    "ports": PortMapping,
    "ulimits": Ulimit,
    "devices": Device,
    "block_device_weights": DeviceWeight,
    "device_read_bytes": DeviceRate,
    "device_write_bytes": DeviceRate,
    "device_read_operations": DeviceRate,
    "device_write_operations": DeviceRate,
}


_HEALTH_FIELDS = tuple(name for name in ContainerConfig._fields if name.startswith("health_"))


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
