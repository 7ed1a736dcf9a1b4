"""Asking before something is removed, as docker asks.

Owns: the question, what counts as yes, and what commands that prune have in common. Leaves to others: what is about to be removed.
"""

from __future__ import annotations

import sys

from ..errors import InvalidInput
from ..output import say, warn, write
from ..units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..command_line import Parsed
    from ..errors import MinirunError
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
    found: dict[str, list[str]] = {}
    for name, value in parsed.many("filter"):
        found.setdefault(name, []).append(_instant(value) if name == "until" else value)
    return found


def _instant(text: str) -> str:
    from .values.times import instant

    try:
        return str(max(0, instant(text)))  # nothing is older than the epoch
    except InvalidInput as error:
        raise InvalidInput(f'failed to parse value as time or duration: "{text}"') from error


def keep_seconds(parsed: Parsed) -> float:
    """Give what --keep-history says, 0 when it wasn't given."""
    return float(parsed.values.get("keep-history") or 0)


def tell_kept(count: int) -> None:
    """Say on standard error how many images --keep-history has spared."""
    if count:
        images = "1 image" if count == 1 else f"{count} images"
        warn(f"{images} kept for 'minirun image rollback', as --keep-history says")


def tell_removed(what: str, lines: Iterable[str]) -> None:
    """Say what is gone, when something is: a heading, a line each, an empty one."""
    shown = list(lines)
    if shown:
        write(f"Deleted {what}:\n" + "".join(f"{line}\n" for line in shown) + "\n")


def tell_failures(failures: Iterable[MinirunError]) -> int:
    """Say on standard error what couldn't be removed. Gives 1 when there was something, else 0."""
    code = 0
    for error in failures:
        warn(f"Error: {error}")
        code = 1
    return code


def tell_reclaimed(size_bytes: int) -> None:
    """Say how much of the disk came back."""
    say(f"Total reclaimed space: {human_size(size_bytes, 4)}")


def image_lines(lines: Iterable[str]) -> list[str]:
    """Give docker's lines of a prune: those of `rmi` begin with a capital."""
    return [line[:1].lower() + line[1:] for line in lines]
