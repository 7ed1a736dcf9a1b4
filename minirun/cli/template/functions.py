"""The functions of templates: Go's own and docker's, and how Go writes values.

Owns: `FUNCTIONS`, truth, `written` (Go's %v). Leaves to others: names and arguments (parser, evaluate).
"""

from __future__ import annotations

import json

from .typed import LIST, MAP, Map, Nil, Row, Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


class CallError(Exception):
    """A function can't do what it was asked to; the text says why."""


def is_true(value: Any) -> bool:
    """Tell what `if` thinks: false, 0, "", nil and anything empty are not true."""
    return bool(value)


def written(value: Any) -> str:
    """Give a value as Go's %v does."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Nil):
        return value.text
    if isinstance(value, Struct):
        return "{" + " ".join(map(written, value.values())) + "}"
    if isinstance(value, Row):
        value = value.plain()
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{written(value[key])}" for key in sorted(value, key=str)) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(map(written, value)) + "]"
    return str(value)


def _float(value: float) -> str:
    """Shortest digits that read back as the same number; an exponent from 1e21 on (strconv.FormatFloat 'g', as fmt
    has it)."""
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


# ---- logic and comparison


def _and(values: Iterable[Any]) -> Any:
    value: Any = None
    for value in values:
        if not is_true(value):
            break
    return value


def _or(values: Iterable[Any]) -> Any:
    value: Any = None
    for value in values:
        if is_true(value):
            break
    return value


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise CallError("missing argument for comparison")
    return any(_same(first, other) for other in others)


def _same(left: Any, right: Any) -> bool:
    left, right = (None if isinstance(value, Nil) else value for value in (left, right))
    if left is None or right is None:
        return left is right
    if isinstance(left, (dict, list, tuple)) or isinstance(right, (dict, list, tuple)):
        raise CallError("non-comparable type")
    _comparable(left, right)
    return bool(left == right)


def _comparable(left: Any, right: Any) -> None:
    if type(left) is not type(right):
        raise CallError("incompatible types for comparison")


def _ordered(left: Any, right: Any) -> bool:
    """Tell whether left < right."""
    if not isinstance(left, (str, int, float)) or isinstance(left, bool):
        raise CallError("invalid type for comparison")
    _comparable(left, right)
    return bool(left < right)


# ---- parts of things


def _len(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, (dict, list, tuple)) or value in (LIST, MAP):
        return len(value)
    raise CallError("len of nil pointer" if value is None else f"len of type {type(value).__name__}")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            if not isinstance(key, str):
                raise CallError(f"value has type {go_type(key)}; should be string")
            # Go gives the zero value of what the map holds: "" where all values are strings, as for labels.
            missing = "" if all(isinstance(item, str) for item in value.values()) else None
            value = value.get(key, missing)
        elif isinstance(value, (list, tuple, str)):
            if not isinstance(key, int) or isinstance(key, bool):
                raise CallError(f"cannot index slice/array with type {type(key).__name__}")
            items = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
            if not 0 <= key < len(items):
                raise CallError(f"index out of range: {key}")
            value = items[key]
        elif value is MAP:
            value = ""
        elif value is LIST:
            raise CallError(f"index out of range: {key}")
        else:
            raise CallError(
                "index of untyped nil" if value is None else f"can't index item of type {type(value).__name__}"
            )
    return value


def _slice(value: Any, *bounds: int) -> Any:
    if not isinstance(value, (str, list, tuple)):
        raise CallError(f"can't slice item of type {type(value).__name__}")
    if len(bounds) > 2:
        raise CallError(f"too many slice indexes: {len(bounds)}")
    low, high = map(_whole, (*bounds, *(0, len(value))[len(bounds) :]))
    for bound in (low, high):
        if not 0 <= bound <= len(value):
            raise CallError(f"index out of range: {bound}")
    if low > high:
        raise CallError(f"invalid slice index: {low} > {high}")
    return value[low:high]


# ---- text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise CallError(f"wrong type for value; expected string; got {go_type(value)}")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise CallError(f"wrong type for value; expected int; got {go_type(value)}")
    return value


def _join(parts: Any, separator: str) -> str:
    if parts is None or isinstance(parts, Nil):
        return ""
    if not isinstance(parts, (list, tuple)):
        raise CallError("wrong type for value; expected []string")
    return _text(separator).join(map(written, parts))


def _split(text: str, separator: str) -> list[str]:
    return _text(text).split(separator) if _text(separator) else list(text)


def _title(text: str) -> str:
    before = " "
    letters = []
    for letter in _text(text):
        letters.append(letter.upper() if not (before.isalnum() or before == "_") else letter)
        before = letter
    return "".join(letters)


def _pad(text: str, before: int, after: int) -> str:
    return " " * _whole(before) + text + " " * _whole(after) if _text(text) else text


def _truncate(text: str, length: int) -> str:
    return _text(text)[: max(0, _whole(length))]


def _print(*values: Any) -> str:
    """Go's Sprint: a space between two values when neither is a string."""
    text = ""
    for place, value in enumerate(values):
        if place and not isinstance(value, str) and not isinstance(values[place - 1], str):
            text += " "
        text += written(value)
    return text


def _println(*values: Any) -> str:
    return " ".join(map(written, values)) + "\n"


def _json(value: Any) -> str:
    text = json.dumps(
        value.plain() if isinstance(value, Row) else value,
        ensure_ascii=False,
        separators=(",", ":"),
        default=lambda _: None,
    )
    # Docker's client has Go write such a row by itself, and then it escapes what HTML would read; a field isn't.
    return for_html(text) if isinstance(value, Row) else text


def for_html(text: str) -> str:
    """Write out what HTML would read in a JSON text, as Go's encoding/json does."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _html(*values: Any) -> str:
    text = _print(*values)
    for letter, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;")):
        text = text.replace(letter, name)
    return text


def _js(*values: Any) -> str:
    text = _print(*values)
    for letter in "\\'\"":
        text = text.replace(letter, f"\\{letter}")
    for letter in "<>&=\n\r\t":
        text = text.replace(letter, f"\\u{ord(letter):04X}")
    return text


def _urlquery(*values: Any) -> str:
    from urllib.parse import quote_plus

    return quote_plus(_print(*values))


def go_type(value: Any) -> str:
    names = {bool: "bool", int: "int", float: "float64", str: "string", type(None): "<nil>"}
    if isinstance(value, (list, tuple)):
        return "[]string" if all(isinstance(item, str) for item in value) else "[]interface {}"
    return names.get(type(value), "map[string]string" if isinstance(value, Map) else "interface {}")


def _printf(format_: str, *values: Any) -> str:
    from .printf import printf

    return printf(_text(format_), values)


LAZY = ("and", "or")

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": _and,
    "or": _or,
    "not": lambda value: not is_true(value),
    "eq": _equal,
    "ne": lambda left, right: not _same(left, right),
    "lt": _ordered,
    "le": lambda left, right: _ordered(left, right) or _same(left, right),
    "gt": lambda left, right: not (_ordered(left, right) or _same(left, right)),
    "ge": lambda left, right: not _ordered(left, right),
    "len": _len,
    "index": _index,
    "slice": _slice,
    "print": _print,
    "printf": _printf,
    "println": _println,
    "html": _html,
    "js": _js,
    "urlquery": _urlquery,
    "json": _json,
    "join": _join,
    "split": _split,
    "lower": lambda text: _text(text).lower(),
    "upper": lambda text: _text(text).upper(),
    "title": _title,
    "pad": _pad,
    "truncate": _truncate,
}
