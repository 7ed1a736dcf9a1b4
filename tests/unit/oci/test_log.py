"""The log's two forms, and that it never stands in a command's way."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from minirun.errors import InvalidInput
from minirun.oci import log_services
from minirun.oci.log import Log


@pytest.mark.parametrize(
    ("message", "written"),
    [
        ("plain-word_1.2/@^+", "plain-word_1.2/@^+"),
        ("", '""'),
        ("two words", '"two words"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("a\nb\tc\r", '"a\\nb\\tc\\r"'),
        ("\x1b[31m é \udcff", '"\\x1b[31m é \\xff"'),
    ],
)
def test_a_message_is_quoted_as_logrus_does(message: str, written: str, tmp_path: Path) -> None:
    Log(str(tmp_path / "log")).warning(message)
    assert (tmp_path / "log").read_text().partition(" msg=")[2] == written + "\n"


def test_any_message_is_one_line_of_json(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log"), "json")
    log.warning('a"b\n\x1b é')
    log.error("\udcff")
    first, second = (json.loads(line) for line in (tmp_path / "log").read_text().splitlines())
    assert (first["level"], first["msg"]) == ("warning", 'a"b\n\x1b é')
    assert second["level"] == "error"


def test_a_log_is_appended_to_and_readable_by_all(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    Log(str(path)).warning("after")
    assert path.read_text().startswith("before\n")
    Log(str(tmp_path / "new"))
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0o044


def test_debug_is_silent_unless_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    Log().debug("x")
    assert capfd.readouterr().err == ""
    Log(level="debug").debug("x")
    assert "level=debug msg=x" in capfd.readouterr().err


def test_less_than_the_least_level_is_not_written(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log(level="error")
    log.warning("why")
    log.error("x")
    assert "level=error msg=x" in (said := capfd.readouterr().err)
    assert "warning" not in said


def test_a_file_may_be_called_one(tmp_path: Path) -> None:
    Log(f"file:{tmp_path}/log").warning("x")
    assert (tmp_path / "log").read_text().endswith("msg=x\n")


def test_the_journal_gets_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "socket"))
        monkeypatch.setattr(log_services, "JOURNAL", str(tmp_path / "socket"))
        Log("journald:me").error("one\ntwo")
        assert journal.recv(4096) == b"MESSAGE=one two\nPRIORITY=3\nSYSLOG_IDENTIFIER=me\n"


def test_the_system_log_gets_level_and_message(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, str]] = []
    monkeypatch.setattr("syslog.syslog", lambda level, message: said.append((level, message)))
    Log("syslog:me").warning("why")
    assert said == [(4, "why")]


def test_a_service_that_is_not_there_hides_nothing(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_services, "JOURNAL", "/nowhere")
    Log("journald:me").error("why")
    assert capfd.readouterr().err == "why\n"
    with pytest.raises(InvalidInput, match="needs the name"):
        Log("syslog:")


def test_a_full_disk_hides_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    Log("/dev/full").error("why")
    assert capfd.readouterr().err == "why\n"
