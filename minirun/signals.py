"""Signals by name, as people write them.

Owns: reading them. Leaves to others: what is said about an unknown one, sending. `_signal` is the part of the standard
library's `signal` that has the numbers; the rest builds enumerations, which costs every start 2 ms.
"""

from __future__ import annotations

import _signal

_HIGHEST = 64
_DIGITS = 3  # int() raises an error of its own beyond 4300


def number_of(text: str) -> int | None:
    """Give the number of 9, KILL, SIGKILL, kill, rtmin+3; None when there is no such signal. signal(7)."""
    word = text.strip().upper()
    if word.isascii() and word.isdecimal():
        return int(word) if len(word) <= _DIGITS and 0 < int(word) <= _HIGHEST else None
    name = word.removeprefix("SIG")
    base, sign, offset = name.partition("+") if "+" in name else name.partition("-")
    number = getattr(_signal, f"SIG{base}", None) if base.isalnum() else None
    if not isinstance(number, int) or number <= 0:
        return None
    if not sign:
        return int(number)
    if base in ("RTMIN", "RTMAX") and offset.isascii() and offset.isdecimal() and len(offset) <= _DIGITS:
        shifted = number + int(offset) if sign == "+" else number - int(offset)
        if _signal.SIGRTMIN <= shifted <= _signal.SIGRTMAX:
            return int(shifted)
    return None


def names() -> list[str]:
    """Give the names of all signals, without the real-time ones that have only a number."""
    found = (name for name in dir(_signal) if name.startswith("SIG") and name[3:4].isalpha() and name.isalnum())
    return sorted(name for name in found if isinstance(getattr(_signal, name), int) and getattr(_signal, name) > 0)
