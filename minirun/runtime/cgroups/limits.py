"""Limits: what the specification's resources are in files of cgroup version 2.

Owns: these conversions, and the order of writing. Leaves to others: lists of CPUs (cpus), writing the files (controllers), what
limits mean to a user (engine/spec, config.json).

The fields of the specification are those of version 1. As runc and crun convert them (crun(1), "CGROUP v2"):

    memory.limit             memory.max
    memory.swap              memory.swap.max      less the limit: version 1 counts both together
    memory.reservation       memory.low
    cpu.shares               cpu.weight           weight_of
    cpu.quota, cpu.period    cpu.max              both in one line; without a quota "max", without a period the one that was
    cpu.burst, cpu.idle      cpu.max.burst, cpu.idle
    cpu.cpus, cpu.mems       cpuset.cpus, cpuset.mems
    pids.limit               pids.max             -1 and 0 are none, see below
    blockIO.weight, ..Device io.bfq.weight        and on the other scale, io_weight_of, io.weight
    blockIO.throttle*        io.max               one line for each device
    hugepageLimits           hugetlb.SIZE.max     and hugetlb.SIZE.rsvd.max where the kernel counts reservations
    rdma                     rdma.max             one line for each device
    unified                  as it says           line by line

No limit ("max"), no protection (0 for memory.low) and the weight that everybody has (1024 shares, which containerd asks for) are
what a kernel without the controller gives anyway: that is optional here, and a hybrid host starts a container that asks for it.
So is what `Memory.swap_required` says.

0 for pids: the kernel's 0 lets no process be cloned into the cgroup, not even the first. crun and runc before 1.4 take it as no
limit, and podman 4 writes it for `--pids-limit -1`, so that is what it means here; runc 1.4 takes it as 1, after specification 1.3.
"""

from __future__ import annotations

from ...errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..spec import BlockIo, Cpu, DeviceLimit, Memory, RdmaLimit, Resources

    Setting = tuple[str, str, bool]  # file, value, optional: the kernel may lack the file or the controller

_PERIOD_MICROSECONDS = 100_000
_MAY_BE_WRITTEN = (
    "cgroup.max.depth",
    "cgroup.max.descendants",
    "cgroup.pressure",
)  # of the files that aren't a controller's


def settings_of(resources: Resources) -> Iterator[Setting]:
    """Give (file, value, optional) for each limit, in the order of writing. InvalidInput for nonsense."""
    yield from _memory(resources.memory)
    yield from _cpu(resources.cpu)
    if resources.pids_limit is not None:
        yield "pids.max", _maximum(resources.pids_limit or -1), resources.pids_limit <= 0
    yield from _block_io(resources.block_io)
    for size, limit in resources.huge_pages.items():
        if not (size.isascii() and size.isalnum()):
            raise InvalidInput(f"{size[:64]!r} isn't the size of a huge page such as 2MB")
        yield f"hugetlb.{size}.max", str(limit), False
        yield f"hugetlb.{size}.rsvd.max", str(limit), True
    for device in resources.rdma:
        yield "rdma.max", _rdma(device), False
    for file, value in resources.unified.items():
        _check_file(file, value)
        yield file, value, False


def completed(resources: Resources, current: dict[str, str]) -> Resources:
    """Fill in what a change leaves out and the conversion needs, from the files of the cgroup that exists.

    Swap alone is counted from the limit that is in force, a period alone keeps the quota. `current` maps memory.max and cpu.max to
    their content; a file that isn't there is left out.
    """
    memory, cpu = resources.memory, resources.cpu
    limit = current.get("memory.max", "max")
    if memory.swap is not None and memory.limit is None and limit != "max":
        memory = memory.replace(limit=int(limit))
    quota, _, period = current.get("cpu.max", "max").partition(" ")
    if cpu.period is not None and cpu.quota is None and quota != "max":
        cpu = cpu.replace(quota=int(quota))
    if cpu.quota is not None and cpu.period is None and period:
        cpu = cpu.replace(period=int(period))
    return resources.replace(memory=memory, cpu=cpu)


_USUAL_SHARES = 1024


def weight_of(shares: int) -> int:
    """Turn cgroup v1 CPU shares (2 to 262144, 1024 usual) into a v2 weight (1 to 10000, 100 usual).

    The curve through (2, 1), (1024, 100) and (262144, 10000) that crun and runc have agreed on: both ends and the
    default of one scale meet those of the other.
    """
    from math import ceil, log2

    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    exponent = log2(shares)
    return ceil(10 ** ((exponent * exponent + 125 * exponent) / 612 - 7 / 34))


def io_weight_of(weight: int) -> int:
    """Turn a weight of version 1 (10 to 1000) into one of io.weight (1 to 10000), linearly, as crun(1) says."""
    return 1 + (weight - 10) * 9999 // 990


