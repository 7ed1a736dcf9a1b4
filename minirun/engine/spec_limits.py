"""Limits of a container: memory, CPU, processes, resource limits, kernel parameters.

Owns: what the options mean, Docker's checks and words for them. Leaves to others: cgroup files (runtime/cgroups),
setrlimit and writing the parameters (runtime/compile, native/).
"""

from __future__ import annotations

import os

from ..errors import InvalidInput
from ..linux.flags import RLIM_INFINITY, RLIMITS
from ..runtime import capabilities
from ..runtime.spec import BlockIo, Cpu, Memory, Resources, Rlimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..runtime.spec import DeviceLimit, DeviceRule
    from .config import ContainerConfig, DeviceRate

_MEMORY_MINIMUM = 6 * 1024 * 1024
_PERIOD_MICROSECONDS = 100_000

# For a container that asks for none: more than any service starts, few enough that a fork bomb leaves the host its numbers
# (the kernel's default pid_max is 32,768).
DEFAULT_PIDS_LIMIT = 4096

# Every process of a container may listen on port 80 and ping, without a capability: its ports are its own.
EVERYBODY = "0 2147483647"  # group ids, first and last
_OWN_NETWORK = {"net.ipv4.ping_group_range": EVERYBODY, "net.ipv4.ip_unprivileged_port_start": "0"}


def resources_of(config: ContainerConfig, rules: tuple[DeviceRule, ...], *, counts_processes: bool) -> Resources:
    """Give what the cgroup enforces. Without --memory-swap, as much swap as memory, where the kernel counts swap.

    A limit of processes that nobody asked for is set where the host can enforce it (`counts_processes`).
    """
    memory = Memory(reservation=config.memory_reservation_bytes or None)
    if config.memory_bytes > 0:
        swap = config.memory_swap_bytes
        memory = memory.replace(
            limit=config.memory_bytes, swap=swap or 2 * config.memory_bytes, swap_required=swap != 0
        )
    pids_limit = config.pids_limit or (DEFAULT_PIDS_LIMIT if counts_processes else None)
    return Resources(memory=memory, cpu=_cpu(config), pids_limit=pids_limit, block_io=_block_io(config), devices=rules)


def parent_cgroup(text: str) -> str:
    """Give the directory of the cgroup tree that `--cgroup-parent` names, "" for its top: a path, or a slice's name.

    InvalidInput for a slice that can't be one. systemd.slice(5): "a-b.slice" lies in "a.slice".
    """
    if text.endswith(".slice") and "/" not in text:
        from ..runtime.cgroups.placement import expand_slice

        return expand_slice(text)
    from posixpath import normpath

    path = normpath(f"/{text}").strip("/")
    return f"/{path}" if path else ""


def _cpu(config: ContainerConfig) -> Cpu:
    quota, period = config.cpu_quota_us or None, config.cpu_period_us or None
    if config.nano_cpus:
        quota, period = config.nano_cpus * _PERIOD_MICROSECONDS // 10**9, _PERIOD_MICROSECONDS
    return Cpu(
        shares=config.cpu_shares or None,
        quota=quota,
        period=period or (_PERIOD_MICROSECONDS if quota else None),
        cpus=config.cpuset_cpus,
        mems=config.cpuset_mems,
    )


def _block_io(config: ContainerConfig) -> BlockIo:
    return BlockIo(
        weight=config.block_weight or None,
        device_weights=_device_limits((each.path, each.weight) for each in config.block_device_weights),
        read_bytes=_device_limits(_pairs(config.device_read_bytes)),
        write_bytes=_device_limits(_pairs(config.device_write_bytes)),
        read_operations=_device_limits(_pairs(config.device_read_operations)),
        write_operations=_device_limits(_pairs(config.device_write_operations)),
    )


def _pairs(rates: tuple[DeviceRate, ...]) -> Iterator[tuple[str, int]]:
    return ((each.path, each.rate) for each in rates)


def _device_limits(numbers: Iterable[tuple[str, int]]) -> tuple[DeviceLimit, ...]:
    """Ask the host which devices these paths are; InvalidInput for what is none."""
    limits = []
    for path, number in numbers:
        import stat

        from ..runtime.spec import DeviceLimit

        try:
            status = os.stat(path)
        except OSError as error:
            raise InvalidInput(f"limit of {path}: {error.strerror}") from error
        if not stat.S_ISBLK(status.st_mode):
            raise InvalidInput(f"limit of {path}: it is no block device")
        limits.append(DeviceLimit(major=os.major(status.st_rdev), minor=os.minor(status.st_rdev), value=number))
    return tuple(limits)


