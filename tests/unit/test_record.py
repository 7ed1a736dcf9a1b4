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


def test_what_is_given_leaves_out_what_is_as_by_default() -> None:
    assert Point(x=0).given() == {"x": 0}
    assert Point(x=1, y=3).given() == Point(x=1, y=3).as_json()


def test_a_copy_differs_in_what_was_said() -> None:
    point = Point(x=1)
    assert point.replace(y=5) == Point(x=1, y=5)
    assert point.replace() == point == Point(x=1)
    with pytest.raises(TypeError, match="Point has no field 'z'"):
        point.replace(z=1)
