"""Plain values: numbers, sizes, names, words from a closed set.

Owns: what needs no grammar of its own. Leaves to others: topics with one (ports, mounts, environment, network,
limits, times).
"""

from __future__ import annotations

import os

from ...errors import InvalidInput
from ...units import parse_size, whole_number

NANO = 1_000_000_000
_LARGEST = (1 << 63) - 1


def integer(text: str) -> int:
    """Read a whole number, a minus sign allowed."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdecimal()):
        raise InvalidInput(f"'{text}' is not a whole number")
    number = whole_number(digits, _LARGEST)
    if number is None:
        raise InvalidInput(f"{text} is out of range")
    return -number if text[0] == "-" else number


def size(text: str) -> int:
    """Read a size in bytes: `64m`, `1.5g`."""
    return parse_size(text)


def size_or_unlimited(text: str) -> int:
    """Read a size in bytes or `-1`."""
    return -1 if text == "-1" else parse_size(text)


def cpus(text: str) -> int:
    """Read a number of CPUs such as `1.5` in billionths; more than nine decimals are refused as docker does."""
    whole, point, fraction = text.partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdecimal()) or (point and not fraction and not whole):
        raise InvalidInput(f"failed to parse {text} as a rational number")
    if len(fraction.rstrip("0")) > 9:
        raise InvalidInput("value is too precise")
    number = whole_number(whole or "0", _LARGEST // NANO)
    if number is None:
        raise InvalidInput(f"{text} CPUs are more than any machine has")
    return number * NANO + int((fraction[:9]).ljust(9, "0"))


def item(text: str) -> tuple[str, ...]:
    """Keep the text of a list option."""
    return (text,)


def stream(text: str) -> tuple[str, ...]:
    """Read the name of a standard stream."""
    name = text.lower()
    if name not in ("stdin", "stdout", "stderr"):
        raise InvalidInput("valid streams are STDIN, STDOUT and STDERR")
    return (name,)


def entrypoint(text: str) -> tuple[str, ...]:
    """Read an entry point: one word, or none at all when the text is empty (the image's is then dropped)."""
    return (text,) if text else ()


def container_name(text: str) -> str:
    """Read a container's name; an empty one means that a name is drawn."""
    from ...engine.names import check_name

    return check_name(text) if text else ""


def signal_name(text: str) -> str:
    """Check that a signal exists and keep its text; an empty one means the default."""
    if not text:
        return text
    from ...engine.stop import signal_number

    signal_number(text)
    return text


def pull_policy(text: str) -> str:
    """When an image is pulled: whenever it is used, when it isn't here (empty too), or never."""
    if text not in ("", "always", "missing", "never"):
        raise InvalidInput(f'invalid pull option: \'{text}\': must be one of "always", "missing" or "never"')
    return text


def restart_policy(text: str) -> tuple[tuple[str, str | int], ...]:
    """Read `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:N`. Whether there is such a policy the engine says."""
    name, colon, count = text.partition(":")
    if colon and not name:
        raise InvalidInput("invalid restart policy format: no policy provided before colon")
    try:
        retries = integer(count) if colon else 0
    except InvalidInput as error:
        raise InvalidInput("invalid restart policy format: maximum retry count must be an integer") from error
    return (("restart_policy", name or "no"), ("restart_retries", retries))


def new_restart_policy(text: str) -> tuple[tuple[str, str | int], ...]:
    """Read the policy that `update` gives."""
    return restart_policy(text)


def image_document(text: str) -> str:
    """Which of an image's documents: its configuration or its manifest."""
    if text not in ("config", "manifest"):
        raise InvalidInput(f"invalid document: '{text}': must be one of 'config' or 'manifest'")
    return text


def object_type(text: str) -> str:
    """Read what `inspect` should look for."""
    if text not in ("container", "image", "volume"):
        raise InvalidInput(f'unknown type: "{text}": must be one of "container", "image", "volume"')
    return text


def context(text: str) -> str:
    """Read whom to talk to: there is no daemon, so only docker's word for the nearest one. Raises InvalidInput."""
    if text not in ("", "default"):
        raise InvalidInput(f'context "{text}": context not found: there is no daemon to choose')
    return text


def log_level(text: str) -> str:
    """Check docker's word for how much is said; errors and warnings are always said here, and nothing else ever is."""
    if text not in ("debug", "info", "warn", "error", "fatal"):
        raise InvalidInput(f"unable to parse logging level: {text}")
    return text


def directory(text: str) -> str:
    """Read a directory of the host; a relative one is taken from the caller's."""
    if not text:
        raise InvalidInput("a directory is needed")
    return os.path.abspath(text)


def tail(text: str) -> int | None:
    """Read how many lines to show from the end; None means all: docker takes whatever isn't a number from 0 for `all`."""
    return whole_number(text, _LARGEST)


def filter_condition(text: str) -> tuple[tuple[str, str], ...]:
    """Read a condition `name=value`; an empty one, as a script's empty variable makes it, is none."""
    if not text:
        return ()
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput("bad format of filter (expected name=value)")
    return ((name.strip().lower(), value.strip()),)
