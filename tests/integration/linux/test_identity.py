"""Users, groups, capabilities, filters."""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from minirun.linux import flags
from minirun.linux import plan as p
from tests.integration.linux.conftest import Walk

Container = Callable[..., p.Plan]


def _index(plan: p.Plan, name: str) -> int:
    return next(i for i, (_, operation) in enumerate(plan.operations()) if operation.name == name)


def _id(walk: Walk, container: Container, spec: str, *groups: str) -> str | int:
    """What a process is after USER, as "uid gid +groups home", or the errno of the failure. The primary group is among
    the supplementary ones, so that a set-group-ID program can't drop it (CVE-2022-36109).

    By the kernel's own words: id(1) would read the account files that the test made hostile.
    """
    plan = container("sh", "-c", "cat /proc/self/status; echo Home: $HOME", tail=(p.user(spec, groups),))
    outcome = walk(plan)
    if outcome.failed:
        assert outcome.failed[0] == _index(plan, "USER")
        return outcome.failed[1]
    lines = {line.partition(":")[0]: line.partition(":")[2].split() for line in outcome.output.splitlines()}
    assert len(set(lines["Uid"])) == len(set(lines["Gid"])) == 1  # real, effective, saved, file system
    return " ".join([lines["Uid"][0], lines["Gid"][0], "+" + ",".join(lines["Groups"]), lines["Home"][0]])


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("", "0 0 +0 /root"),
        ("root", "0 0 +0 /root"),
        ("alice", "1000 1001 +29,50,1001 /home/alice"),
        ("1000", "1000 1001 +29,50,1001 /home/alice"),
        ("alice:", "1000 1001 +29,50,1001 /home/alice"),
        ("alice:audio", "1000 29 +29 /home/alice"),
        ("alice:7", "1000 7 +7 /home/alice"),
        (":audio", "0 29 +29 /root"),
        ("4711", "4711 0 +0 /"),
        ("4711:12", "4711 12 +12 /"),
        ("007", "7 0 +0 /"),
        ("2147483647", "2147483647 0 +0 /"),
    ],
)
def test_a_user_is_found_as_docker_finds_it(walk: Walk, container: Container, spec: str, expected: str) -> None:
    assert _id(walk, container, spec) == expected


@pytest.mark.parametrize(
    ("spec", "number"),
    [
        ("bob", errno.ENOENT),
        ("alice:nogroup", errno.ESRCH),
        ("2147483648", errno.ERANGE),
        ("4294967296", errno.ERANGE),
        ("4294967295", errno.ERANGE),
        ("99999999999999999999999", errno.ERANGE),
        ("-1", errno.EINVAL),
        ("+1", errno.EINVAL),
        ("1e3", errno.EINVAL),
        ("0x0", errno.EINVAL),
        ("1000 ", errno.EINVAL),
        (" 0", errno.EINVAL),
        ("0:1e3", errno.EINVAL),
        ("0:-5", errno.EINVAL),
        ("0:4294967296", errno.ERANGE),
    ],
)
def test_a_number_is_exact_or_refused_whatever_the_image_says(
    walk: Walk, container: Container, rootfs: Path, spec: str, number: int
) -> None:
    with open(rootfs / "etc/passwd", "a") as file:
        for name in ("2147483648", "4294967296", "4294967295", "-1", "+1", "1e3", "0x0", "1000 ", " 0"):
            file.write(f"{name}:x:0:0::/:/bin/sh\n")
    assert _id(walk, container, spec) == number


def test_a_name_of_digits_is_never_looked_up(walk: Walk, container: Container, rootfs: Path) -> None:
    (rootfs / "etc/passwd").write_text("4711:x:0:0:evil:/evil:/bin/sh\n")
    (rootfs / "etc/group").write_text("12:x:0:\n")
    assert _id(walk, container, "4711:12") == "4711 12 +12 /"


def test_extra_groups_by_name_and_number(walk: Walk, container: Container) -> None:
    assert _id(walk, container, "alice:7", "audio", "5000", "audio") == "1000 7 +7,29,5000 /home/alice"
    assert _id(walk, container, "alice", "nonesuch") == errno.ESRCH


@pytest.mark.parametrize(
    "line", ["x", "a:b", "alice:x:zero:0::/:", "alice:x:1e3:0::/:", "alice:x:4294967296:0::/:", ":::::"]
)
def test_a_malformed_line_is_passed_over(walk: Walk, container: Container, rootfs: Path, line: str) -> None:
    text = (rootfs / "etc/passwd").read_text()
    (rootfs / "etc/passwd").write_text(f"{line}\n{text}")
    assert _id(walk, container, "alice:7") == "1000 7 +7 /home/alice"


def test_a_line_without_its_end(walk: Walk, container: Container, rootfs: Path) -> None:
    (rootfs / "etc/passwd").write_text("last:x:5:6:c:/h")
    (rootfs / "etc/group").write_text("g:x:9:last")
    assert _id(walk, container, "last") == "5 6 +6,9 /h"


@pytest.mark.parametrize("kind", ["fifo", "device", "directory", "missing", "loop", "procfs"])
def test_account_files_that_are_no_files_count_as_absent(
    walk: Walk, container: Container, rootfs: Path, kind: str
) -> None:
    for name in ("passwd", "group"):
        path = rootfs / "etc" / name
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "device":
            os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero
        elif kind == "directory":
            path.mkdir()
        elif kind == "loop":
            path.symlink_to(path.name)
        elif kind == "procfs":
            path.symlink_to("/proc/self/fd/0")
    started = time.monotonic()
    assert _id(walk, container, "12:34") == "12 34 +34 /"
    assert _id(walk, container, "alice") == errno.ENOENT
    assert time.monotonic() - started < 10


