"""`linux`: namespaces, devices, and what they make possible."""

from __future__ import annotations

import pytest

from minirun.errors import InvalidInput, NotSupported
from minirun.linux import flags
from minirun.runtime.spec import DeviceNode, IdMapping, MemoryPolicy, Namespace, NetDevice, TimeOffset
from tests.unit.runtime.config.bundle import EXAMPLE, changed, read, refusal, with_

NAMESPACES = EXAMPLE["linux"]["namespaces"]


def with_namespace(kind: str, path: str, value: object, *, file: str = "") -> dict:
    document = changed(path, value)
    document["linux"]["namespaces"] = [*NAMESPACES, {"type": kind, "path": file}]
    return document


@pytest.mark.parametrize("kind", flags.NAMESPACES)
def test_a_namespace_is_new_or_has_a_path(kind: str) -> None:
    others = [item for item in NAMESPACES if item["type"] != kind]
    for path in ("", "/proc/1/ns/x"):
        found = with_("linux.namespaces", [*others, {"type": kind, "path": path}]).linux
        assert found.namespaces[-1] == Namespace(kind=kind, path=path)
        assert found.has_new(kind) == (not path)


def test_mappings_are_ranges_within_the_ids_there_are() -> None:
    full = [{"containerID": 0, "hostID": 0, "size": 2**32 - 1}]
    document = with_namespace("user", "linux.uidMappings", full)
    assert read(document).linux.uid_mappings == (IdMapping(container_id=0, host_id=0, size=2**32 - 1),)
    full[0]["hostID"] = 1
    assert "beyond the last id" in refusal("linux.uidMappings", full)


def test_mappings_without_a_user_namespace_mean_nothing() -> None:
    mapping = [{"containerID": 0, "hostID": 5, "size": 1}]
    for path in ("linux.uidMappings", "linux.gidMappings"):
        found = with_(path, mapping).linux
        assert (found.uid_mappings, found.gid_mappings) == ((), ())


def test_offsets_without_a_time_namespace_are_refused() -> None:
    offsets = {"monotonic": {"secs": 1}}
    assert refusal("linux.timeOffsets", offsets) == "linux.timeOffsets: needs a time namespace in linux.namespaces"
    assert read(with_namespace("time", "linux.timeOffsets", offsets)).linux.namespaces[-1].kind == "time"


@pytest.mark.parametrize(
    ("path", "missing"),
    [("hostname", "uts"), ("linux.maskedPaths", "mount"), ("domainname", "uts"), ("linux.netDevices", "network")],
)
def test_without_its_namespace_a_setting_would_change_the_host(path: str, missing: str) -> None:
    document = {
        "hostname": "h",
        "domainname": "d",
        "linux.maskedPaths": ["/proc/kcore"],
        "linux.netDevices": {"eth7": {}},
    }
    kept = [item for item in NAMESPACES if item["type"] != missing]
    changed_ = {**EXAMPLE, "hostname": "", "linux": {"namespaces": kept}}
    place, _, key = path.rpartition(".")
    (changed_[place] if place else changed_)[key] = document[path]
    with pytest.raises(InvalidInput, match=rf"^{path}: needs a {missing} namespace"):
        read(changed_)


def test_clocks_of_a_joined_time_namespace_cannot_be_set() -> None:
    document = with_namespace("time", "linux.timeOffsets", {"boottime": {"secs": 1}}, file="/proc/1/ns/time")
    with pytest.raises(InvalidInput, match="joined by path"):
        read(document)


def test_offsets_of_clocks() -> None:
    offsets = {"monotonic": {"secs": -5, "nanosecs": 999999999}, "boottime": {}}
    assert read(with_namespace("time", "linux.timeOffsets", offsets)).linux.time_offsets == (
        TimeOffset(clock="monotonic", seconds=-5, nanoseconds=999999999),
        TimeOffset(clock="boottime"),
    )


