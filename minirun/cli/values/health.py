"""Values of the `--health-*` options: a command, lengths of time, a count.

Owns: this grammar. Leaves to others: what image and defaults say where nothing is given (engine/health).
"""

from __future__ import annotations

from ...errors import InvalidInput
from ...units import parse_span
from .scalars import integer


def command(text: str) -> tuple[str, ...]:
    """Read a line for the shell; an empty one leaves the image's check."""
    return ("CMD-SHELL", text) if text else ()


def time(text: str) -> int:
    """Read a length of time (`30s`, `1m30s`, `500ms`, `0`) in nanoseconds."""
    length = 0 if text == "0" else parse_span(text.removeprefix("-"))
    if length is None or length >= 2**63:
        raise InvalidInput(f'time: invalid duration "{text}"')
    if text.startswith("-") and length:
        raise InvalidInput("it cannot be negative")
    return length


def count(text: str) -> int:
    """Read how many failures in a row it takes; 0 leaves the image's number."""
    number = integer(text)
    if number < 0:
        raise InvalidInput("it cannot be negative")
    return number
