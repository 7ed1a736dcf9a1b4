"""The log's two forms, and that it never stands in a command's way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
    Log(debug=True).debug("x")
    assert "level=debug msg=x" in capfd.readouterr().err


def test_a_full_disk_hides_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    Log("/dev/full").error("why")
    assert capfd.readouterr().err == "why\n"
