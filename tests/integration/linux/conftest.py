"""A way to walk a plan built by hand in a real kernel, without monitor and engine: native/tests/driver.c.

Every test runs twice: as the compiler optimises it, and under the address and undefined behaviour sanitizers.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minirun.linux import flags
from minirun.linux import plan as p
from minirun.record import Record
from tests import drivers, missing


class Outcome(Record):
    """What came of a plan: output of the program, wait status, or place and errno of the failure."""

    output: str
    status: int | None = None
    failed: tuple[int, int] | None = None
    traces: tuple[tuple[int, int, int], ...] = ()
    diagnostics: str = ""

    @property
    def exit_code(self) -> int | None:
        return None if self.status is None else os.waitstatus_to_exitcode(self.status)


Walk = Callable[..., Outcome]


@pytest.fixture(scope="session", params=["plain", "sanitized"])
def driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the driver, once per kind."""
    directory = tmp_path_factory.mktemp("driver")
    if request.param == "plain":
        return drivers.program("interpreter", directory)
    return drivers.sanitized(directory)


@pytest.fixture
def walk(driver: Path, tmp_path: Path) -> Walk:
    """Give a function that walks a plan and says what came of it."""

    def run(plan: p.Plan, *, stdin: bytes = b"", descriptors: tuple[int, ...] = (), seconds: float = 30) -> Outcome:
        path = tmp_path / "plan"
        path.write_bytes(plan.encode())
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [driver, path, str(writer)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(writer, *descriptors),
        )
        os.close(writer)
        try:
            output, diagnostics = process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        finally:
            with os.fdopen(reader) as file:
                reports = [line.split() for line in file]
        values: dict[str, Any] = {"output": output.decode(), "diagnostics": diagnostics.decode()}
        for kind, *numbers in reports:
            if kind == "failed":
                values["failed"] = tuple(map(int, numbers))
            elif kind == "exited":
                values["status"] = int(numbers[0])
        values["traces"] = tuple(tuple(map(int, words[1:])) for words in reports if words[0] == "trace")
        assert "Sanitizer" not in diagnostics.decode(), diagnostics.decode()
        assert "runtime error" not in diagnostics.decode(), diagnostics.decode()
        if values.get("failed", (0, 0))[1] == errno.ENOSYS:
            missing.note()  # a number is all that this layer says
        assert reports, f"the driver died: {process.returncode} {diagnostics.decode()}"
        return Outcome(**values)

    return run


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A root file system: busybox, directories, nothing else."""
    root = tmp_path / "rootfs"
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "data"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in (
        "sh",
        "true",
        "cat",
        "id",
        "ls",
        "mount",
        "hostname",
        "echo",
        "grep",
        "sleep",
        "touch",
        "stat",
        "tty",
        "stty",
    ):
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001:Alice:/home/alice:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nstaff:x:50:bob,alice\naudio:x:29:alice\nalice:x:1001:\n")
    return root


@pytest.fixture
def container(tmp_path: Path, rootfs: Path) -> Callable[..., p.Plan]:
    """Give a function that makes a small container's plan: `steps` come before the pivot, `tail` after it."""
    mountpoint = tmp_path / "mountpoint"
    mountpoint.mkdir()

    def build(
        *command: str,
        steps: tuple[p.Operation, ...] = (),
        tail: tuple[p.Operation, ...] = (),
        namespaces: int = flags.CLONE_NEWNS | flags.CLONE_NEWPID | flags.CLONE_NEWUTS,
        environment: tuple[str, ...] = ("PATH=/bin",),
        procfs: bool = True,
    ) -> p.Plan:
        plan = p.Plan()
        plan.monitor.append(p.clone(namespaces))
        plan.child += [
            p.propagation(flags.MS_PRIVATE | flags.MS_REC),
            p.root_bind(0, str(mountpoint), str(rootfs)),
        ]
        if procfs:
            plan.child += [p.filesystem(1, "proc", "proc"), p.attach(1, 0, "/proc")]
        plan.child += [
            *steps,
            p.pivot(0),
            *tail,
            p.death_signal(9),
            p.signals(),
            p.seal(3),
            p.exec_("/bin", command, environment),
        ]
        return plan

    return build


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A directory of the host that no operation may touch."""
    directory = tmp_path / "host"
    directory.mkdir()
    (directory / "secret").write_text("secret")
    return directory


@pytest.fixture
def overlay(tmp_path: Path, rootfs: Path) -> Callable[..., p.Operation]:
    """Give a function that makes an OVERLAY of two layers: the root file system under one with a file of its own."""
    (tmp_path / "top").mkdir()
    (tmp_path / "top/marker").write_text("top")
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "mountpoint").mkdir(exist_ok=True)

    def build(*options: str, upper: bool = True, lowers: tuple[str, ...] = ("top", "rootfs")) -> p.Operation:
        return p.overlay(
            0,
            str(tmp_path / "mountpoint"),
            str(tmp_path),
            lowers,
            "upper" if upper else "",
            "work" if upper else "",
            options,
        )

    return build


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """After each test: no mount of ours in this namespace, no child, no descriptor more than before."""
    before = set(os.listdir("/proc/self/fd"))
    with contextlib.suppress(ChildProcessError):  # of a test that failed, as one may where the kernel lacks a call
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    yield
    assert set(os.listdir("/proc/self/fd")) <= before
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    with contextlib.suppress(ChildProcessError):
        assert os.waitpid(-1, os.WNOHANG) == (0, 0)
