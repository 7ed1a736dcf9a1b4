"""System calls that need no privilege."""

from __future__ import annotations

import errno
import os
import pathlib
import sys

import pytest

from minirun.linux import flags, syscalls


def children() -> set[str]:
    """Give our children, zombies too: a session has daemons of its fixtures."""
    return {
        pid for task in pathlib.Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()
    }


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_openat2_stays_in_the_root(tmp_path: os.PathLike[str]) -> None:
    os.symlink("/etc/passwd", os.path.join(tmp_path, "link"))
    root = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FileNotFoundError) as caught:
            syscalls.openat2(root, "link", os.O_RDONLY, resolve=flags.RESOLVE_IN_ROOT)
        assert caught.value.filename == "link"
        assert "openat2" in str(caught.value)
    finally:
        os.close(root)


def test_spawn_gives_the_child_exactly_the_named_descriptors() -> None:
    reader, writer = os.pipe()
    leaked = os.open("/", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    script = "import os; os.write(5, ' '.join(sorted(os.listdir('/proc/self/fd'))).encode())"
    try:
        # 5 and the writer's number swap places, so that a plain series of dup2 would lose one
        pid = syscalls.spawn(
            sys.executable, [sys.executable, "-I", "-S", "-c", script], {}, {5: writer, writer: reader}
        )
        os.close(writer)
        assert _wait(pid) == 0
        listed = os.read(reader, 1000).decode().split()
    finally:
        os.close(reader)
        os.close(leaked)
    listing = {"3"}  # the descriptor that lists
    assert set(listed) == {"0", "1", "2", "5", str(writer)} | (listing if writer != 3 else {"4"})


def test_spawn_passes_arguments_and_nothing_but_the_given_environment() -> None:
    reader, writer = os.pipe()
    pid = syscalls.spawn("/bin/sh", ["sh", "-c", 'echo "$0" "$A"; exec env', "x y"], {"A": "b\udcff"}, {1: writer})
    os.close(writer)
    assert _wait(pid) == 0
    output = os.read(reader, 1000)
    os.close(reader)
    assert output.startswith(b"x y b\xff\n")
    assert b"HOME" not in output


def test_spawn_starts_a_script(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit $1\n")
    script.chmod(0o755)
    assert os.waitstatus_to_exitcode(os.waitpid(syscalls.spawn(str(script), ["script", "7"], {}), 0)[1]) == 7


@pytest.mark.parametrize(("path", "number"), [("/etc/passwd", errno.EACCES), ("/nonexistent", errno.ENOENT)])
def test_spawn_raises_what_exec_said_and_leaves_no_child(path: str, number: int) -> None:
    before = children()
    with pytest.raises(OSError, match=path) as caught:
        syscalls.spawn(path, [path], {})
    assert caught.value.errno == number
    assert children() == before


def test_spawn_resets_signals_that_python_ignores() -> None:
    pid = syscalls.spawn("/bin/sh", ["sh", "-c", "kill -PIPE $$"], {})
    assert _wait(pid) == -13


def test_a_start_time_and_a_pidfd_name_a_process() -> None:
    start = syscalls.process_start_time(os.getpid())
    assert start is not None
    descriptor = syscalls.pidfd_open_verified(os.getpid(), start)
    assert descriptor is not None
    syscalls.pidfd_send_signal(descriptor, 0)
    os.close(descriptor)
    assert syscalls.pidfd_open_verified(os.getpid(), start + 1) is None


def test_a_process_that_is_gone_is_none() -> None:
    pid = syscalls.spawn("/bin/true", ["true"], {})
    _wait(pid)
    assert syscalls.process_start_time(pid) is None
    assert syscalls.pidfd_open_verified(pid, 1) is None


def test_text_with_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        syscalls.spawn("/bin/true", ["true", "a\0b"], {})


def test_names_of_flags() -> None:
    assert flags.names(flags.MOUNT_ATTR_RDONLY | flags.MOUNT_ATTR_NOEXEC, flags.MOUNT_ATTRIBUTES) == ["ro", "noexec"]
    assert flags.names(0x40000000 | 1, flags.NAMESPACES) == ["network", "0x1"]


def test_an_orphan_has_no_parent_that_would_have_to_wait_for_it() -> None:
    before = children()
    reader, writer = os.pipe()
    script = "read parent </proc/$$/stat; echo $parent"
    assert syscalls.spawn("/bin/sh", ["sh", "-c", script], {}, {1: writer}, orphan=True) == 0
    os.close(writer)
    with open(reader) as output:
        stat = output.read()
    assert stat.rpartition(")")[2].split()[1] != str(os.getpid())
    assert children() == before


def test_an_orphan_that_cant_be_executed_is_an_error_and_leaves_no_child(tmp_path: pathlib.Path) -> None:
    before = children()
    path = str(tmp_path / "text")
    with open(path, "w") as file:
        file.write("no program")
    os.chmod(path, 0o755)
    with pytest.raises(OSError, match="execve"):
        syscalls.spawn(path, [path], {}, orphan=True)
    assert children() == before


def test_where_the_kernel_lacks_no_call_that_we_need_its_age_is_not_blamed() -> None:
    assert syscalls.reason(errno.ENOSYS) == "this kernel can't do it"
    assert syscalls.reason_within(errno.EACCES) == "permission denied"
