"""Style and types are tests too: `make lint` runs the same two tools alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import CHECKOUT


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / name
    assert program.exists(), f"{program} is missing: make test installs it"
    return subprocess.run([program, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_the_linter_is_content() -> None:
    done = tool("ruff", "check", ".")
    assert done.returncode == 0, done.stdout


def test_the_formatter_changes_nothing() -> None:
    done = tool("ruff", "format", "--check", ".")
    assert done.returncode == 0, done.stdout


def test_types_are_right() -> None:
    done = tool("mypy")
    assert done.returncode == 0, done.stdout
