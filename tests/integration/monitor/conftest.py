"""A real monitor around a process of this host: namespaces of its own, but no image, no network, no engine."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minirun.linux import flags, syscalls
from minirun.linux import plan as p
from minirun.monitor import attach, exits
from minirun.monitor import launch as monitor_program
from minirun.monitor.connection import Connection
from minirun.monitor.launch import launch
from minirun.monitor.logs import read

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "native"))

import build_native

SANITIZE = (
    "-O1",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
    "-static-libasan",
    "-static-libubsan",
)
MS_PRIVATE = 1 << 18
MS_REC = 1 << 14
SECONDS = 20


class Running:
    """A monitored process, the connection of its owner, and what lies on disk about it."""

    def __init__(self, top: Path) -> None:
        self.run = str(top / "run")
        self.log = str(top / "log")
        self.connection: Connection
        self.started: exits.Started
        self.monitor: int

    def logged(self, stream: str = "stdout") -> bytes:
        """Give what the log says that a stream said."""
        return b"".join(entry.data for entry in read(self.log) if entry.stream == stream)

    def client(self, *, stdin: bool = False, stdout: bool = True, stderr: bool = True) -> Connection:
        """Connect once more and attach."""
        connection = attach.connect(self.run)
        connection.attach(stdin, stdout, stderr)
        connection.wait_started()
        return connection

    def wait_recorded(self) -> exits.Exit:
        """Block until the exit is recorded in the run directory."""
        until(lambda: exits.read_exit(self.run) is not None)
        end = exits.read_exit(self.run)
        assert end is not None
        return end

    def wait_gone(self) -> None:
        """Block until the monitor has left."""
        wait_for_process(self.monitor)

    def descriptors(self) -> list[str]:
        """Give the monitor's descriptors, once it has left behind what only the start needed."""
        directory = f"/proc/{self.monitor}/fd"
        until(lambda: not any("memfd" in name for name in links(directory)))
        return links(directory)

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        os.kill(self.started.pid, signal.SIGKILL)


def until(look: Callable[[], bool], what: str = "a change") -> None:
    """Wait for something that has no event, with a deadline."""
    end = time.monotonic() + SECONDS
    while not look():
        assert time.monotonic() < end, f"waited {SECONDS} s for {what}"
        time.sleep(0.005)


def wait_for_process(pid: int) -> None:
    """Block until a process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], SECONDS)[0], f"process {pid} has not ended"
    finally:
        os.close(descriptor)


def python(source: str) -> tuple[str, ...]:
    """Give the argv of a small program."""
    return (sys.executable, "-I", "-S", "-c", source)


def links(directory: str) -> list[str]:
    """Give what the links of a directory point to, as `number path`."""
    found = []
    for name in sorted(os.listdir(directory)):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(f"{name} {os.readlink(f'{directory}/{name}')}")
    return found


def holder_of(path: str) -> int:
    """Give the process that has a file open."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it ended while we looked
            if any(link.split(maxsplit=1)[1] == path for link in links(f"/proc/{pid}/fd")):
                return int(pid)
    raise AssertionError(f"nobody has {path} open")


@pytest.fixture(scope="session", params=["plain", "sanitized"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the installed monitor, and one under the address and undefined behaviour sanitizers: each test runs with both."""
    if request.param == "plain":
        return monitor_program.PROGRAM
    target = str(tmp_path_factory.mktemp("monitor") / "minirun-monitor")
    build_native.build_monitor(target, flags=SANITIZE)
    return target


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Give a function that starts a monitored process; what still runs at the end of the test is killed."""
    monkeypatch.setattr(monitor_program, "PROGRAM", program)
    started: list[Running] = []

    def run(
        argv: tuple[str, ...],
        *,
        terminal: bool = False,
        stdin: bool = False,
        attach: tuple[bool, bool, bool] = (False, True, True),
        log: bool = True,
        log_bytes: int = 0,
        log_files: int = 1,
        hook: tuple[str, ...] = (),
        init: bool = False,
        pid_namespace: bool = True,
        cgroup: str = "",
        trace: bool = False,
        death_signal: bool = False,
    ) -> Running:
        running = Running(tmp_path / str(len(started)))
        os.makedirs(running.run)
        plan = p.Plan()
        plan.monitor += [p.run_directory(running.run), p.await_owner()]
        if log:
            plan.monitor.append(p.log(running.log, log_bytes, log_files))
        plan.monitor.append(p.stdio(p.STDIO_TERMINAL if terminal else p.STDIO_PIPES, stdin, 24, 80))
        if hook:
            plan.monitor.append(p.exit_hook(hook, ("FROM=plan",)))
        if cgroup:
            plan.monitor.append(p.cgroup(cgroup))
        plan.monitor.append(p.clone(flags.CLONE_NEWNS | (flags.CLONE_NEWPID if pid_namespace else 0)))
        plan.child += [p.propagation(MS_REC | MS_PRIVATE), p.session()]
        if terminal:
            plan.child += [p.open_(0, p.HOST, "/", os.O_PATH | os.O_DIRECTORY), p.terminal(0, 24, 80)]
        plan.child.append(p.signals())
        if death_signal:
            plan.child.append(p.death_signal(signal.SIGKILL))
        if init:
            plan.child.append(p.init())
        plan.child.append(p.exec_("/usr/bin:/bin", argv, ("PATH=/usr/bin:/bin", "TERM=dumb")))
        running.connection = launch(plan)
        started.append(running)
        running.connection.attach(*attach, trace=trace)
        running.started = running.connection.wait_started()
        running.monitor = holder_of(f"{running.run}/lock")
        return running

    yield run
    for running in started:
        recorded = exits.read_started(running.run)
        process = syscalls.pidfd_open_verified(recorded.pid, recorded.start_time) if recorded else None
        if process is not None:
            signal.pidfd_send_signal(process, signal.SIGKILL)
            os.close(process)
        running.connection.close()


class Sink:
    """The read end of a pipe that a pump writes to."""

    def __init__(self) -> None:
        self._read, self.descriptor = os.pipe2(os.O_CLOEXEC)

    def take(self, length: int) -> bytes:
        """Block until so many bytes have come."""
        data = b""
        end = time.monotonic() + SECONDS
        while len(data) < length:
            assert select.select([self._read], [], [], max(0.0, end - time.monotonic()))[0], f"only got {data!r}"
            data += os.read(self._read, length - len(data))
        return data

    def take_until(self, text: bytes) -> bytes:
        """Block until this text has come."""
        data = b""
        while text not in data:
            data += self.take(1)
        return data

    def rest(self) -> bytes:
        """Close the writing end and give what is left."""
        self.hang_up()
        return self.rest_after_hang_up()

    def rest_after_hang_up(self) -> bytes:
        """Read until the writing end is closed, by somebody else."""
        data = b""
        while block := os.read(self._read, 65536):
            data += block
        return data

    def hang_up(self) -> None:
        """Close the writing end."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def stop_reading(self) -> None:
        """Close the reading end: who writes gets EPIPE."""
        os.close(self._read)
        self._read = -1

    def close(self) -> None:
        """Close both."""
        self.hang_up()
        if self._read >= 0:
            self.stop_reading()


@pytest.fixture
def sink() -> Iterator[Callable[[], Sink]]:
    """Give a function that makes pipes to write to; all are closed after the test."""
    made: list[Sink] = []

    def make() -> Sink:
        made.append(Sink())
        return made[-1]

    yield make
    for one in made:
        one.close()
