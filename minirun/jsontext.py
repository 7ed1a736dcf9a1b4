"""JSON of our own rows, without the standard library's package around its parser.

Owns: `loads` and `dumps` for text that the database holds. Leaves to others: documents from outside (images/manifest).

`import json` brings `re` and `enum` along, 4 ms of every command, for messages about malformed text and for indentation. The
parser and the encoder themselves are C (`_json`); these lines drive them as json.decoder and json.encoder do. Where an
interpreter's `_json` is missing or another one, the package does the same.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    loads: Callable[[str], Any]
    dumps: Callable[[Any], str]


class _Reading:
    """What json.JSONDecoder tells the parser: no hooks, numbers as Python has them."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float, parse_int, parse_constant = float, int, float  # NaN and Infinity are words that float() reads too
    memo: dict[str, str] = {}


def _unknown(value: object) -> object:
    raise TypeError(f"JSON has no {type(value).__name__}")


def _by_parts() -> tuple[Callable[[str], Any], Callable[[Any], str]]:
    from _json import encode_basestring_ascii, make_encoder, make_scanner

    # As json.encoder calls it: markers (for circles) default encoder indent separators sort_keys skip_keys allow_nan.
    encode = make_encoder(None, _unknown, encode_basestring_ascii, None, ":", ",", False, False, False)
    scan = make_scanner(_Reading)  # type: ignore[arg-type]  # its attributes are read once, here

    def read(text: str) -> Any:
        """Give the value of a JSON text without white space around it; raises ValueError."""
        try:
            value, end = scan(text, 0)
        except (StopIteration, ValueError, SystemError):  # the last: without the package it has no JSONDecodeError
            end = -1
        if end != len(text):
            raise ValueError(f"{text[:60]!r} is no JSON")
        return value

    def write(value: Any) -> str:
        """Give the shortest JSON text of plain data; raises TypeError for anything else."""
        return "".join(encode(value, 0))

    return read, write


def _by_package() -> tuple[Callable[[str], Any], Callable[[Any], str]]:
    import json

    def write(value: Any) -> str:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)

    return json.loads, write


try:
    loads, dumps = _by_parts()
except (ImportError, AttributeError, TypeError):
    loads, dumps = _by_package()
