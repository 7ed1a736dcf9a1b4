"""Reading a log: tail, since, until, rotation under the reader's hands, following."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirun.monitor import logs
from minirun.monitor.records import Decoder, LogEntry, seconds
from tests.unit.monitor.journal import NOON, journal, write


@pytest.fixture
def log(tmp_path: Path) -> str:
    """A log of several files; line n was written n milliseconds after NOON."""
    write(tmp_path / "log", [b"line %d\n" % number for number in range(200)], max_bytes=4096, max_files=9)
    assert len(list(tmp_path.iterdir())) > 3
    return str(tmp_path / "log")


def texts(entries: Iterator[LogEntry]) -> list[str]:
    return [entry.data.decode() for entry in entries]


def lines(first: int, last: int) -> list[str]:
    return [f"line {number}\n" for number in range(first, last)]


def test_all_files_are_read_oldest_first(log: str) -> None:
    assert texts(logs.read(log)) == lines(0, 200)


@pytest.mark.parametrize("tail", [0, 1, 2, 49, 50, 51, 100, 199, 200, 201, 5000])
def test_tail_counts_from_the_end_across_files(log: str, tail: int) -> None:
    assert texts(logs.read(log, tail=tail)) == lines(max(0, 200 - tail), 200)


@settings(deadline=None)
@given(st.lists(st.integers(1, 150_000), max_size=12), st.integers(0, 14))
def test_tail_is_right_whatever_the_length_of_lines(lengths: list[int], tail: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "log")
        path.write_bytes(b"".join(_record(b"x" * length) for length in lengths))
        found = [len(entry.data) - 1 for entry in logs.read(str(path), tail=tail)]
        assert found == (lengths[-tail:] if tail else [])


def _record(text: bytes) -> bytes:
    return b'{"log":"' + text + b'\\n","stream":"stdout","time":"2026-01-02T12:04:05.123456789Z"}\n'


@pytest.mark.parametrize("since", [0, 1, 60, 120, 199, 200])
def test_since_begins_at_that_time(log: str, since: int) -> None:
    assert texts(logs.read(log, since_ns=NOON + since * 1_000_000)) == lines(since, 200)


def test_until_ends_at_that_time(log: str) -> None:
    assert texts(logs.read(log, since_ns=NOON + 10_000_000, until_ns=NOON + 12_000_000)) == lines(10, 13)


def test_a_log_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert texts(logs.read(str(tmp_path / "log"))) == []
    assert texts(logs.read(str(tmp_path / "log"), tail=3, follow=True)) == []


def test_lines_of_others_and_a_torn_end_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"nonsense\n" + _record(b"good") + b'{"log":1}\n[]\n{"log":"torn')
    assert texts(logs.read(str(path))) == ["good\n"]
    assert texts(logs.read(str(path), tail=1)) == []  # the last whole line is none of ours


def test_records_of_docker_are_understood() -> None:
    line = b'{"log":"a\\u003cb\\r\\n","stream":"stderr","time":"2026-01-02T12:04:05.5Z"}\n'
    expected = LogEntry(stream="stderr", time_ns=NOON // 10**9 * 10**9 + 500_000_000, data=b"a<b\r\n")
    assert Decoder().decode(line) == expected


@settings(deadline=None)
@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))
def test_time_is_read_as_utc(moment: datetime) -> None:
    assert seconds(moment.isoformat().encode()) == int(moment.replace(tzinfo=UTC, microsecond=0).timestamp())


# ---- following


class Follower:
    """A thread that follows a log; `wait_for` blocks until so many entries have come."""

    def __init__(self, path: Path, **options: int) -> None:
        self.alive = True
        self.entries: list[str] = []
        self._changed = threading.Condition()
        self._reader = logs.read(str(path), follow=True, is_alive=lambda: self.alive, **options)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for entry in self._reader:
            with self._changed:
                self.entries.append(entry.data.decode())
                self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.entries) >= count, timeout=20)

    def join(self) -> None:
        self._thread.join(20)
        assert not self._thread.is_alive()


def test_following_gives_each_line_once_across_rotations(tmp_path: Path) -> None:
    with journal(tmp_path / "log", max_bytes=2000, max_files=4) as log:
        log.append(b"line 0\n")
        follower = Follower(tmp_path / "log")
        for number in range(1, 500):
            log.append(b"line %d\n" % number)
            if number % 20 == 0:  # a reader that lags by more files than there are loses lines, and that is no fault
                follower.wait_for(number)
        follower.wait_for(500)
        follower.alive = False
    follower.join()
    assert follower.entries == lines(0, 500)


def test_following_begins_at_the_tail(tmp_path: Path) -> None:
    with journal(tmp_path / "log") as log:
        log.append(b"".join(b"line %d\n" % number for number in range(10)))
        follower = Follower(tmp_path / "log", tail=2)
        follower.wait_for(2)
        log.append(b"line 10\n")
        follower.wait_for(3)
        follower.alive = False
    follower.join()
    assert follower.entries == lines(8, 11)


def test_following_ends_when_the_writer_is_gone_even_if_it_counts_as_alive_a_moment_longer(tmp_path: Path) -> None:
    with journal(tmp_path / "log") as log:
        log.append(b"line 0\n")
        follower = Follower(tmp_path / "log")
        follower.wait_for(1)
        log.append(b"line 1\n")
    follower.wait_for(2)
    follower.alive = False  # nothing is written any more: nobody tells the reader
    follower.join()
    assert follower.entries == lines(0, 2)


def test_following_a_log_of_one_file_goes_on_when_it_is_emptied(tmp_path: Path) -> None:
    with journal(tmp_path / "log", max_bytes=1000, max_files=1) as log:
        log.append(b"line 0\n")
        follower = Follower(tmp_path / "log")
        for number in range(1, 50):
            follower.wait_for(number)
            log.append(b"line %d\n" % number)
        follower.wait_for(50)
        follower.alive = False
    follower.join()
    assert follower.entries == lines(0, 50)


def test_following_leaves_no_descriptor(tmp_path: Path) -> None:
    import os

    before = os.listdir("/proc/self/fd")
    write(tmp_path / "log", [b"line 0\n"])
    reader = logs.read(str(tmp_path / "log"), follow=True, is_alive=lambda: True)
    assert next(reader).data == b"line 0\n"
    reader.close()  # type: ignore[attr-defined]
    assert os.listdir("/proc/self/fd") == before
