"""Records: built by name or, where there are hundreds of rows, in the order of their fields."""

from __future__ import annotations

import pytest

from minirun.record import Record


class Point(Record):
    x: int
    y: int = 2


def test_both_ways_make_the_same() -> None:
    assert Point.of_fields([1, 2]) == Point(x=1)


@pytest.mark.parametrize("values", [[1], [1, 2, 3]])
def test_a_value_too_few_or_too_many_is_refused(values: list[int]) -> None:
    with pytest.raises(ValueError, match="zip"):
        Point.of_fields(values)