def _memory(memory: Memory) -> Iterator[Setting]:
    swap = memory.swap
    if swap is None and memory.limit == -1:
        swap = -1  # no limit of memory with a limit of swap beneath it: version 1 can't say that
    # Before the limit itself, so that a process never sees the limit without its swap limit.
    if swap is not None:
        value = _swap(memory.limit, swap)
        yield "memory.swap.max", value, value == "max" or not memory.swap_required
    if memory.limit is not None:
        yield "memory.max", _maximum(memory.limit), memory.limit < 0
    if memory.reservation is not None:
        yield "memory.low", _maximum(memory.reservation), memory.reservation == 0


def _swap(limit: int | None, swap: int) -> str:
    """The specification counts memory and swap together, cgroup v2 swap alone: so it can be limited beside unlimited memory."""
    if swap < 0:
        return "max"
    if limit == -1:
        return str(swap)
    if limit is None:
        raise InvalidInput("memory and swap together can't be limited without a limit of memory: set it too")
    if swap < limit:
        raise InvalidInput("the limit of memory and swap together can't be less than that of memory")
    return str(swap - limit)


def _cpu(cpu: Cpu) -> Iterator[Setting]:
    # An idle group takes no weight: it has to wake first, or get the weight before it falls asleep.
    if cpu.idle == 0:
        yield "cpu.idle", "0", True
    if cpu.shares:
        yield "cpu.weight", str(weight_of(cpu.shares)), cpu.shares == _USUAL_SHARES
    if cpu.idle:
        yield "cpu.idle", str(cpu.idle), False
    if cpu.quota is not None or cpu.period is not None:
        unlimited = not cpu.quota or cpu.quota < 0
        if cpu.burst:
            yield "cpu.max.burst", "0", True  # the kernel refuses a quota below the burst that was
        quota = "max" if unlimited else str(cpu.quota)
        yield "cpu.max", f"{quota} {cpu.period or _PERIOD_MICROSECONDS}", unlimited
    if cpu.burst is not None:
        yield "cpu.max.burst", str(cpu.burst), cpu.burst == 0
    if cpu.cpus or cpu.mems:
        from . import cpus

        if cpu.cpus:
            cpus.check_cpus(cpu.cpus)
            yield "cpuset.cpus", cpu.cpus, False
        if cpu.mems:
            cpus.parse_cpu_list(cpu.mems, "memory nodes")
            yield "cpuset.mems", cpu.mems, False


def _block_io(limits: BlockIo) -> Iterator[Setting]:
    """Give a weight on both scales, since each disk has the scheduler that it has; one of the two has to be taken (controllers)."""
    if limits.weight is not None:
        yield from _weight("default", limits.weight)
    for device in limits.device_weights:
        yield from _weight(f"{device.major}:{device.minor}", device.value)
    lines: dict[str, list[str]] = {}
    for key, devices in (
        ("rbps", limits.read_bytes),
        ("wbps", limits.write_bytes),
        ("riops", limits.read_operations),
        ("wiops", limits.write_operations),
    ):
        for device in devices:
            lines.setdefault(f"{device.major}:{device.minor}", []).append(f"{key}={_rate(device)}")
    for number, rates in lines.items():
        yield "io.max", f"{number} {' '.join(rates)}", False


def _weight(target: str, weight: int) -> Iterator[Setting]:
    if not 10 <= weight <= 1000:
        raise InvalidInput(f"a weight of block I/O is a number from 10 to 1000, not {weight}")
    yield "io.bfq.weight", f"{target} {weight}", True
    yield "io.weight", f"{target} {io_weight_of(weight)}", False


def _rate(limit: DeviceLimit) -> str:
    """Give a rate; 0 takes the limit away, as version 1 has it: version 2 refuses 0."""
    return str(limit.value) if limit.value else "max"


def _rdma(limit: RdmaLimit) -> str:
    if not limit.device or any(character.isspace() for character in limit.device):
        raise InvalidInput(f"{limit.device[:64]!r} isn't the name of an RDMA device")
    handles = "" if limit.handles is None else f" hca_handle={limit.handles}"
    objects = "" if limit.objects is None else f" hca_object={limit.objects}"
    return f"{limit.device}{handles}{objects}"


def _check_file(file: str, value: str) -> None:
    """Refuse what isn't the file of a controller: a path, a file that moves or kills processes."""
    controller, dot, name = file.partition(".")
    plain = all(character.isascii() and (character.isalnum() or character in "._-") for character in file)
    if not (plain and controller and dot and name) or (controller == "cgroup" and file not in _MAY_BE_WRITTEN):
        raise InvalidInput(f"{file[:64]!r} isn't the file of a cgroup controller")
    if "\0" in value:
        raise InvalidInput(f"the value for {file} has a NUL in it")


def _maximum(value: int) -> str:
    return "max" if value < 0 else str(value)
