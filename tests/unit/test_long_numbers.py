"""Numbers that are longer than int() takes (4300 digits), wherever text comes from outside: refused like any other wrong one.

Python raises ValueError for them, which nobody expects after `isdecimal()`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from minirun import signals, units
from minirun.cli.values import limits, scalars, times
from minirun.engine import prune, query, spec_mounts, userns
from minirun.engine.config import BindMount, ContainerConfig
from minirun.errors import InvalidInput
from minirun.images import changes
from minirun.oci import values

LONG = "9" * 5000


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("7", 7), ("007", 7), ("0" * 5000 + "9", 9), ("255", 255), ("256", None), (LONG, None)]
    + [(text, None) for text in ("", "-1", "+1", " 1", "1_0", "٣", "²", "1.0", "0x1", "1\n")],
)
def test_plain_digits_up_to_a_limit_are_a_number(text: str, number: int | None) -> None:
    assert units.whole_number(text, 255) == number


@pytest.mark.parametrize(
    "read",
    [
        *(units.parse_size, lambda text: units.parse_size(f"1.{text}"), values.integer, values.count),
        *(values.size_or_unlimited, values.user, values.group, scalars.integer, scalars.cpus, times.instant),
        *(times.duration, lambda text: times.duration(f"{text}d"), lambda text: times.duration(f"{text}s")),
        *(
            limits.cpu_set,
            lambda text: limits.log_option(f"max-file={text}"),
            lambda text: limits.ulimit(f"core={text}"),
        ),
        *(
            prune._instant,
            lambda text: query._ports("expose", [text]),
            lambda text: userns.size_of(f"auto:size={text}"),
        ),
        *(lambda text: userns.check(ContainerConfig(image="x", userns="auto", user=text)),),
        *(lambda text: userns.check(ContainerConfig(image="x", userns="auto", groups_add=(text,))),),
    ],
)
def test_a_number_that_is_too_long_is_refused(read: Callable[[str], object]) -> None:
    with pytest.raises(InvalidInput):
        read(LONG)


def test_a_signal_of_5000_digits_is_none() -> None:
    assert signals.number_of(LONG) is None
    assert signals.number_of(f"RTMIN+{LONG}") is None


def test_a_port_of_5000_digits_is_none() -> None:
    with pytest.raises(ValueError, match="is no port"):
        changes._expose({}, LONG)


def test_a_user_of_5000_digits_owns_no_bind(tmp_path: Path) -> None:
    bind = BindMount(source=str(tmp_path), target="/data", as_owner=True)
    for user in (LONG, "4294967295", f"0:{LONG}", "٣"):
        with pytest.raises(InvalidInput, match="give --user as a number"):
            spec_mounts._as_owner(ContainerConfig(image="x", user=user), bind, spec_mounts._bind(bind))


@pytest.mark.parametrize("line", [f"containers:{LONG}:65536", f"containers:1:{LONG}", "containers:5000000000:65536"])
def test_ranges_that_no_kernel_has_are_no_reserve(tmp_path: Path, line: str) -> None:
    (tmp_path / "subuid").write_text(f"{line}\n")
    assert userns._reserve(str(tmp_path / "subuid")) == ([userns.RESERVE], [])


def test_a_range_ends_with_the_last_id(tmp_path: Path) -> None:
    (tmp_path / "subuid").write_text("containers:4294967000:65536\n")
    assert userns._reserve(str(tmp_path / "subuid")) == ([(4294967000, 295)], [])
