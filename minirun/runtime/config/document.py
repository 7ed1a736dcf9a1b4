"""From the bytes of a file to decoded JSON, in bounded memory and without the `json` package.

Owns: size, encoding, depth. Leaves to others: what the JSON means (the readers of each section).

The scanner in C is what `json.loads` itself runs; taken directly, it saves a start the import of `json` and with it of
`re`, 7 ms of a command's 25. It can't say what is wrong with a text, so a text that it refuses is read again by `json`,
for the sentence. RFC 8259.
"""

from __future__ import annotations

from ...errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_BYTES = 8 << 20  # the longest argument list and environment that execve(2) takes are 6 MiB

_BLANKS = " \t\n\r"


def decode(content: bytes) -> dict[str, Any]:
    """Give the JSON object that a file holds. InvalidInput says where the text goes wrong."""
    if len(content) > MAX_BYTES:
        raise InvalidInput(f"the file has {len(content)} bytes; {MAX_BYTES} is the most that is read")
    try:
        value = _loads(content.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the file isn't UTF-8: byte {error.start} can't be decoded") from error
    except ValueError as error:
        raise InvalidInput(f"the file isn't JSON: {error}") from error
    except RecursionError as error:
        raise InvalidInput("the file isn't readable: its objects and arrays are nested too deeply") from error
    if type(value) is not dict:
        raise InvalidInput("the file has to hold a JSON object")
    return value


class _Context:
    """What the scanner asks for: the plain types of Python, and none of the numbers that JSON doesn't have."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int

    @staticmethod
    def parse_constant(name: str) -> object:
        raise ValueError(f"{name} is no number of JSON")


def _loads(text: str) -> Any:
    try:
        from _json import make_scanner

        start = len(text) - len(text.lstrip(_BLANKS))
        context: Any = _Context
        value, end = make_scanner(context)(text, start)
        if not text[end:].strip(_BLANKS):
            return value
    except (ImportError, AttributeError, StopIteration, SystemError):
        pass
    import json

    return json.loads(text, parse_constant=_Context.parse_constant)
