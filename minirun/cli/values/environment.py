"""Environment variables and labels, given one by one or in files.

Owns: docker's rules for `-e`, `--env-file`, `--label`, `--label-file`. Leaves to others: the image's own variables
(engine/spec). The caller's environment is read only when an option names a variable without a value.
"""

from __future__ import annotations

import os

from ...errors import InvalidInput


def variable(text: str) -> tuple[str, ...]:
    """Read `NAME=value`, or `NAME`: then the caller's value, and when it has none the name alone, which takes the image's away."""
    name, equals, _ = text.partition("=")
    if not name:
        raise InvalidInput(f"invalid environment variable: {text}")
    if equals:
        return (text,)
    value = os.environ.get(name)
    return (name if value is None else f"{name}={value}",)


def variables_of_file(path: str) -> tuple[str, ...]:
    """Read a file of variables: one a line, `#` comments, values verbatim (quotes are part of them).

    A name that the caller has no value for is left out, and takes nothing away: docker tells it from `-e NAME`.
    """
    return tuple(text for line in _lines(path, "env file") for text in variable(line) if "=" in text)


def label(text: str) -> tuple[tuple[str, str], ...]:
    """Read `key=value` or `key`, whose value is then empty."""
    key, _, value = text.partition("=")
    if not key:
        raise InvalidInput(f"invalid label '{text}': empty name")
    return ((key, value),)


def annotation(text: str) -> tuple[tuple[str, str], ...]:
    """Read `key=value` or `key`, whose value is then empty."""
    key, _, value = text.partition("=")
    if not key:
        raise InvalidInput(f"invalid annotation '{text}': empty name")
    return ((key, value),)


def labels_of_file(path: str) -> tuple[tuple[str, str], ...]:
    """Read a file of labels, one a line."""
    given: tuple[tuple[str, str], ...] = ()
    for line in _lines(path, "label file"):
        given += label(line)
    return given


def _lines(path: str, what: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise InvalidInput(f"open {path}: {(error.strerror or '').lower()}") from error
    if b"\0" in data:
        raise InvalidInput(f"invalid {what} ({path}): it holds a zero byte")
    kept = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            line = raw.removesuffix(b"\r").decode().lstrip()
        except UnicodeDecodeError as error:
            raise InvalidInput(f"invalid {what} ({path}): invalid utf8 bytes at line {number}") from error
        if not line or line.startswith("#"):
            continue
        name = line.partition("=")[0]
        if not name:
            raise InvalidInput(f"invalid {what} ({path}): no variable name on line '{line}'")
        if any(letter.isspace() for letter in name):
            raise InvalidInput(f"invalid {what} ({path}): variable '{name}' contains whitespaces")
        kept.append(line)
    return kept
