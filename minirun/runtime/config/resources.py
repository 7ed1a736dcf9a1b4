"""`linux.resources`: what the cgroup shall enforce; also the whole of `update -r FILE`.

Owns: config-linux.md, "Control groups" but for the path. Leaves to others: the conversion to the files of cgroup v2, and
which controllers there are (runtime/cgroups).

What only cgroup v1 has is refused when it asks for something, as crun does: memory.kernel, kernelTCP, swappiness,
disableOOMKiller, the real-time fields of cpu, leafWeight, network. runc drops these without a word, and a limit that is
dropped is a limit that somebody relies on. Where zero or -1 stands for "nothing" (a Go program that writes each field
of a struct), nothing is asked and nothing refused. `useHierarchy` is how cgroup v2 always counts.

Zero means "not asked" for memory.limit, reservation and swap, cpu.shares, quota and period, and blockIO.weight, as runc
and its `update -r` have it. It is a value of its own for pids.limit, as the specification says, for cpu.burst and idle.
"""

from __future__ import annotations

from ...errors import InvalidInput, NotSupported
from ..spec import BlockIo, Cpu, DeviceLimit, DeviceRule, Memory, RdmaLimit, Resources
from .reader import INT64, UINT32, UINT64, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reader import Section


def resources(section: Section) -> Resources:
    """Read the object."""
    _refuse_network(section)
    pids = section.section("pids")
    return Resources(
        memory=_memory(section),
        cpu=_cpu(section),
        pids_limit=pids.number("limit", -1, INT64) if pids else None,
        block_io=_block_io(section),
        huge_pages=_huge_pages(section),
        rdma=_rdma(section),
        devices=tuple([_device_rule(item) for item in section.sections("devices")]),
        unified=_unified(section),
    )


def _v1_only(section: Section, key: str, asked: object) -> None:
    if asked:
        raise NotSupported(f"{section.at(key)}: cgroup v2 has nothing like it")


def _memory(resources: Section) -> Memory:
    section = resources.section("memory")
    if section is None:
        return Memory()
    for key in ("kernel", "kernelTCP"):
        _v1_only(section, key, (section.number(key, -1, INT64) or -1) != -1)
    _v1_only(section, "swappiness", section.number("swappiness", 0, 100) is not None)
    _v1_only(section, "disableOOMKiller", section.flag("disableOOMKiller"))
    section.flag("useHierarchy")
    memory = Memory(
        limit=section.number("limit", -1, INT64) or None,
        swap=section.number("swap", -1, INT64) or None,
        reservation=section.number("reservation", -1, INT64) or None,
        check_before_update=section.flag("checkBeforeUpdate"),
    )
    if memory.limit and memory.swap and 0 < memory.swap < memory.limit:
        raise section.wrong(
            "swap", f"{memory.swap} is below the limit, {memory.limit}: it counts memory and swap together"
        )
    return memory


def _cpu(resources: Section) -> Cpu:
    section = resources.section("cpu")
    if section is None:
        return Cpu()
    for key, low, high in (("realtimeRuntime", -INT64 - 1, INT64), ("realtimePeriod", 0, UINT64)):
        _v1_only(section, key, section.number(key, low, high))
    quota = section.number("quota", -INT64 - 1, INT64) or None
    burst = section.number("burst", 0, UINT64)
    if burst and quota and 0 < quota < burst:
        raise section.wrong("burst", f"{burst} is above the quota, {quota}")
    return Cpu(
        shares=section.number("shares", 0, UINT64) or None,
        quota=max(quota, -1) if quota else None,
        period=section.number("period", 0, UINT64) or None,
        cpus=section.line("cpus"),
        mems=section.line("mems"),
        burst=burst,
        idle=section.number("idle", 0, 1),
    )


