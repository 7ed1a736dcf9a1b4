"""Asking before something is removed, as docker asks.

Owns: the question, what counts as yes, and what commands that prune have in common. Leaves to others: what is about to be removed.
"""

from __future__ import annotations

import sys

from ..output import say, write
from ..units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..command_line import Parsed
    from .invocation import Invocation

QUESTION = "Are you sure you want to continue? [y/N] "


def agreed(invocation: Invocation, warning: str) -> bool:
    """Say what will be removed and wait for a line that begins with y; --force is the answer already. The end of input is no."""
    if invocation.parsed.flag("force"):
        return True
    write(f"WARNING! {warning}\n{QUESTION}")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def conditions(parsed: Parsed) -> dict[str, list[str]]:
    """Give the values of --filter by name, an instant as nanoseconds since the epoch: its grammar is the command line's."""
    from .values.times import instant

    found: dict[str, list[str]] = {}
    for name, value in parsed.many("filter"):
        found.setdefault(name, []).append(str(instant(value)) if name == "until" else value)
    return found


def keep_seconds(parsed: Parsed) -> float:
    """Give how long images stay that `image rollback` can lead back to: --keep-history."""
    return float(parsed.values.get("keep-history", 0.0))


def tell_removed(what: str, lines: Iterable[str]) -> None:
    """Say what is gone, when something is: a heading, a line each, an empty one."""
    shown = list(lines)
    if shown:
        write(f"Deleted {what}:\n" + "".join(f"{line}\n" for line in shown) + "\n")


def tell_reclaimed(size_bytes: int) -> None:
    """Say how much of the disk came back."""
    say(f"Total reclaimed space: {human_size(size_bytes, 4)}")


def image_lines(lines: Iterable[str]) -> list[str]:
    """Give docker's lines of a prune: those of `rmi` begin with a capital."""
    return [line[:1].lower() + line[1:] for line in lines]