def check(config: ContainerConfig) -> None:
    """Raise InvalidInput for limits that can't be, in docker's words."""
    memory, swap = config.memory_bytes, config.memory_swap_bytes
    if memory and memory < _MEMORY_MINIMUM:
        raise InvalidInput("Minimum memory limit allowed is 6MB")
    if swap > 0 and not memory:
        raise InvalidInput("You should always set the Memory limit when using Memoryswap limit, see usage")
    if 0 < swap < memory:
        raise InvalidInput("Minimum memoryswap limit should be larger than memory limit, see usage")
    reservation = config.memory_reservation_bytes
    if reservation and reservation < _MEMORY_MINIMUM:
        raise InvalidInput("Minimum memory reservation allowed is 6MB")
    if 0 < memory < reservation:
        raise InvalidInput("Minimum memory limit can not be less than memory reservation limit, see usage")
    if config.cgroup_parent:
        from ..runtime.cgroups.hierarchy import check_name

        check_name(f"{parent_cgroup(config.cgroup_parent)}/container")
    count = os.cpu_count() or 1
    if config.nano_cpus and not 10**7 <= config.nano_cpus <= count * 10**9:
        raise InvalidInput(f"Range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available")
    _check_cpu_time(config)
    if config.cpu_shares < 0:
        raise InvalidInput("CPU shares can't be negative")
    if config.cpuset_cpus:
        from ..runtime.cgroups.cpus import check_cpus

        check_cpus(config.cpuset_cpus)
    if config.block_weight and not 10 <= config.block_weight <= 1000:
        raise InvalidInput("Range of blkio weight is from 10 to 1000")
    if not -1000 <= config.oom_score_adj <= 1000:
        raise InvalidInput(f"Invalid value {config.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if config.pids_limit < -1:
        raise InvalidInput("the limit of processes is -1 (none) or more")
    sysctls_of(config)
    _rlimits(config)


def _check_cpu_time(config: ContainerConfig) -> None:
    if config.nano_cpus and config.cpu_period_us:
        raise InvalidInput("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if config.nano_cpus and config.cpu_quota_us:
        raise InvalidInput("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if config.cpu_period_us and not 1000 <= config.cpu_period_us <= 1_000_000:
        raise InvalidInput("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < config.cpu_quota_us < 1000:
        raise InvalidInput("CPU cfs quota can not be less than 1ms (i.e. 1000)")


def rlimits_of(config: ContainerConfig, host_capabilities: int) -> tuple[Rlimit, ...]:
    """Give the resource limits; InvalidInput for one above what this host lets us set. No limit is raised unasked."""
    limits = _rlimits(config)
    if limits and not capabilities.has(host_capabilities, "SYS_RESOURCE"):
        import resource

        for limit in limits:
            own = resource.getrlimit(limit.resource)[1]
            if own != resource.RLIM_INFINITY and limit.hard > own:
                name = RLIMITS[limit.resource]
                raise InvalidInput(
                    f"--ulimit {name}: {_number(limit.hard)} is above what this host allows ({own}), "
                    "and raising it needs CAP_SYS_RESOURCE"
                )
    return limits


def sysctls_of(config: ContainerConfig) -> dict[str, str]:
    """Give the kernel parameters; InvalidInput for one that isn't the container's own."""
    own_network = config.network != "host" and not config.network.startswith("container:")
    parameters = dict(_OWN_NETWORK) if own_network else {}
    if not config.sysctls:
        return parameters
    from ..runtime import sysctl

    for key, value in config.sysctls.items():
        name = sysctl.parameter(key)
        if not name:
            raise InvalidInput(f"sysctl '{key}' is not allowed: it isn't the name of one parameter")
        if name.startswith("net.") and config.network == "host":
            raise InvalidInput(f"sysctl '{key}' not allowed in host network namespace")
        if sysctl.namespace_of(name) == "ipc" and config.ipc_mode == "host":
            raise InvalidInput(f"sysctl '{key}' not allowed in host ipc namespace")
        if sysctl.namespace_of(name) not in ("network", "ipc"):
            raise InvalidInput(f"sysctl '{key}' is not allowed: it isn't kept apart for each container")
        if "\n" in value or "\0" in value:
            raise InvalidInput(f"sysctl '{key}': its value has to be one line")
        parameters[name] = value
    return parameters


def _rlimits(config: ContainerConfig) -> tuple[Rlimit, ...]:
    limits = []
    for limit in config.ulimits:
        if limit.name not in RLIMITS:
            raise InvalidInput(f"invalid ulimit type: {limit.name}")
        soft, hard = _unsigned(limit.soft), _unsigned(limit.hard)
        if soft > hard:
            raise InvalidInput(
                f"ulimit soft limit must be less than or equal to hard limit: {_number(soft)} > {_number(hard)}"
            )
        limits.append(Rlimit(resource=RLIMITS.index(limit.name), soft=soft, hard=hard))
    return tuple(limits)


def _unsigned(value: int) -> int:
    return RLIM_INFINITY if value < 0 else value


def _number(value: int) -> str:
    return "unlimited" if value == RLIM_INFINITY else str(value)
