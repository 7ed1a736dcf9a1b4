"""`linux.resources`, alone as `update` has it."""

from __future__ import annotations

import json

import pytest

from minirun.errors import InvalidInput, NotSupported
from minirun.runtime.config import parse_resources
from minirun.runtime.spec import BlockIo, Cpu, DeviceLimit, DeviceRule, Memory, RdmaLimit, Resources


def read(**resources: object) -> Resources:
    return parse_resources(json.dumps(resources).encode())


def test_every_limit_that_cgroup_v2_has_is_read() -> None:
    device = {"major": 8, "minor": 16}
    found = read(
        memory={"limit": 100, "swap": 200, "reservation": 50, "checkBeforeUpdate": True, "useHierarchy": True},
        cpu={"shares": 512, "quota": 5000, "period": 10000, "burst": 100, "idle": 1, "cpus": "0-1", "mems": "0"},
        pids={"limit": 0},
        blockIO={
            "weight": 10,
            "weightDevice": [{**device, "weight": 1000}],
            "throttleReadBpsDevice": [{**device, "rate": 1}],
            "throttleWriteBpsDevice": [{**device, "rate": 2}],
            "throttleReadIOPSDevice": [{**device, "rate": 3}],
            "throttleWriteIOPSDevice": [{**device, "rate": 2**64 - 1}],
        },
        hugepageLimits=[{"pageSize": "2MB", "limit": 4194304}],
        rdma={"mlx5_1": {"hcaHandles": 3}, "rxe3": {"hcaObjects": 0}},
        unified={"memory.high": "max", "io.max": "8:16 rbps=1\n8:0 rbps=2"},
    )
    assert found == Resources(
        memory=Memory(limit=100, swap=200, reservation=50, check_before_update=True),
        cpu=Cpu(shares=512, quota=5000, period=10000, burst=100, idle=1, cpus="0-1", mems="0"),
        pids_limit=0,
        block_io=BlockIo(
            weight=10,
            device_weights=(DeviceLimit(major=8, minor=16, value=1000),),
            read_bytes=(DeviceLimit(major=8, minor=16, value=1),),
            write_bytes=(DeviceLimit(major=8, minor=16, value=2),),
            read_operations=(DeviceLimit(major=8, minor=16, value=3),),
            write_operations=(DeviceLimit(major=8, minor=16, value=2**64 - 1),),
        ),
        huge_pages={"2MB": 4194304},
        rdma=(RdmaLimit(device="mlx5_1", handles=3), RdmaLimit(device="rxe3", objects=0)),
        unified={"memory.high": "max", "io.max": "8:16 rbps=1\n8:0 rbps=2"},
    )


def test_zeroes_of_a_struct_that_was_written_whole_ask_for_nothing() -> None:
    found = read(
        memory={"limit": 0, "reservation": 0, "swap": 0, "kernel": 0, "kernelTCP": -1, "disableOOMKiller": False},
        cpu={"shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0, "realtimePeriod": 0, "cpus": "", "mems": ""},
        blockIO={"weight": 0, "leafWeight": 0},
        network={"classID": 0, "priorities": []},
    )
    assert found == Resources()


@pytest.mark.parametrize(
    ("resources", "path"),
    [
        ({"memory": {"kernel": 1}}, "memory.kernel"),
        ({"memory": {"kernelTCP": 1}}, "memory.kernelTCP"),
        ({"memory": {"swappiness": 0}}, "memory.swappiness"),
        ({"memory": {"disableOOMKiller": True}}, "memory.disableOOMKiller"),
        ({"cpu": {"realtimeRuntime": 1}}, "cpu.realtimeRuntime"),
        ({"cpu": {"realtimePeriod": 1}}, "cpu.realtimePeriod"),
        ({"blockIO": {"leafWeight": 10}}, "blockIO.leafWeight"),
        (
            {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 10, "leafWeight": 10}]}},
            "blockIO.weightDevice[0].leafWeight",
        ),
        ({"network": {"classID": 1}}, "network.classID"),
        ({"network": {"priorities": [{"name": "eth0", "priority": 1}]}}, "network.priorities"),
    ],
)
def test_what_only_cgroup_v1_has_is_refused_rather_than_dropped(resources: dict, path: str) -> None:
    with pytest.raises(NotSupported) as caught:
        read(**resources)
    assert str(caught.value) == f"{path}: cgroup v2 has nothing like it"


def test_any_negative_quota_is_no_quota() -> None:
    assert read(cpu={"quota": -7}).cpu.quota == -1


def test_a_device_rule_that_says_nothing_is_about_everything() -> None:
    rules = [
        {"allow": False},
        {"allow": True, "type": "c", "major": -1, "minor": 3, "access": "mr"},
        {"allow": True, "type": "", "access": ""},
        {"allow": True, "type": "b", "major": 8, "minor": None, "access": "w"},
    ]
    assert read(devices=rules).devices == (
        DeviceRule(allow=False, kind="a", access="rwm"),
        DeviceRule(allow=True, kind="c", minor=3, access="rm"),
        DeviceRule(allow=True, kind="a", access="rwm"),
        DeviceRule(allow=True, kind="b", major=8, access="w"),
    )


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"memory": {"limit": -2}}, "memory.limit: must be from -1 to 9223372036854775807, not -2"),
        ({"memory": {"limit": 2**63}}, "memory.limit: must be from -1"),
        ({"memory": {"limit": 100, "swap": 50}}, "memory.swap: 50 is below the limit, 100"),
        ({"cpu": {"quota": 10, "burst": 11}}, "cpu.burst: 11 is above the quota, 10"),
        ({"cpu": {"cpus": "0\n1"}}, "cpu.cpus: must be one line"),
        ({"blockIO": {"weight": 9}}, "blockIO.weight: must be from 10 to 1000, not 9"),
        ({"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}}, "blockIO.weightDevice[0].weight: is missing"),
        ({"hugepageLimits": [{"pageSize": "02MB", "limit": 1}]}, "hugepageLimits[0].pageSize: must be a size"),
        ({"hugepageLimits": [{"pageSize": "../x", "limit": 1}]}, "hugepageLimits[0].pageSize: must be a size"),
        ({"rdma": {"a b": {"hcaHandles": 1}}}, 'rdma["a b"]: the name of the device'),
        ({"rdma": {"a": {}}}, "rdma.a: one of hcaHandles and hcaObjects"),
        ({"unified": {"../cgroup.procs": "1"}}, "unified: ../cgroup.procs must be the name of a file"),
        ({"unified": {"": "1"}}, "unified: a key must not be empty"),
        ({"devices": [{"allow": True, "access": "rx"}]}, "devices[0].access: must be of the letters"),
        ({"devices": [{"type": "c"}]}, "devices[0].allow: is missing"),
        ({"devices": [{"allow": True, "type": "u"}]}, "devices[0].type: must be one of"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_its_path(resources: dict, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(**resources)
    assert str(caught.value).startswith(message)