def _block_io(resources: Section) -> BlockIo:
    section = resources.section("blockIO")
    if section is None:
        return BlockIo()
    _v1_only(section, "leafWeight", section.number("leafWeight", 0, 1000))
    return BlockIo(
        weight=_weight(section),
        device_weights=_device_weights(section),
        read_bytes=_throttle(section, "throttleReadBpsDevice"),
        write_bytes=_throttle(section, "throttleWriteBpsDevice"),
        read_operations=_throttle(section, "throttleReadIOPSDevice"),
        write_operations=_throttle(section, "throttleWriteIOPSDevice"),
    )


def _weight(section: Section) -> int | None:
    weight = section.number("weight", 0, 1000) or None
    if weight and weight < 10:
        raise section.wrong("weight", f"must be from 10 to 1000, not {weight}")
    return weight


def _device_weights(section: Section) -> tuple[DeviceLimit, ...]:
    found = []
    for item in section.sections("weightDevice"):
        _v1_only(item, "leafWeight", item.number("leafWeight", 0, 1000))
        weight = _weight(item)
        if weight is None:
            raise item.wrong("weight", "is missing")
        found.append(DeviceLimit(major=_half(item, "major"), minor=_half(item, "minor"), value=weight))
    return tuple(found)


def _throttle(section: Section, key: str) -> tuple[DeviceLimit, ...]:
    return tuple(
        [
            DeviceLimit(
                major=_half(item, "major"), minor=_half(item, "minor"), value=item.required_number("rate", 0, UINT64)
            )
            for item in section.sections(key)
        ]
    )


def _half(item: Section, key: str) -> int:
    return item.required_number(key, 0, UINT32)


def _huge_pages(section: Section) -> dict[str, int]:
    found = {}
    for item in section.sections("hugepageLimits"):
        size = item.required_text("pageSize")
        number = size[:-2]
        if size[-2:] not in ("KB", "MB", "GB") or not (number.isascii() and number.isdigit()) or number[0] == "0":
            raise item.wrong("pageSize", f"must be a size like 2MB or 1GB, not {shown(size)}")
        found[size] = item.required_number("limit", 0, UINT64)
    return found


def _rdma(section: Section) -> tuple[RdmaLimit, ...]:
    found = []
    for device, item in section.named_sections("rdma"):
        if not device.isprintable() or " " in device:
            raise InvalidInput(f"{item.path}: the name of the device must be one word")
        limit = RdmaLimit(
            device=device,
            handles=item.number("hcaHandles", 0, UINT32),
            objects=item.number("hcaObjects", 0, UINT32),
        )
        if limit.handles is None and limit.objects is None:
            raise InvalidInput(f"{item.path}: one of hcaHandles and hcaObjects has to be there")
        found.append(limit)
    return tuple(found)


def _device_rule(item: Section) -> DeviceRule:
    """Read one rule of the device filter. Unset, empty and -1 all mean: any."""
    if not item.has("allow"):
        raise item.wrong("allow", "is missing")
    kind, access = item.text("type") or "a", item.text("access") or "rwm"
    if kind not in ("a", "b", "c"):
        raise item.wrong("type", f"must be one of a b c, not {shown(kind)}")
    if any(letter not in "rwm" for letter in access):
        raise item.wrong("access", f"must be of the letters r w m, not {shown(access)}")
    major, minor = (item.number(key, -1, UINT32) for key in ("major", "minor"))
    return DeviceRule(
        allow=item.flag("allow"),
        kind=kind,
        major=None if major == -1 else major,
        minor=None if minor == -1 else minor,
        access="".join(letter for letter in "rwm" if letter in access),
    )


def _unified(section: Section) -> dict[str, str]:
    """Read files of cgroup v2 and what is written to them. A name is a file of the cgroup itself, never a path."""
    found = section.named_texts("unified")
    for name in found:
        if "/" in name or name in (".", "..") or not name.isprintable():
            raise section.wrong("unified", f"{shown(name)} must be the name of a file in the cgroup")
    return found


def _refuse_network(section: Section) -> None:
    network = section.section("network")
    if network is None:
        return
    _v1_only(network, "classID", network.number("classID", 0, UINT32))
    _v1_only(network, "priorities", [item.required_text("name") for item in network.sections("priorities")])
