"""Sizes, spans and instants in docker's spelling."""

from __future__ import annotations

import pytest

from minirun import units
from minirun.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1024", 1024),
        ("64m", 64 << 20),
        ("64M", 64 << 20),
        ("64mb", 64 << 20),
        ("64MiB", 64 << 20),
        ("64 m", 64 << 20),
        ("1.5g", 3 << 29),
        (".5k", 512),
        ("1.", 1),
        ("7b", 7),
        ("2t", 2 << 40),
        ("1p", 1 << 50),
    ],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "invalid size: ''"),
        ("g", "invalid size: 'g'"),
        ("-5", "invalid size: '-5'"),
        ("1.2.3", "invalid size: '1.2.3'"),
        (".", "invalid size: '.'"),
        ("1e3x5", "invalid size: '1e3x5'"),
        ("5x", "invalid suffix: 'x'"),
        ("5bb", "invalid suffix: 'bb'"),
        ("5mi", "invalid suffix: 'mi'"),
        ("5kibi", "invalid suffix: 'kibi'"),
        ("9999999999p", "is larger than any machine"),
    ],
)
def test_malformed_sizes(text: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        units.parse_size(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (4_270_000, "4.27MB"), (187_000_000, "187MB"), (999_700, "1000kB")],
)
def test_sizes_are_shown(size: int, text: str) -> None:
    assert units.human_size(size) == text


def test_binary_sizes_are_shown() -> None:
    assert units.binary_size(64 << 20) == "64MiB"
    assert units.binary_size(1536) == "1.5KiB"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (2 * 3600, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86400, "13 days"),
        (14 * 86400, "2 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_spans_are_shown(seconds: float, text: str) -> None:
    assert units.human_span(seconds) == text


def test_instants_are_shown() -> None:
    assert units.rfc3339(1767323045_120000000) == "2026-01-02T03:04:05.12Z"
    assert units.rfc3339(1767323045_000000000) == "2026-01-02T03:04:05Z"
    assert units.rfc3339(0) == "0001-01-01T00:00:00Z"
    assert units.rfc3339_padded(1767323045_120000000) == "2026-01-02T03:04:05.120000000Z"


@pytest.mark.parametrize(
    ("text", "span_ns"),
    [("5s", 5 * 10**9), ("100ms", 10**8), ("1h30m", 5400 * 10**9), ("1.5s", 15 * 10**8), ("", None), ("5", None)],
)
def test_spans_are_read(text: str, span_ns: int | None) -> None:
    assert units.parse_span(text) == span_ns
