"""`python -m reference` writes docs/commands.md; with `--record` it first asks the docker client on this machine what it has."""

from __future__ import annotations

import sys
from pathlib import Path

from reference import docker
from reference.table import Comparison

PAGE = Path(__file__).parent.parent / "docs/commands.md"


def main(words: list[str]) -> int:
    """Write the page; 1 when a difference has no reason or a reason no difference."""
    if words == ["--record"]:
        docker.RECORD.write_text(docker.as_text(docker.read_client()))
    elif words:
        print("usage: python -m reference [--record]", file=sys.stderr)
        return 2
    comparison = Comparison(docker.recorded())
    PAGE.write_text(comparison.page())
    for key in comparison.unexplained:
        print(f"reference/reasons.py lacks a reason for: {key}", file=sys.stderr)
    for key in comparison.stale:
        print(f"reference/reasons.py has a reason that nothing needs: {key}", file=sys.stderr)
    return 1 if comparison.unexplained or comparison.stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
