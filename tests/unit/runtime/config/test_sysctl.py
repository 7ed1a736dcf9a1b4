"""`linux.sysctl`: the container's own parameters, and no way to another's."""

from __future__ import annotations

import pytest

from minirun.errors import InvalidInput
from minirun.runtime import sysctl
from tests.unit.runtime.config.bundle import EXAMPLE, changed, read, refusal, with_


def test_parameters_of_each_namespace_are_taken() -> None:
    parameters = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "5", "fs.mqueue.msg_max": "9", "kernel.domainname": "d"}
    assert with_("linux.sysctl", parameters).linux.sysctl == parameters


def test_both_separators_name_the_same_parameter() -> None:
    for key in ("net.ipv4.conf.eno2/100.rp_filter", "net/ipv4/conf/eno2.100/rp_filter"):
        assert with_("linux.sysctl", {key: "1"}).linux.sysctl == {"net.ipv4.conf.eno2/100.rp_filter": "1"}


@pytest.mark.parametrize(
    "key", ["vm.swappiness", "kernel.core_pattern", "fs.file-max", "kernel.msgmaxx", "net", "kernel"]
)
def test_what_the_machine_shares_is_refused(key: str) -> None:
    assert "the whole machine shares" in refusal("linux.sysctl", {key: "1"})


def test_the_name_of_the_host_has_a_key_of_its_own() -> None:
    assert "the key hostname" in refusal("linux.sysctl", {"kernel.hostname": "x"})


@pytest.mark.parametrize(
    "key",
    [
        "net.ipv4.x+kernel.core_pattern=y",
        "net.//.kernel.core_pattern",
        "net/../kernel/core_pattern",
        "net/.../x",
        "net..ipv4",
        ".net.x",
        "net.x.",
        "net.ipv4.x\nkernel.y",
        "net.ipv4 .x",
        "/net/x",
        "net.é",
    ],
)
def test_a_key_that_smuggles_is_the_name_of_no_parameter(key: str) -> None:
    assert "isn't the name of one kernel parameter" in refusal("linux.sysctl", {key: "1"})
    assert sysctl.parameter(key) == ""


@pytest.mark.parametrize("value", ["1\n2", "\r", "\x1b[2J"])
def test_a_value_is_one_line(value: str) -> None:
    assert "the value must be one line" in refusal("linux.sysctl", {"net.ipv4.ip_forward": value})


def test_a_value_may_hold_several_numbers() -> None:
    assert with_("linux.sysctl", {"kernel.sem": "1\t2 3"}).linux.sysctl == {"kernel.sem": "1\t2 3"}


@pytest.mark.parametrize(
    ("key", "kind", "file"),
    [("net.core.somaxconn", "network", "net"), ("kernel.sem", "ipc", "ipc"), ("kernel.domainname", "uts", "uts")],
)
def test_a_parameter_needs_its_namespace_and_not_the_hosts(key: str, kind: str, file: str) -> None:
    document = changed("linux.sysctl", {key: "1"})
    others = [item for item in EXAMPLE["linux"]["namespaces"] if item["type"] != kind]
    document.pop("hostname")
    for namespaces in (others, [*others, {"type": kind, "path": f"/proc/self/ns/{file}"}]):
        document["linux"]["namespaces"] = namespaces
        with pytest.raises(InvalidInput, match=rf"no {kind} namespace of its own"):
            read(document)
    document["linux"]["namespaces"] = [*others, {"type": kind, "path": "/run/elsewhere"}]
    assert read(document).linux.sysctl == {key: "1"}
