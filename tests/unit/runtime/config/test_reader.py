"""Typed access: what an error shows of a document."""

from __future__ import annotations

import pytest

from minirun.errors import InvalidInput
from minirun.runtime.config.reader import Section, quoted, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CAP_FOO", "CAP_FOO"),
        ("über", "über"),
        ("", '""'),
        ("a\nb", r'"a\nb"'),
        ("\x1b[2J", r'"\x1b[2J"'),
        ("\u202etxt", r'"\u202etxt"'),
        ("\ud800", r'"\ud800"'),
        ('say "\n"', r'"say \"\n\""'),
        ("x" * 81, '"' + "x" * 80 + '..."'),
    ],
)
def test_a_text_is_shown_on_one_line_and_not_all_of_a_long_one(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_a_quoted_text_stays_short_whatever_is_in_it() -> None:
    assert len(quoted("\U0010ffff" * 5000)) < 1000


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("name", "a.name"),
        ("net.ipv4", 'a["net.ipv4"]'),
        ("a\nb", r'a["a\nb"]'),
        ("é", r'a["\xe9"]'),
        ("x" * 5000, 'a["' + "x" * 80 + '..."]'),
    ],
)
def test_a_key_is_named_in_the_path(key: str, path: str) -> None:
    assert Section({}, "a").at(key) == path
    assert Section({}, "a").at(key, 3) == f"{path}[3]"


def test_at_the_top_a_path_begins_with_the_key() -> None:
    assert str(Section({"root": 1}).wrong("root", "is wrong")) == "root: is wrong"


def test_texts_in_arrays_are_named_by_their_index() -> None:
    with pytest.raises(InvalidInput, match=r"^a\.b\[1\]: must be a string, not an object$"):
        Section({"b": ["x", {}]}, "a").texts("b")
