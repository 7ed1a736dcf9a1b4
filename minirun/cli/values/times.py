"""Instants for `--since` and `--until`: RFC 3339, a day, seconds since the epoch, or a span before now (`10m`,
`1h30m`).

Owns: this grammar. A date without a zone is in the caller's. Loads datetime, so only the commands with these options
load it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from ...errors import InvalidInput
from ...units import SECOND_NS, parse_span, whole_number

_SECONDS_MAX = (1 << 63) // SECOND_NS - 1  # nanoseconds since the epoch have 63 bits
_DAYS_MAX = _SECONDS_MAX // 86400
_FORMS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d")


def bound(text: str) -> int | None:
    """Give an instant, or None for an empty text, as a script's empty variable makes it: there is no bound. Raises InvalidInput."""
    return instant(text) if text else None


def instant(text: str) -> int:
    """Give nanoseconds since the epoch. Raises InvalidInput."""
    for read in (_span, _seconds, _date):
        found = read(text)
        if found is not None:
            return found
    raise InvalidInput(f"'{text}' is neither a time (2026-01-02T03:04:05Z, 1767322800) nor a span before now (42m)")


def duration(text: str) -> float:
    """Give a length of time in seconds: `90m`, `168h`, `7d`, `0`. Raises InvalidInput."""
    if text == "0":
        return 0.0
    days = text.removesuffix("d")
    if days != text and (number := whole_number(days, _DAYS_MAX)) is not None:
        return float(number * 24 * 3600)
    length = parse_span(text)
    if length is None or length < 0:
        raise InvalidInput(f"'{text}' is no length of time (90m, 168h, 7d, 0)")
    return length / SECOND_NS


def _span(text: str) -> int | None:
    length = parse_span(text.removeprefix("-"))
    if length is None:
        return None
    return time.time_ns() + (length if text.startswith("-") else -length)


def _seconds(text: str) -> int | None:
    """Seconds since the epoch, with as many decimals as one likes."""
    whole, _, fraction = text.partition(".")
    seconds = whole_number(whole, _SECONDS_MAX)
    if seconds is None or not (fraction or "0").isdecimal() or not text.isascii():
        return None
    return seconds * SECOND_NS + int(fraction[:9].ljust(9, "0"))


def _date(text: str) -> int | None:
    body, zone = _cut_zone(text)
    body, point, fraction = body.partition(".")
    if point and not (fraction.isdecimal() and fraction.isascii()):
        return None
    for form in _FORMS:
        try:
            moment = datetime.strptime(body, form)
            if zone == "":
                moment = moment.astimezone()
            else:
                moment = moment.replace(tzinfo=UTC if zone == "Z" else datetime.strptime(zone, "%z").tzinfo)
            return int(moment.timestamp()) * SECOND_NS + int(fraction[:9].ljust(9, "0") or "0")
        except (ValueError, OverflowError):
            continue
    return None


def _cut_zone(text: str) -> tuple[str, str]:
    if text.endswith(("Z", "z")):
        return text[:-1], "Z"
    if "T" in text and len(text) > 6 and text[-6] in "+-" and text[-3] == ":":
        return text[:-6], text[-6:]
    return text, ""
