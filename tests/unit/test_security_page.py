"""docs/security.md keeps its word: every row is answered by tests that exist, or says which later part it waits for."""

from __future__ import annotations

import re

import pytest

from tests.conftest import CHECKOUT

PAGE = (CHECKOUT / "docs/security.md").read_text()
THREATS = PAGE[PAGE.index("## What this field has been broken by") :]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in THREATS.splitlines()
    if line.startswith("| ") and not line.startswith("| id ")
]
NAMED = re.findall(r"`(tests/[^`]+?)::([^`]+)`", PAGE)


def test_the_table_is_read() -> None:
    assert len(ROWS) > 60
    assert len(NAMED) > 100


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:40] for row in ROWS])
def test_a_row_is_answered_or_open(row: list[str]) -> None:
    assert len(row) == 3
    assert re.search(r"`tests/[^`]+\.py::test_\w+`|^open: \S", row[2])


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_the_named_tests_exist(file: str) -> None:
    defined = set(re.findall(r"^def (test_\w+)\(", (CHECKOUT / file).read_text(), re.MULTILINE))
    assert {name for named, name in NAMED if named == file} <= defined


def test_every_test_named_after_a_vulnerability_has_its_row() -> None:
    """A regression test that the page doesn't know is one that nobody finds."""
    for path in sorted((CHECKOUT / "tests").rglob("test_*.py")):
        for name in re.findall(r"^def (test_(?:\w+_)?(?:cve|ghsa)_\w+)\(", path.read_text(), re.MULTILINE):
            assert name in PAGE, f"{path.name}::{name}"
