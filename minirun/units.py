"""Sizes, durations and instants as text, in Docker's spelling.

Owns: parsing of memory sizes and spans, and how sizes, spans and instants are shown to people and in JSON. Numbers in and text
out (or the reverse); knows no option and no column.
Leaves to others: which option takes a size (cli/options), `--since` and its many spellings (cli/values/times).
Rules follow github.com/docker/go-units and Go's time package as Docker's documentation shows them.
"""

from __future__ import annotations

import time

from .errors import InvalidInput

_PREFIXES = "kmgtp"
_LARGEST = (1 << 63) - 1
ID_MAX = (1 << 32) - 2  # of users and groups: -1 means "no change" to the kernel. credentials(7)
_DIGITS_MAX = 64  # of what may have a fraction
_SHOWN = 200
SECOND_NS = 1_000_000_000
# poll(2) has an int: whoever waits longer than 24 days looks at the clock and waits again.
LONGEST_POLL_MS = (1 << 31) - 1
_SPANS_NS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000,
    "s": SECOND_NS, "m": 60 * SECOND_NS, "h": 3600 * SECOND_NS,
}  # fmt: skip


def whole_number(text: str, largest: int) -> int | None:
    """Read plain digits as a number from 0 to `largest`; None for anything else.

    Text of any length may come: int() itself takes signs, blanks, underscores and other scripts' digits, and raises an error
    of its own beyond 4300 digits. docs.python.org, "Integer string conversion length limitation".
    """
    if not (text.isascii() and text.isdecimal()):
        return None
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(largest)) or (number := int(digits)) > largest:
        return None
    return number


def parse_size(text: str, base: int = 1024) -> int:
    """Read `64m`, `1.5g`, `512 KiB`, `1024`: a count of bytes; `base` is what a k stands for. Raises InvalidInput."""
    digits = max((place for place, letter in enumerate(text) if letter in "0123456789. "), default=-1)
    if digits < 0:
        raise InvalidInput(f"invalid size: '{text}'")
    number, suffix = text[: digits + 1].strip(" "), text[digits + 1 :].lower()
    plain = number.replace(".", "", 1)
    if not (plain.isascii() and plain.isdecimal()) or len(plain) > _DIGITS_MAX:
        raise InvalidInput(f"invalid size: '{text[:_SHOWN]}'")
    factor = 1
    if suffix and suffix != "b":
        if suffix[0] not in _PREFIXES or suffix[1:] not in ("", "b", "ib"):
            raise InvalidInput(f"invalid suffix: '{suffix}'")
        factor = base ** (_PREFIXES.index(suffix[0]) + 1)
    whole, _, fraction = number.partition(".")
    size = int(whole or "0") * factor
    if fraction:
        size += int(fraction) * factor // 10 ** len(fraction)
    if size > _LARGEST:
        raise InvalidInput(f"invalid size: '{text}' is larger than any machine")
    return size


def human_size(size_bytes: float, digits: int = 3) -> str:
    """Show bytes in units of 1000 with so many significant digits: `4.27MB`."""
    return _scaled(size_bytes, 1000, ("B", "kB", "MB", "GB", "TB", "PB", "EB"), digits)


def binary_size(size_bytes: float, digits: int = 4) -> str:
    """Show bytes in units of 1024: `64MiB`."""
    return _scaled(size_bytes, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"), digits)


def _scaled(size: float, base: int, names: tuple[str, ...], digits: int) -> str:
    step = 0
    while size >= base and step < len(names) - 1:
        size /= base
        step += 1
    text = f"{size:.{digits}g}"
    if "e" in text:  # 999.7 rounds to 1e+03
        text = f"{size:.0f}"
    return text + names[step]


def human_span(seconds: float) -> str:
    """Show a span roughly: `3 minutes`, `About an hour`, `2 weeks`."""
    whole = int(seconds)
    minutes, hours = whole // 60, int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    for limit, divisor, name in ((48, 1, "hours"), (336, 24, "days"), (1440, 168, "weeks"), (17520, 720, "months")):
        if hours < limit:
            return f"{hours // divisor} {name}"
    return f"{int(seconds // 3600) // 24 // 365} years"


def parse_span(text: str) -> int | None:
    """Read a span such as `1h30m` or `1.5s` in nanoseconds; None when it isn't one."""
    rest, total = text, 0
    while rest:
        end = next((place for place, letter in enumerate(rest) if letter not in "0123456789."), len(rest))
        number, rest = rest[:end], rest[end:]
        end = next((place for place, letter in enumerate(rest) if letter in "0123456789."), len(rest))
        unit, rest = rest[:end], rest[end:]
        plain = number.replace(".", "", 1)
        if unit not in _SPANS_NS or not (plain.isascii() and plain.isdecimal()) or len(plain) > _DIGITS_MAX:
            return None
        whole, _, fraction = number.partition(".")
        total += int(whole or "0") * _SPANS_NS[unit]
        total += int(fraction) * _SPANS_NS[unit] // 10 ** len(fraction) if fraction else 0
    return total if text else None


def go_duration(length_ns: int) -> str:
    """Show a length of time as Go does: `500ms`, `1.5s`, `1m30s`, `2h0m0s`."""
    if length_ns < SECOND_NS:
        for unit, size in (("ms", 10**6), ("\u00b5s", 10**3), ("ns", 1)):
            if length_ns >= size:
                return f"{length_ns / size:.9f}".rstrip("0").rstrip(".") + unit
        return "0s"
    minutes, rest = divmod(length_ns, 60 * SECOND_NS)
    seconds = f"{rest // SECOND_NS}.{rest % SECOND_NS:09d}".rstrip("0").rstrip(".")
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else "") + f"{seconds}s"


def rfc3339(time_ns: int) -> str:
    """Show an instant in UTC as JSON has it: `2026-01-02T03:04:05.12Z`; 0 is Go's zero time, which Docker shows for
    never."""
    if time_ns == 0:
        return "0001-01-01T00:00:00Z"
    seconds, rest = divmod(time_ns, SECOND_NS)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + fraction + "Z"


def rfc3339_padded(time_ns: int) -> str:
    """Show an instant in UTC with all nine digits, as `logs --timestamps` does, so that columns line up."""
    seconds, rest = divmod(time_ns, SECOND_NS)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


def local_time(time_ns: int) -> str:
    """Show an instant in the local zone as Docker's CreatedAt column has it: `2026-01-02 03:04:05 +0000 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(time_ns // SECOND_NS))
