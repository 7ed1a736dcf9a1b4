"""What the run directory says about a container."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from minirun.monitor import exits


@pytest.mark.parametrize(
    ("status", "code"), [(0, 0), (1 << 8, 1), (255 << 8, 255), (9, 137), (15, 143), (6 | 0x80, 134)]
)
def test_exit_codes_are_those_of_a_shell(status: int, code: int) -> None:
    assert exits.Exit(status=status, oom_killed=False, time_ns=0).exit_code == code


def test_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "started").write_text("12 345 678\n")
    (tmp_path / "exit").write_text("256 1 99\n")
    assert exits.read_started(str(tmp_path)) == exits.Started(pid=12, start_time=345, time_ns=678)
    assert exits.read_exit(str(tmp_path)) == exits.Exit(status=256, oom_killed=True, time_ns=99)


def test_a_directory_without_them_says_none(tmp_path: Path) -> None:
    assert exits.read_started(str(tmp_path)) is None
    assert exits.read_exit(str(tmp_path / "gone")) is None
    assert not exits.is_alive(str(tmp_path / "gone"))


def test_who_holds_the_lock_is_alive(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        assert not exits.is_alive(str(tmp_path))
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert exits.is_alive(str(tmp_path))
        assert exits.is_running(str(tmp_path))
        (tmp_path / "exit").write_text("0 0 1\n")
        assert not exits.is_running(str(tmp_path))
    assert not exits.is_alive(str(tmp_path))
