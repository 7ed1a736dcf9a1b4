"""From bytes to JSON."""

from __future__ import annotations

import json

import pytest

from minirun.errors import InvalidInput
from minirun.runtime.config import document


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '  {"a": [1, -2, 3.5e2, true, null, "\\u00e9\\ud83d\\ude00"]}\r\n\t ',
        '{"a": {"b": {}}, "a": 2}',
        '{"é": "\x7f"}',
    ],
)
def test_json_is_what_the_json_package_makes_of_it(text: str) -> None:
    assert document.decode(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "{", '{"a"', '{"a":', '{"a" 1}', "{'a': 1}", '{"a": 1,}', '{"a": nul}', "{} x", "{}{}", '{"a": "\n"}', '{"a": 01}',
        '{"a": "\\x"}', '{"a": -}', '{"a": "unended', '\ufeff{}',
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^the file isn't JSON: .*(char \d+|BOM)"):
        document.decode(text.encode())


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "null", "true"])
def test_a_file_holds_an_object(text: str) -> None:
    with pytest.raises(InvalidInput, match="has to hold a JSON object"):
        document.decode(text.encode())


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_refused(number: str) -> None:
    with pytest.raises(InvalidInput, match="no number of JSON"):
        document.decode(f'{{"a": {number}}}'.encode())


def test_depth_size_and_encoding_are_bounded() -> None:
    for opened in ("[", '{"a":'):
        with pytest.raises(InvalidInput, match="nested too deeply"):
            document.decode(('{"a":' + opened * 200_000).encode())
    with pytest.raises(InvalidInput, match="is the most that is read"):
        document.decode(b" " * (document.MAX_BYTES + 1))
    for content in (b'{"a": "\xff"}', '{"a": 1}'.encode("utf-16")):
        with pytest.raises(InvalidInput, match="isn't UTF-8"):
            document.decode(content)
    with pytest.raises(InvalidInput, match="isn't JSON"):
        document.decode(b'{"a": ' + b"9" * 5000 + b"}")
