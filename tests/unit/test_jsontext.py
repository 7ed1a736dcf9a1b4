"""JSON of our own rows: what is written can be read, by us and by everybody else, and nothing else is taken."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from minirun import jsontext

VALUES = [
    {}, [], "", 0, None, True, -1, 2**70, 1.5, "\0\n\"\\/\u2028é\U0001f600", "\udcff",
    {"a": [1, {"b": [None, False, "c"]}], "ä": {}},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_text_is_that_of_the_standard_library(value: object) -> None:
    text = jsontext.dumps(value)
    assert text == json.dumps(value, separators=(",", ":"))
    assert jsontext.loads(text) == value


@pytest.mark.parametrize("text", ["", "{", "[1,]", "nul", "1 2", "{}x", '{"a" 1}', '"\n"'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no JSON"):
        jsontext.loads(text)


@pytest.mark.parametrize("value", [b"", {1, 2}, object()], ids=["bytes", "set", "object"])
def test_what_json_has_no_word_for_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        jsontext.dumps({"key": value})


def test_an_interpreter_without_the_c_parts_gets_the_package() -> None:
    script = """
import sys
sys.modules["_json"] = None
from minirun import jsontext
assert "json" in sys.modules
assert jsontext.loads(jsontext.dumps({"a": [1, None]})) == {"a": [1, None]}
"""
    subprocess.run([sys.executable, "-c", script], check=True)
