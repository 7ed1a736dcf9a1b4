"""What command lines write: nothing that commands a terminal, columns that line up."""

from __future__ import annotations

import os

import pytest

from minirun import output


def test_columns_have_a_least_width_and_a_gap() -> None:
    assert output.align([["A", "B", "C"], ["a", "", "c"]], 10) == "A         B         C\na                   c\n"
    assert output.align([["ID", "PID"], ["0123456789", "1"]], 12) == "ID           PID\n0123456789   1\n"


def test_what_an_image_says_cannot_command_a_terminal() -> None:
    assert output.printable("plain text é") == "plain text é"
    assert output.printable("\x1b]0;x\x07\r\n\x9b\u202e\udcff\x7f") == "\\x1b]0;x\\x07\\x0d\\x0a\\x9b\\u202e\\xff\\x7f"
    assert output.printable("a\tb\n\x1b", keep="\n\t") == "a\tb\n\\x1b"


def test_an_output_that_is_full_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(output, "write_all", lambda _, data: os.write(full, data))
    with pytest.raises(OSError, match="'write standard output'"):
        output.say("lost")
    os.close(full)
