"""The container's terminal."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

from minirun.linux import plan as p
from tests import missing
from tests.integration.linux.conftest import Walk

Container = Callable[..., p.Plan]


def _steps(*more: p.Operation) -> tuple[p.Operation, ...]:
    options = ("newinstance", "ptmxmode=0666", "mode=0620", "gid=5")
    return (
        p.filesystem(2, "tmpfs", "tmpfs", ("mode=755",)),
        p.attach(2, 0, "/dev", p.CREATE_DIRECTORY | p.CREATE_NO_SYMLINKS),
        p.filesystem(3, "devpts", "devpts", options),
        p.attach(3, 2, "pts", p.CREATE_DIRECTORY | p.CREATE_NO_SYMLINKS),
        p.session(),
        *more,
    )


def test_a_terminal_of_the_containers_own(walk: Walk, container: Container) -> None:
    script = "tty; stty size; echo to the console > /dev/console; echo to the terminal > /dev/tty; ls -d /dev/pts/0"
    steps = _steps(p.device(2, "tty", stat.S_IFCHR | 0o666, os.makedev(5, 0)), p.terminal(0, 33, 99))
    outcome = walk(container("/bin/busybox", "sh", "-c", script, steps=steps))
    assert outcome.failed is None
    assert outcome.output.splitlines() == ["/dev/pts/0", "33 99", "to the console", "to the terminal", "/dev/pts/0"]


def test_ctrl_c_reaches_the_foreground(container: Container, driver: Path, tmp_path: Path) -> None:
    plan = container("sh", "-c", "trap 'echo caught; exit 5' INT; echo ready; read x", steps=_steps(p.terminal(0)))
    (tmp_path / "plan").write_bytes(plan.encode())
    with subprocess.Popen(
        [driver, tmp_path / "plan", "2"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if line:  # typed before, it would meet a shell without a trap
            process.stdin.write(b"\x03")
            process.stdin.flush()
        output, reports = process.communicate(timeout=30)
    if f" {errno.ENOSYS}\n".encode() in reports:
        missing.note()
    assert line == b"ready\r\n"
    assert b"caught" in output
    assert f"exited {5 << 8}" in reports.decode()


def test_the_terminal_belongs_to_the_user(walk: Walk, container: Container) -> None:
    script = "echo opened > /dev/pts/0; stat -c '%u %g' /dev/pts/0"
    outcome = walk(container("sh", "-c", script, steps=_steps(p.terminal(0)), tail=(p.user("alice"),)))
    assert outcome.output.split() == ["opened", "1000", "5"]


def test_a_root_without_devpts_has_no_terminal(walk: Walk, container: Container, rootfs: Path) -> None:
    """What the image calls a multiplexer is none (CVE-2025-52565)."""
    (rootfs / "dev/pts").mkdir()
    (rootfs / "dev/pts/ptmx").write_text("not a device")
    plan = container("true", steps=(p.session(), p.terminal(0)))
    failed = walk(plan).failed
    assert failed is not None
    assert failed[1] == errno.ENOTTY


def test_a_link_in_place_of_the_multiplexer_is_refused(walk: Walk, container: Container, rootfs: Path) -> None:
    (rootfs / "dev/pts").symlink_to("/proc")
    plan = container("true", steps=(p.session(), p.terminal(0)))
    failed = walk(plan).failed
    assert failed is not None
    assert failed[1] == errno.ELOOP