def test_devices_have_numbers_unless_they_are_pipes() -> None:
    devices = [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o20660, "uid": 1, "gid": 2},
        {"path": "/dev/pipe", "type": "p"},
        {"path": "/disk", "type": "b", "major": 4095, "minor": 1048575},
    ]
    assert with_("linux.devices", devices).linux.devices == (
        DeviceNode(path="/dev/fuse", kind="c", major=10, minor=229, mode=0o660, uid=1, gid=2),
        DeviceNode(path="/dev/pipe", kind="p"),
        DeviceNode(path="/disk", kind="b", major=4095, minor=1048575),
    )


def test_network_devices_keep_their_name_get_another_or_a_number() -> None:
    devices = {"eth7": {}, "eth8": {"name": "wan"}, "eth9": {"name": "eth%d"}, "eth10": None}
    assert with_("linux.netDevices", devices).linux.net_devices == (
        NetDevice(name="eth7", inside="eth7"),
        NetDevice(name="eth8", inside="wan"),
        NetDevice(name="eth9", inside="eth%d"),
        NetDevice(name="eth10", inside="eth10"),
    )


@pytest.mark.parametrize("name", ["a" * 16, "a/b", "a:b", "a b", ".", "..", "a\n", "%s", "%d%d", "é" * 8])
def test_names_that_no_network_device_can_have_are_refused(name: str) -> None:
    assert refusal("linux.netDevices", {"eth7": {"name": name}}).startswith("linux.netDevices.eth7.name: ")
    assert "can't be the name" in refusal("linux.netDevices", {name: {"name": "ok"}})


def test_two_network_devices_cannot_have_one_name() -> None:
    assert "called wan already" in refusal("linux.netDevices", {"a": {"name": "wan"}, "b": {"name": "wan"}})
    templates = {"a": {"name": "e%d"}, "b": {"name": "e%d"}}
    assert len(with_("linux.netDevices", templates).linux.net_devices) == 2


def test_a_memory_policy_has_the_nodes_that_its_mode_takes() -> None:
    policy = {"mode": "MPOL_BIND", "nodes": "0-1", "flags": ["MPOL_F_STATIC_NODES"]}
    assert with_("linux.memoryPolicy", policy).linux.memory_policy == MemoryPolicy(mode=0x8002, nodes="0-1")
    assert with_("linux.memoryPolicy", {"mode": "MPOL_PREFERRED"}).linux.memory_policy == MemoryPolicy(mode=1)
    assert "takes none" in refusal("linux.memoryPolicy", {"mode": "MPOL_DEFAULT", "nodes": "0"})
    assert "needs at least one" in refusal("linux.memoryPolicy", {"mode": "MPOL_INTERLEAVE"})


def test_personality_has_two_domains_and_no_flags() -> None:
    assert with_("linux.personality", {"domain": "LINUX"}).linux.personality == 0
    assert with_("linux.personality", {"domain": "LINUX32", "flags": []}).linux.personality == 8
    assert with_("linux.personality", None).linux.personality is None
    assert "linux.personality.flags[0]" in refusal("linux.personality", {"domain": "LINUX", "flags": ["X"]})


@pytest.mark.parametrize("name", flags.PROPAGATIONS)
def test_the_propagation_of_the_root(name: str) -> None:
    assert with_("linux.rootfsPropagation", name).linux.rootfs_propagation == flags.PROPAGATIONS[name]


def test_intel_rdt_is_refused_clearly() -> None:
    with pytest.raises(NotSupported, match=r"linux.intelRdt: Intel RDT isn't supported"):
        with_("linux.intelRdt", {})


def test_the_path_of_the_cgroup_stays_as_it_is_but_goes_nowhere_up() -> None:
    for path in ("/a/b", "a", "system.slice:minirun:x", ""):
        assert with_("linux.cgroupsPath", path).linux.cgroups_path == path
    for path in ("/a/../b", "..", "a\n"):
        assert refusal("linux.cgroupsPath", path).startswith("linux.cgroupsPath: ")
