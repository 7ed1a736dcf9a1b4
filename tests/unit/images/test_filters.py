"""The filters of `images`, over images that are only records."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from minirun.errors import InvalidInput, NotFound
from minirun.images.filters import select
from minirun.images.image import Image


def image(number: int, tags: str, digests: str = "", **config: Any) -> Image:
    return Image(
        id=f"sha256:{number:064x}",
        tags=tuple(tags.split()),
        digests=tuple(digests.split()),
        config=config,
        architecture="amd64",
        os="linux",
        created="",
        created_ns=number,
        size_bytes=0,
        layers=(),
        chain_id="",
    )


OLD = image(1, "busybox:1 busybox:latest", Labels={"a": "1", "b": ""})
NAMELESS = image(2, "", Labels=None)
TEAM = image(3, "reg.example:5000/team/app:2", "reg.example:5000/team/app@sha256:" + "0" * 64, Labels={"a": "2"})


def resolve(name: str) -> Image:
    if name == "missing":
        raise NotFound("No such image: missing")
    return {"old": OLD, "nameless": NAMELESS, "team": TEAM}[name]


STORE: Any = SimpleNamespace(list=lambda: [TEAM, NAMELESS, OLD], resolve=resolve)


def chosen(**filters: Any) -> list[Image]:
    return select(STORE, {name: [value] if isinstance(value, str) else value for name, value in filters.items()})


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({"dangling": "true"}, "2"),
        ({"dangling": "0"}, "31"),
        ({"dangling": ["true", "false"]}, "321"),
        ({"label": "a"}, "31"),
        ({"label": "a=1"}, "1"),
        ({"label": ["a", "b="]}, "1"),
        ({"label": "c"}, ""),
        ({"before": "team"}, "21"),
        ({"since": "old"}, "32"),
        ({"since": "old", "before": "team"}, "2"),
        ({"until": "2"}, "21"),
    ],
)
def test_a_filter_chooses(filters: dict[str, Any], numbers: str) -> None:
    assert "".join(str(image.created_ns) for image in chosen(**filters)) == numbers


@pytest.mark.parametrize(
    ("pattern", "tags"),
    [
        ("busybox", "busybox:1 busybox:latest"),
        ("docker.io/library/busybox", "busybox:1 busybox:latest"),
        ("busybox:1", "busybox:1"),
        ("busy", ""),
        ("busy*", "busybox:1 busybox:latest"),
        ("*", "busybox:1 busybox:latest"),  # no slash
        ("*:l*", "busybox:latest"),
        ("b?sy[a-c]ox:[^l]", "busybox:1"),
        ("busybox:\\1", "busybox:1"),
        ("*/*/app", "reg.example:5000/team/app:2"),
        ("app", ""),
    ],
)
def test_a_name_is_a_pattern_and_shows_what_fits(pattern: str, tags: str) -> None:
    assert [tag for image in chosen(reference=pattern) for tag in image.tags] == tags.split()


def test_a_name_with_a_digest() -> None:
    (found,) = chosen(reference=TEAM.digests[0])
    assert (found.id, found.tags, found.digests) == (TEAM.id, (), TEAM.digests)


@pytest.mark.parametrize(
    ("filters", "sentence"),
    [
        ({"frob": "1"}, "invalid filter 'frob'"),
        ({"dangling": "maybe"}, "invalid filter 'dangling=maybe'"),
        ({"reference": "[a"}, "syntax error in pattern"),
        ({"since": "missing"}, "No such image: missing"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(filters: dict[str, Any], sentence: str) -> None:
    with pytest.raises((InvalidInput, NotFound), match=sentence):
        chosen(**filters)
