"""The log as native/log.c writes it: exact bytes, valid JSON, rotation, torn ends, a full disk."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minirun.monitor import logs
from tests.unit.monitor.journal import STDERR, STDOUT, journal, write

LINE = 16384
# what breaks encoders: ends of lines, quotes, escapes, characters cut in two, overlong forms, surrogates, the last code point
PIECES = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(
        [b"\n", b'"', b"\\", b"\\n", b"\x00", b"\x1f", b"\x7f", b"\xc3", b"\xa9", b"\xf0\x9f", b"\x98\x80"]
    ),
    st.sampled_from([b"\xc0\x80", b"\xe0\x80\x80", b"\xed\xb2\x80", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xff"]),
    st.integers(LINE - 20, LINE + 20).map(lambda length: b"x" * length),
    st.integers(LINE - 20, LINE + 20).map(lambda length: "é".encode() * (length // 2)),
)


def records(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def read(path: Path) -> bytes:
    return b"".join(entry.data for entry in logs.read(str(path)))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy host is no fault of the strategy's
@given(st.lists(st.lists(PIECES, max_size=8).map(b"".join), max_size=6))
def test_output_comes_back_byte_for_byte(reads: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "log")
        write(path, reads)
        assert read(path) == b"".join(reads)
        for line in path.read_bytes().splitlines():
            fields = json.loads(line)
            assert list(fields) == ["log", "stream", "time"]
            assert len(fields["log"].encode("utf-8", "surrogateescape")) <= LINE


@settings(deadline=None)
@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"])).filter(lambda text: "\n" not in text))
def test_utf8_stays_readable_text(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "log")
        write(path, [text.encode() + b"\n"])
        assert records(path)[0]["log"] == text + "\n"


def test_every_byte_is_one_record_like_any_other(tmp_path: Path) -> None:
    write(tmp_path / "log", [bytes(range(256)) * 3])
    assert read(tmp_path / "log") == bytes(range(256)) * 3


def test_a_record_has_dockers_form(tmp_path: Path) -> None:
    with journal(tmp_path / "log") as log:
        log.append(b"one\n")
        log.append(b"two\n", STDERR)
    assert (tmp_path / "log").read_bytes() == (
        b'{"log":"one\\n","stream":"stdout","time":"2026-01-02T12:04:05.123456789Z"}\n'
        b'{"log":"two\\n","stream":"stderr","time":"2026-01-02T12:04:05.124456789Z"}\n'
    )


def test_a_line_is_one_record_however_it_was_read(tmp_path: Path) -> None:
    write(tmp_path / "log", [b"a", b"b", b"c\nd", b"e\n"])
    assert [record["log"] for record in records(tmp_path / "log")] == ["abc\n", "de\n"]


def test_streams_do_not_mix_within_a_line(tmp_path: Path) -> None:
    with journal(tmp_path / "log") as log:
        log.append(b"out")
        log.append(b"err", STDERR)
        log.append(b"put\n", STDOUT)
        log.append(b"or\n", STDERR)
    assert [record["log"] for record in records(tmp_path / "log")] == ["output\n", "error\n"]


def test_a_last_line_without_an_end_is_logged_when_the_container_ends(tmp_path: Path) -> None:
    with journal(tmp_path / "log") as log:
        log.append(b"prompt> ")
        assert not (tmp_path / "log").read_bytes()
    assert [record["log"] for record in records(tmp_path / "log")] == ["prompt> "]


def test_a_long_line_is_split_between_characters(tmp_path: Path) -> None:
    write(tmp_path / "log", [b"x" + "é".encode() * LINE + b"\n"])
    texts = [record["log"] for record in records(tmp_path / "log")]
    assert [len(text.encode()) for text in texts] == [LINE - 1, LINE, 3]  # no "é" is cut in two
    assert "".join(texts) == "x" + "é" * LINE + "\n"


def test_giving_memory_back_loses_nothing(tmp_path: Path) -> None:
    with journal(tmp_path / "log") as log:
        log.append(b"whole\nbegin")
        log.idle()
        log.append(b"ning\n")
        log.idle()
        log.append(b"end")
    assert read(tmp_path / "log") == b"whole\nbeginning\nend"


# ---- rotation


def test_rotation_keeps_the_newest_records_whole_and_in_order(tmp_path: Path) -> None:
    lines = [b"line %d\n" % number for number in range(1000)]
    write(tmp_path / "log", [b"".join(lines[at : at + 7]) for at in range(0, 1000, 7)], max_bytes=4096, max_files=3)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["log", "log.1", "log.2"]
    assert all(path.stat().st_size <= 4096 for path in tmp_path.iterdir())
    entries = [entry.data for entry in logs.read(str(tmp_path / "log"))]
    assert entries == lines[-len(entries) :]
    assert len(entries) > 100


def test_one_big_read_fills_several_files(tmp_path: Path) -> None:
    lines = [b"%05d\n" % number for number in range(2000)]
    write(tmp_path / "log", [b"".join(lines)], max_bytes=10_000, max_files=100)
    assert read(tmp_path / "log") == b"".join(lines)
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000


def test_a_log_of_one_file_begins_anew(tmp_path: Path) -> None:
    write(tmp_path / "log", [b"%05d\n" % number for number in range(100)], max_bytes=1000, max_files=1)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert read(tmp_path / "log").endswith(b"00099\n")


def test_a_record_larger_than_a_file_is_still_logged(tmp_path: Path) -> None:
    write(tmp_path / "log", [b"x" * 5000 + b"\n", b"y\n"], max_bytes=1000, max_files=3)
    assert read(tmp_path / "log") == b"x" * 5000 + b"\n" + b"y\n"


# ---- bad luck


def test_a_log_goes_on_where_an_earlier_run_stopped(tmp_path: Path) -> None:
    write(tmp_path / "log", [b"first\n"])
    write(tmp_path / "log", [b"second\n"])
    assert read(tmp_path / "log") == b"first\nsecond\n"


def test_a_torn_record_is_cut_off(tmp_path: Path) -> None:
    write(tmp_path / "log", [b"first\n"])
    with (tmp_path / "log").open("ab") as file:
        file.write(b'{"log":"tor')
    write(tmp_path / "log", [b"second\n"])
    assert [record["log"] for record in records(tmp_path / "log")] == ["first\n", "second\n"]


def test_a_log_is_never_followed_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), journal(tmp_path / "log"):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_what_could_not_be_written_is_counted(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands for a full disk: writes fail in the middle of a record, and work again later."""
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with journal(tmp_path / "log") as log:
            log.append(b"before\n")
            resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "log").stat().st_size + 100, before[1]))
            log.append(b"fits\n" + b"lost\n" * 5)
            log.append(b"lost too\n")
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            log.append(b"after\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    texts = [record["log"] for record in records(tmp_path / "log")]
    assert texts[:2] == ["before\n", "fits\n"]
    assert texts[2] == "minirun: 6 records are missing here, the log could not be written: File too large\n"
    assert texts[3:] == ["after\n"]


# ---- attributes


def test_every_record_says_what_it_was_told_to(tmp_path: Path) -> None:
    attributes = {"label": 'a "b"', "tag": "x" * 5000}
    text = b'"attrs":%s,' % json.dumps(attributes).encode()
    with journal(tmp_path / "log", max_bytes=40_000, max_files=99, attributes=text) as log:
        for number in range(10):
            log.append(b"line %d\n" % number + b"y" * LINE * 2)
            log.append(b"\n", STDERR)
    entries = list(logs.read(str(tmp_path / "log")))
    assert {tuple(entry.attributes.items()) for entry in entries} == {tuple(attributes.items())}
    lines = b"".join(entry.data for entry in entries if entry.stream == "stdout").splitlines()
    assert [line[:6] for line in lines][:2] == [b"line 0", b"y" * 6]


def test_what_a_record_says_is_not_longer_than_it_can_be(tmp_path: Path) -> None:
    with journal(tmp_path / "log", attributes=b"x" * 131072):
        pass
    with pytest.raises(OSError, match="too long"), journal(tmp_path / "log", attributes=b"x" * 131073):
        pass
