"""Which containers a list shows, over rows that are no database's."""

from __future__ import annotations

from typing import Any

import pytest

from minirun.engine.query import select
from tests.unit.cli.fakes import container

ROWS = [
    container(id=digits + "0" * 60, name=name) for digits, name in (("abc1", "one"), ("abc2", "two"), ("d000", "abc1"))
]


class Rows:
    def all(self) -> list[Any]:
        return ROWS

    def beginning(self, digits: str) -> list[Any]:
        return [row for row in ROWS if digits and row.id.startswith(digits)][:2]


class Engine:
    rows = Rows()


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (["abc1"], ["one"]),
        (["abc1", "d"], ["one", "abc1"]),
        (["abc"], []),  # two have it: none is meant
        (["abc", "abc2"], ["two"]),
        ([""], []),
        (["d" + "0" * 63], ["abc1"]),
        (["d" + "0" * 64], []),
        (["one"], []),
    ],
)
def test_an_id_is_found_by_a_beginning_that_nobody_else_has(wanted: list[str], names: list[str]) -> None:
    engine: Any = Engine()
    assert [row.name for row in select(engine, everything=True, limit=0, filters={"id": wanted})] == names
