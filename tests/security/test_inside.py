"""Our default container from the inside, beside docker's: looser in no line.

Owns: what looser means for each kind of fact that inside.c prints, and the differences that we accept, each with its reason.
Both run the same program from the same image, without a network, in one test run.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections import defaultdict
from pathlib import Path

import pytest

from minirun.runtime.syscall_table import numbers as syscall_numbers
from tests.dockerd import private_docker

Facts = dict[str, dict[str, str]]

SOURCE = Path(__file__).with_name("inside.c")
SHUT = ("ro", "nosuid", "nodev", "noexec")

ACCEPTED: dict[tuple[str, str], str] = {}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system that holds the program alone."""
    directory = tmp_path_factory.mktemp("inside")
    program = directory / "inside"
    flags = ["-std=gnu11", "-O1", "-static", "-pthread", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", program, SOURCE], check=True)
    with tarfile.open(directory / "inside.tar", "w") as tar:
        tar.add(program, "inside")
    return directory / "inside.tar"


def read(output: str) -> Facts:
    """Give topic -> key -> value; a call's key is its name, where it has one."""
    names = {
        topic: {number: name for name, number in syscall_numbers(machine).items()}
        for topic, machine in (("call", os.uname().machine), ("x32 call", "x86_64"), ("i386 call", "i386"))
    }
    facts: Facts = defaultdict(dict)
    for line in output.splitlines():
        topic, key, value = line.split("\t", 2)
        if topic in names:
            key = names[topic].get(int(key, 16), key)
        facts[topic][key] = value
    return facts


@pytest.fixture(scope="module")
def theirs(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """What the program sees in docker's default container."""
    with private_docker(tmp_path_factory.mktemp("docker"), in_memory=False) as docker:
        docker("import", str(archive), "inside")
        return read(docker("run", "--rm", "--network", "none", "inside", "/inside"))


@pytest.fixture(scope="module")
def ours(archive: Path, minirun) -> Facts:
    """What it sees in ours."""
    minirun("import", str(archive), "inside")
    try:
        return read(minirun("run", "--rm", "--network", "none", "inside", "/inside").stdout)
    finally:
        minirun("rmi", "inside")


def numbers(facts: Facts, key: str) -> list[int]:
    return [int(word) for word in facts["limit"][key].split()]


def looser(ours: Facts, theirs: Facts) -> set[tuple[str, str]]:
    """Give (topic, key) of each line in which ours allows or shows more."""
    found = set()
    # What is listed is a hole: each line of ours must be among theirs.
    for topic in ("readable", "writable", "device made", "device opened", "node", "descriptor"):
        found |= {(topic, key) for key, value in ours[topic].items() if theirs[topic].get(key) != value}
    for topic in CALLS:
        found |= {
            (topic, key)
            for key, verdict in ours[topic].items()
            if verdict == "passed" and theirs[topic][key] != "passed"
        }
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        more = int(ours["status"][name], 16) & ~int(theirs["status"][name], 16)
        found |= {(name, str(bit)) for bit in range(64) if more >> bit & 1}
    for name in ("NoNewPrivs", "Seccomp"):
        if int(ours["status"][name]) < int(theirs["status"][name]):
            found.add(("status", name))
    if not set(ours["status"]["Groups"].split()) <= set(theirs["status"]["Groups"].split()):
        found.add(("status", "Groups"))
    for kind, identity in ours["namespace"].items():
        if identity == os.readlink(f"/proc/self/ns/{kind}") != theirs["namespace"].get(kind, identity):
            found.add(("namespace", kind))
    for target, options in ours["mount"].items():
        wanted = set(theirs["mount"].get(target, "").split(",")) & set(SHUT)
        if not wanted <= set(options.split(",")):
            found.add(("mount", target))
    for resource in ours["limit"]:
        if any(mine > his for mine, his in zip(numbers(ours, resource), numbers(theirs, resource), strict=True)):
            found.add(("limit", resource))
    return found


CALLS = (
    "call", "socket", "socket with high bits", "socketpair", "clone", "unshare", "personality", "ioctl",
    "x32 call", "i386 call", "i386 socket", "i386 clone",
)  # fmt: skip


def test_the_program_saw_what_there_is_to_see(ours: Facts, theirs: Facts) -> None:
    """A line that is missing is one that can't be looser."""
    for facts in (ours, theirs):
        assert len(facts["call"]) == 600
        assert (facts["call"]["keyctl"], facts["call"]["clone3"]) == ("-1", "-38")
        assert facts["call"]["openat"] == facts["socket"]["0x2"] == "passed"
        assert set(facts["status"]) >= {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"}
        assert {"/proc/version", "/proc/self/status"} <= set(facts["readable"])
        assert "/proc/self/oom_score_adj" in facts["writable"]
        assert {"null", "zero"} <= set(facts["node"])
        assert len(facts["limit"]) == 16
    assert {topic for topic in ours if topic in CALLS} == {topic for topic in theirs if topic in CALLS}
    assert ours["socket"]["0x26"] == ours["socket"]["0x28"] == "-1", "ALG, VSOCK: CVE-2026-31431"


def test_the_default_container_is_looser_than_dockers_in_no_line(ours: Facts, theirs: Facts) -> None:
    lines = sorted(f"{topic}: {key}" for topic, key in looser(ours, theirs) - set(ACCEPTED))
    assert not lines, "looser than docker:\n  " + "\n  ".join(lines)


def test_only_devices_that_lead_to_nothing_of_the_host_open(ours: Facts) -> None:
    """null zero full random urandom, tty console ptmx: whatever node is made, and wherever."""
    harmless = {"1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:1", "5:2", "136:0"}
    assert {key.split()[2] for key in ours["device opened"]} <= harmless
    assert set(ours["node"]) == {"null", "zero", "full", "random", "urandom", "tty"}
    assert set(ours["descriptor"]) <= {"0", "1", "2", "3"}  # the last is the program's own directory or pipe
