"""EXECUTABLE: the answer that EXEC would give, before it is too late for an answer."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from minirun.linux import flags
from minirun.linux import plan as p
from tests.integration.linux.conftest import Outcome, Walk

Container = Callable[..., p.Plan]
SEARCH = "/nonexistent:/etc/passwd:/etc:.::data:/data:/bin"


@pytest.fixture
def programs(rootfs: Path) -> None:
    """What can be in the way of a program."""
    for name, mode in (("plain", 0o644), ("nobodys", 0o000), ("roots", 0o700), ("groups", 0o610), ("all", 0o755)):
        path = rootfs / "etc" / name
        path.write_bytes((rootfs / "bin/busybox").read_bytes())
        path.chmod(mode)
    (rootfs / "etc/directory").mkdir()
    (rootfs / "etc/loop").symlink_to("loop")
    (rootfs / "etc/dangling").symlink_to("nowhere")
    (rootfs / "etc/link").symlink_to("/bin/busybox")
    (rootfs / "etc/closed").mkdir(0o700)
    (rootfs / "etc/closed/program").symlink_to("/bin/busybox")
    (rootfs / "data/true").write_text("in the way of the one in /bin, and not executable")


NAMES = (
    *("true", "absent", "", "directory", "passwd", "loop", "dangling", "plain", "nobodys", "roots", "groups", "all"),
    *("/bin/true", "/absent", "/etc", "/etc/directory", "/etc/passwd", "/etc/passwd/x", "/etc/loop", "/etc/link"),
    *("bin/true", "./bin/true", "/etc/roots", "/etc/groups", "/etc/closed/program", "/bin/" + "x" * 300, "x" * 5000),
)


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("user", [(0, 0), (1000, 0), (1000, 1000)], ids=["root", "group", "other"])
def test_it_finds_what_exec_finds_and_fails_as_exec_fails(
    walk: Walk, container: Container, user: tuple[int, int]
) -> None:
    """All questions in one container; then every EXEC that has to fail in one, in which none may succeed before the last."""
    tail = (p.identity(*user), p.capabilities(0, 0, 0))
    asked = container("true", tail=(*tail, *(p.optional(p.executable(SEARCH, name)) for name in NAMES)))
    answers = _errors(asked, walk(asked))
    failing = [name for name, error in zip(NAMES, answers, strict=True) if error]
    found = [name for name, error in zip(NAMES, answers, strict=True) if not error]
    assert failing
    assert found

    executions = tuple(p.optional(p.exec_(SEARCH, (name, "echo", "too early"), ())) for name in failing)
    done = container("echo", "last", tail=(*tail, *executions))
    truth = walk(done)
    assert truth.output == "last\n"
    assert _errors(done, truth) == [error for error in answers if error]

    for name in found:
        plan = container("true", tail=tail)
        plan.child[-1] = p.exec_(SEARCH, (name, "true"), ())
        assert walk(plan).failed is None, name


def _errors(plan: p.Plan, outcome: Outcome) -> list[int]:
    """Give the errno of each optional operation, in order."""
    assert outcome.failed is None
    optional = [index for index, (_, operation) in enumerate(plan.operations()) if operation.optional]
    errors = {index: error for index, _, error in outcome.traces}
    return [errors[index] for index in optional]


def test_a_mount_without_execution_has_no_executable(walk: Walk, container: Container, canary: Path) -> None:
    (canary / "program").write_bytes(b"#!/bin/sh\n")
    (canary / "program").chmod(0o755)
    steps = (p.tree(2, p.HOST, str(canary), True), p.attributes(2, flags.MOUNT_ATTR_NOEXEC), p.attach(2, 0, "/data"))
    plan = container("true", steps=steps, tail=(p.executable("/data", "program"),))
    failed = walk(plan).failed
    assert failed is not None
    assert failed[1] == errno.EACCES


def test_nothing_is_executed(walk: Walk, container: Container) -> None:
    tail = (p.executable("/bin", "sh"), p.executable("/bin", "cat"))
    assert walk(container("echo", "only", tail=tail)).output == "only\n"
