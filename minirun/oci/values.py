"""Values of the options: numbers, sizes, ids, words from a closed set.

Owns: reading them. Leaves to others: which option takes what (oci/options), what comes of it. Each raises InvalidInput.
"""

from __future__ import annotations

import os

from ..errors import InvalidInput

_INT64 = 1 << 63


def directory(text: str) -> str:
    """Read a directory of the host; a relative one is taken from the caller's."""
    if not text:
        raise InvalidInput("a directory is needed")
    return os.path.abspath(text)


def log_format(text: str) -> str:
    """Read the form of log messages."""
    if text not in ("text", "json"):
        raise InvalidInput("it must be text or json")
    return text


def log_level(text: str) -> str:
    """Read the least level of log messages."""
    if text not in ("error", "warning", "debug"):
        raise InvalidInput("it must be error, warning or debug")
    return text


def cgroup_driver(text: str) -> str:
    """Read who makes cgroups."""
    if text not in ("cgroupfs", "systemd", "disabled"):
        raise InvalidInput("it must be cgroupfs, systemd or disabled")
    return text


def list_format(text: str) -> str:
    """Read the form of a list."""
    if text not in ("table", "json"):
        raise InvalidInput("invalid format option: it must be table or json")
    return text


def integer(text: str) -> int:
    """Read a whole number, a minus sign allowed."""
    digits = text[1:] if text[:1] == "-" else text
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 20 or not -_INT64 <= int(text) < 2 * _INT64:
        raise InvalidInput("it isn't a whole number of 64 bits")
    return int(text)


def count(text: str) -> int:
    """Read a number of descriptors."""
    number = integer(text)
    if not 0 <= number < 1 << 16:
        raise InvalidInput("it must be a number from 0 to 65535")
    return number


def size_or_unlimited(text: str) -> int:
    """Read a size in bytes, `64m`, or `-1`."""
    from ..units import parse_size

    return -1 if text == "-1" else parse_size(text)


def interval(text: str) -> int:
    """Read a span such as `5s` in nanoseconds."""
    from ..units import parse_span

    span = parse_span(text)
    if span is None or span <= 0:
        raise InvalidInput("it must be a span of time like 5s")
    return span


def user(text: str) -> tuple[int, int | None]:
    """Read UID[:GID]. Names are refused: whose list of users would be asked?"""
    uid, colon, gid = text.partition(":")
    return _id(uid), _id(gid) if colon else None


def group(text: str) -> tuple[int, ...]:
    """Read a number, or several with commas between them."""
    return tuple(_id(part) for part in text.split(","))


def _id(text: str) -> int:
    from ..units import ID_MAX, whole_number

    number = whole_number(text, ID_MAX)
    if number is None:
        raise InvalidInput("ids are numbers below 4294967295")
    return number


def variable(text: str) -> tuple[str, ...]:
    """Read NAME=VALUE."""
    if "=" not in text[1:]:
        raise InvalidInput("it must be NAME=VALUE")
    return (text,)


def capability(text: str) -> tuple[str, ...]:
    """Read the name of a capability, with or without CAP_."""
    from ..runtime.capabilities import mask

    mask((text,))
    return (text,)


def working_directory(text: str) -> str:
    """Read a directory of the container."""
    if not text.startswith("/"):
        raise InvalidInput("it must be an absolute path")
    return text
