"""A process in a container that runs already."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minirun.linux import flags, syscalls
from minirun.linux import plan as p
from minirun.record import Record
from tests import missing
from tests.integration.linux.conftest import Walk

Container = Callable[..., p.Plan]
ALL = flags.CLONE_NEWNS | flags.CLONE_NEWPID | flags.CLONE_NEWUTS


class Running(Record):
    pid: int
    start_time: int


@pytest.fixture
def running(driver: Path, container: Container, tmp_path: Path) -> Iterator[Running]:
    """A container that waits until its standard input ends."""
    path = tmp_path / "running"
    options = ("newinstance", "ptmxmode=0666", "mode=0620")
    steps = (
        p.filesystem(2, "devpts", "devpts", options),
        p.attach(2, 0, "/dev/pts", p.CREATE_DIRECTORY),
    )
    plan = container("cat", steps=steps, tail=(p.hostname("inside"),))
    path.write_bytes(plan.encode())
    reader, writer = os.pipe()
    process = subprocess.Popen([driver, path, str(writer)], stdin=subprocess.PIPE, pass_fds=(writer,))
    os.close(writer)
    with os.fdopen(reader) as reports:
        for line in reports:
            kind, _, rest = line.partition(" ")
            if kind in ("started", "failed"):
                break
        if kind == "failed":
            process.communicate(timeout=10)
            if rest.split()[1] == str(errno.ENOSYS):
                missing.note()
            pytest.fail(f"no container to enter: operation and error {rest}")
        pid = int(rest)
        start = syscalls.process_start_time(pid)
        assert start is not None
        yield Running(pid=pid, start_time=start)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


def _exec(running: Running, *command: str, tail: tuple[p.Operation, ...] = (), cgroup: str = "") -> p.Plan:
    plan = p.Plan()
    if cgroup:
        plan.monitor.append(p.cgroup(cgroup))
    plan.monitor.append(p.enter(running.pid, running.start_time, ALL))
    plan.child += [*tail, p.death_signal(9), p.signals(), p.seal(3), p.exec_("/bin", command, ())]
    return plan


def test_a_process_runs_inside_and_its_exit_code_comes_out(walk: Walk, running: Running) -> None:
    outcome = walk(_exec(running, "sh", "-c", "hostname; cat /proc/1/comm; ls -d /proc/[0-9]*; exit 9"))
    assert outcome.failed is None
    lines = outcome.output.split()
    assert lines[:3] == ["inside", "cat", "/proc/1"]
    assert len(lines) == 4  # process 1 and the shell: the helper isn't there any more
    assert outcome.exit_code == 9


def test_input_reaches_it_and_nothing_of_the_host_is_open(walk: Walk, running: Running) -> None:
    leaked = os.open("/", os.O_RDONLY)
    try:
        outcome = walk(_exec(running, "sh", "-c", "cat; ls /proc/self/fd"), stdin=b"in\n", descriptors=(leaked,))
    finally:
        os.close(leaked)
    assert outcome.output.split() == ["in", "0", "1", "2", "3"]


def test_another_process_of_that_number_is_not_entered(walk: Walk, running: Running) -> None:
    plan = _exec(running.replace(start_time=running.start_time + 1), "true")
    assert walk(plan).failed == (0, errno.ESRCH)


def test_a_container_that_is_gone(walk: Walk) -> None:
    plan = _exec(Running(pid=(1 << 22) + 5, start_time=1), "true")
    failed = walk(plan).failed
    assert failed is not None
    assert failed[1] in (errno.ESRCH, errno.EINVAL)


@pytest.mark.parametrize("pid", ["", "x", "1x", "-1", "99999999999999999999", "../1"])
def test_a_process_number_that_is_none(walk: Walk, pid: str) -> None:
    plan = _exec(Running(pid=1, start_time=1), "true")
    plan.monitor[-1] = p.enter(pid, 1, ALL)
    failed = walk(plan).failed
    assert failed is not None
    assert failed[1] in (errno.EINVAL, errno.ESRCH)


def test_a_missing_program_is_said(walk: Walk, running: Running) -> None:
    plan = _exec(running, "nonesuch")
    assert walk(plan).failed == (len(plan.operations()) - 1, errno.ENOENT)


def test_it_lives_in_the_containers_cgroup(walk: Walk, running: Running, cgroup: Path) -> None:
    outcome = walk(_exec(running, "cat", "/proc/self/cgroup", cgroup=str(cgroup)))
    assert [line for line in outcome.output.splitlines() if line.startswith("0::")] == [f"0::/{cgroup.name}"]


def test_a_user_and_a_terminal_in_an_exec(walk: Walk, running: Running) -> None:
    tail = (
        p.open_(0, p.HOST, "/", os.O_PATH | os.O_DIRECTORY),
        p.session(),
        p.terminal(0, 10, 20),
        p.user("alice"),
        p.capabilities(0, 0, 0),
    )
    outcome = walk(_exec(running, "sh", "-c", "tty; id -un; /bin/busybox stty size", tail=tail))
    assert outcome.failed is None
    assert outcome.output.split() == ["/dev/pts/0", "alice", "10", "20"]


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup of the test's own."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    top = next(Path(line.split()[4]) for line in mounts if " - cgroup2 " in line)
    path = top / f"minirun-test-{os.getpid()}"
    path.mkdir()
    yield path
    path.rmdir()


def test_a_container_is_born_in_its_cgroup(walk: Walk, container: Container, cgroup: Path) -> None:
    plan = container("cat", "/proc/self/cgroup")
    plan.monitor.insert(0, p.cgroup(str(cgroup)))
    outcome = walk(plan)
    assert [line for line in outcome.output.splitlines() if line.startswith("0::")] == [f"0::/{cgroup.name}"]


def test_a_cgroup_namespace_is_rooted_in_the_containers_cgroup(walk: Walk, container: Container, cgroup: Path) -> None:
    plan = container("cat", "/proc/self/cgroup", steps=(p.unshare(flags.CLONE_NEWCGROUP),))
    plan.monitor.insert(0, p.cgroup(str(cgroup)))
    assert [line for line in walk(plan).output.splitlines() if line.startswith("0::")] == ["0::/"]


def test_a_missing_cgroup_is_said(walk: Walk, container: Container) -> None:
    plan = container("true")
    plan.monitor.insert(0, p.cgroup("/sys/fs/cgroup/no-such-group"))
    assert walk(plan).failed == (0, errno.ENOENT)
