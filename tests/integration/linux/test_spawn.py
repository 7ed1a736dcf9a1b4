"""A plan built by hand, walked in a real kernel: namespaces, reports, failures."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from minirun.linux import flags
from minirun.linux import plan as p
from tests import missing
from tests.integration.linux.conftest import Walk

Container = Callable[..., p.Plan]


def test_a_program_runs_as_process_1_of_its_namespace(walk: Walk, container: Container) -> None:
    outcome = walk(container("sh", "-c", "echo $$; cat /proc/1/comm; exit 7"))
    assert outcome.failed is None
    assert outcome.output == "1\nsh\n"
    assert outcome.exit_code == 7


def test_a_signal_is_seen_in_the_wait_status(walk: Walk, container: Container) -> None:
    plan = container("sh", "-c", "kill -KILL $$", namespaces=flags.CLONE_NEWNS)
    assert walk(plan).exit_code == -signal.SIGKILL


def test_nothing_of_the_host_is_seen(walk: Walk, container: Container) -> None:
    leaked = os.open("/", os.O_RDONLY)
    try:
        outcome = walk(
            container("sh", "-c", "ls /proc/self/fd; cat /proc/mounts; ls /; ls -d /proc/[0-9]*"),
            descriptors=(leaked,),
        )
    finally:
        os.close(leaked)
    lines = outcome.output.split("\n")
    assert lines[:4] == ["0", "1", "2", "3"]  # 3 is the descriptor that ls reads the directory with
    mounts = [line.split()[1] for line in lines if line.count(" ") == 5]
    assert mounts == ["/", "/proc"]
    assert [line for line in lines if line.startswith("/proc/") and " " not in line] == ["/proc/1"]


def test_host_name_domain_and_limits(walk: Walk, container: Container) -> None:
    tail = (p.hostname("web"), p.domainname("example"), p.rlimit(7, 64, 128), p.umask(0o27), p.oom_score(500))
    script = "hostname; cat /proc/sys/kernel/domainname; ulimit -n; umask; cat /proc/self/oom_score_adj"
    outcome = walk(container("sh", "-c", script, tail=tail))
    assert outcome.output.split() == ["web", "example", "64", "0027", "500"]


def test_the_failing_operation_is_named_by_its_place(walk: Walk, container: Container) -> None:
    plan = container("true", steps=(p.directory(0, "/ok"), p.filesystem(2, "no-such-type", "")))
    index = next(
        i for i, (_, operation) in enumerate(plan.operations()) if operation.arguments[:2] == (2, "no-such-type")
    )
    outcome = walk(plan)
    assert outcome.failed == (index, errno.ENODEV)
    assert plan.describe(index) == "make file system no-such-type"


def test_an_optional_operation_may_fail(walk: Walk, container: Container) -> None:
    plan = container("echo", "on", steps=(p.optional(p.filesystem(2, "no-such-type", "")),))
    outcome = walk(plan)
    assert outcome.output == "on\n"
    assert [error for _, _, error in outcome.traces if error] == [errno.ENODEV]


def test_each_operation_is_timed_once(walk: Walk, container: Container) -> None:
    plan = container("true")
    outcome = walk(plan)
    count = len(plan.operations())
    # all but EXEC, which never comes back
    assert sorted(index for index, _, _ in outcome.traces) == list(range(count - 1))
    assert all(nanoseconds > 0 for _, nanoseconds, _ in outcome.traces)


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (("nonesuch",), errno.ENOENT),
        (("/bin/nonesuch",), errno.ENOENT),
        (("/etc/passwd",), errno.EACCES),
        (("passwd",), errno.EACCES),
        (("/etc/script",), errno.ENOEXEC),
        (("",), errno.ENOENT),
    ],
)
def test_a_program_that_cannot_be_executed(
    walk: Walk, container: Container, rootfs: Path, command: tuple[str, ...], number: int
) -> None:
    (rootfs / "etc/script").write_text("no magic number\n")
    (rootfs / "etc/script").chmod(0o755)
    (rootfs / "bin/passwd").write_text("not executable")
    plan = container(*command)
    assert walk(plan).failed == (len(plan.operations()) - 1, number)


def test_the_search_path_is_searched_in_order_and_never_the_working_directory(
    walk: Walk, container: Container, rootfs: Path
) -> None:
    (rootfs / "tool").write_text("#!/bin/sh\necho wrong\n")
    (rootfs / "tool").chmod(0o755)
    plan = container("tool")
    plan.child[-1] = p.exec_("::.:bin:/nonesuch:/etc", ("tool",), ())
    assert walk(plan).failed == (len(plan.operations()) - 1, errno.ENOENT)


def test_sides_meet_at_sync(walk: Walk, container: Container, rootfs: Path, tmp_path: Path) -> None:
    """The parent writes a file only after the child has come to stage 1, and the child reads it after stage 2."""
    (tmp_path / "file").write_text("before")
    plan = container(
        "cat", "/data/file", steps=(p.sync(1), p.sync(2), p.tree(2, p.HOST, str(tmp_path / "file"), False))
    )
    plan.child.insert(-4, p.attach(2, 0, "/data/file", p.CREATE_FILE))
    plan.parent += [p.sync(1), p.write(p.HOST, str(tmp_path / "file"), "after!"), p.sync(2)]
    assert walk(plan).output == "after!"


def test_sides_that_disagree_fail(walk: Walk, container: Container) -> None:
    plan = container("true", steps=(p.sync(1),))
    plan.parent.append(p.sync(2))
    assert walk(plan).failed == (1, errno.EPROTO)


def test_a_parent_that_fails_takes_the_child_along(walk: Walk, container: Container) -> None:
    plan = container("sleep", "1000", steps=(p.sync(1),))
    plan.parent += [p.write(p.HOST, "/nonexistent/file", "x"), p.sync(1)]
    assert walk(plan).failed == (1, errno.ENOENT)


def test_a_child_that_fails_is_believed_before_the_parent(walk: Walk, container: Container) -> None:
    """The parent waits at a stage that the child never reaches; what the child said is the reason."""
    plan = container("true", steps=(p.close(9), p.sync(1)))
    plan.parent.append(p.sync(1))
    index = next(i for i, (_, operation) in enumerate(plan.operations()) if operation.name == "CLOSE")
    assert walk(plan).failed == (index, errno.EBADF)


def test_a_plan_without_exec_fails(walk: Walk, container: Container) -> None:
    plan = container("true")
    plan.child.pop()
    assert walk(plan).failed == (p_no_operation(), errno.ENOEXEC)


def p_no_operation() -> int:
    return -1  # MR_NO_OPERATION, as the driver prints it


def test_an_inherited_descriptor_becomes_a_slot(walk: Walk, container: Container, tmp_path: Path) -> None:
    namespace = os.open("/proc/self/ns/uts", os.O_RDONLY)
    try:
        plan = container("hostname", namespaces=flags.CLONE_NEWNS | flags.CLONE_NEWPID)
        plan.child[0:0] = [p.take(5, namespace), p.setns(5, flags.CLONE_NEWUTS), p.close(5)]
        outcome = walk(plan, descriptors=(namespace,))
    finally:
        os.close(namespace)
    assert outcome.output.strip() == os.uname().nodename


def test_ignored_and_blocked_signals_are_not_inherited(walk: Walk, container: Container) -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        outcome = walk(container("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"))
    finally:
        signal.signal(signal.SIGUSR1, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})
    assert [line.split()[1] for line in outcome.output.splitlines()] == ["0" * 16, "0" * 16]


def test_a_signal_of_glibcs_own_that_was_left_ignored_is_not_inherited(walk: Walk, container: Container) -> None:
    import ctypes

    calls = {"x86_64": 13, "aarch64": 134}  # rt_sigaction(2)
    ignore, standard = (ctypes.c_ulong * 8)(1), (ctypes.c_ulong * 8)()
    libc = ctypes.CDLL(None)
    assert libc.syscall(calls[os.uname().machine], 32, ignore, None, 8) == 0
    try:
        outcome = walk(container("grep", "SigIgn", "/proc/self/status"))
    finally:
        libc.syscall(calls[os.uname().machine], 32, standard, None, 8)
    assert outcome.output.split()[1] == "0" * 16


def test_a_killed_spawner_takes_its_child_along(walk: Walk, container: Container, driver: Path, tmp_path: Path) -> None:
    path = tmp_path / "plan"
    plan = container("sh", "-c", "echo up; exec sleep 1000", tail=(p.identity(1000, 1000), p.death_signal(9)))
    path.write_bytes(plan.encode())
    with (
        (tmp_path / "reports").open("w+b") as reports,
        subprocess.Popen(
            [driver, path, "2"], stdout=subprocess.PIPE, stderr=reports, stdin=subprocess.DEVNULL
        ) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        process.kill()
        process.wait()
        assert process.stdout.read() == b""  # end of file: nobody holds the pipe any more
        if f" {errno.ENOSYS}\n".encode() in (tmp_path / "reports").read_bytes():
            missing.note()
        assert line == b"up\n"