def test_a_link_to_a_file_of_the_host_finds_the_containers_own(
    walk: Walk, container: Container, rootfs: Path, tmp_path: Path
) -> None:
    (tmp_path / "passwd").write_text("hostuser:x:77:77::/:/bin/sh\n")
    (rootfs / "etc/passwd").unlink()
    (rootfs / "etc/passwd").symlink_to(tmp_path / "passwd")
    assert _id(walk, container, "hostuser") == errno.ENOENT


def test_account_files_of_any_size_are_given_up(walk: Walk, container: Container, rootfs: Path) -> None:
    with open(rootfs / "etc/group", "r+b") as file:
        file.truncate(4 << 30)
    started = time.monotonic()
    assert _id(walk, container, "alice:nogroup") == errno.EFBIG
    assert time.monotonic() - started < 10


def test_a_line_of_a_million_members_is_read(walk: Walk, container: Container, rootfs: Path) -> None:
    with open(rootfs / "etc/group", "w") as file:
        file.write("big:x:77:" + ",".join(f"u{number}" for number in range(1_000_000)) + ",alice\n")
    assert _id(walk, container, "alice") == "1000 1001 +77,1001 /home/alice"


def test_too_many_groups_are_refused(walk: Walk, container: Container, rootfs: Path) -> None:
    with open(rootfs / "etc/group", "w") as file:
        file.writelines(f"g{number}:x:{number + 10}:alice\n" for number in range(5000))
    assert _id(walk, container, "alice") == errno.E2BIG


def test_numbers_alone(walk: Walk, container: Container) -> None:
    outcome = walk(
        container("sh", "-c", "id -u; id -g; id -G; echo ${HOME-none}", tail=(p.identity(12, 34, (56, 78)),))
    )
    assert outcome.output.split("\n")[:4] == ["12", "34", "34 56 78", "none"]


def test_the_number_that_means_unchanged_is_refused(walk: Walk, container: Container) -> None:
    plan = container("id", tail=(p.identity(0xFFFFFFFF, 0),))
    assert walk(plan).failed == (_index(plan, "IDENTITY"), errno.ERANGE)


def test_a_home_that_is_set_stays(walk: Walk, container: Container) -> None:
    plan = container("sh", "-c", "echo $HOME", tail=(p.user("alice"),), environment=("PATH=/bin", "HOME=/mine"))
    assert walk(plan).output == "/mine\n"


def test_a_user_can_open_its_own_standard_output(walk: Walk, container: Container) -> None:
    outcome = walk(container("sh", "-c", "echo x > /proc/self/fd/1", tail=(p.user("alice"),)))
    assert (outcome.output, outcome.exit_code) == ("x\n", 0)


def _capabilities(text: str) -> dict[str, int]:
    return {line.split(":")[0]: int(line.split()[1], 16) for line in text.splitlines() if line.startswith("Cap")}


def test_capabilities_of_root(walk: Walk, container: Container) -> None:
    few = 1 << 0 | 1 << 5
    tail = (p.bounding(few), p.capabilities(few, few, 0))
    found = _capabilities(walk(container("cat", "/proc/self/status", tail=tail)).output)
    assert found == {"CapInh": 0, "CapPrm": few, "CapEff": few, "CapBnd": few, "CapAmb": 0}


def test_capabilities_of_a_user_are_ambient_or_gone(walk: Walk, container: Container) -> None:
    few = 1 << 10
    tail = (p.bounding(few), p.user("alice"), p.capabilities(few, few, few, few))
    found = _capabilities(walk(container("cat", "/proc/self/status", tail=tail)).output)
    assert found == dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), few)
    tail = (p.bounding(few), p.user("alice"), p.capabilities(0, few, 0))
    found = _capabilities(walk(container("cat", "/proc/self/status", tail=tail)).output)
    assert found == {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": few, "CapAmb": 0}


def test_a_user_without_a_capability_operation_has_none(walk: Walk, container: Container) -> None:
    found = _capabilities(walk(container("cat", "/proc/self/status", tail=(p.identity(5, 5),))).output)
    assert found["CapEff"] == found["CapPrm"] == found["CapAmb"] == 0


def _refuse(number: int) -> bytes:
    """A filter that lets everything pass but one system call, which fails with EDOM."""
    instructions = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 33), (0x06, 0, 0, 0x7FFF0000)]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in instructions)


@pytest.mark.needs("x86_64")  # the filter names a system call by its number
def test_a_filter_works_for_a_user_without_no_new_privileges(walk: Walk, container: Container) -> None:
    mkdir = 83
    tail = (p.user("alice"), p.seccomp(0, _refuse(mkdir)), p.capabilities(0, 0, 0))
    outcome = walk(container("/bin/busybox", "mkdir", "/tmp/x", tail=tail))
    assert outcome.exit_code == 1
    assert "umerical" in outcome.diagnostics  # EDOM
    status = walk(container("grep", "NoNewPrivs", "/proc/self/status", tail=(*tail, p.no_new_privileges()))).output
    assert status.split() == ["NoNewPrivs:", "1"]


def test_an_empty_or_cut_filter_is_refused(walk: Walk, container: Container) -> None:
    for program in (b"", b"1234567"):
        plan = container("true", tail=(p.seccomp(0, program),))
        assert walk(plan).failed == (_index(plan, "SECCOMP"), errno.EINVAL)


def test_raising_a_hard_limit_above_what_the_host_allows_is_said(walk: Walk, container: Container) -> None:
    plan = container("true", tail=(p.capabilities(0, 0, 0), p.rlimit(flags.RLIMITS.index("nofile"), 1 << 40, 1 << 40)))
    assert walk(plan).failed == (_index(plan, "RLIMIT"), errno.EPERM)
