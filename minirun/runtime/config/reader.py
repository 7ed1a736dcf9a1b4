"""Typed access to decoded JSON that knows where it is: an error names the path, "process.rlimits[0].type: ...".

Owns: types, bounds, the characters of text, and the words for what is wrong with them.
Leaves to others: which keys there are and what they mean (the readers of each section).

A key that is null counts as absent, as Go's decoder and with it every other runtime reads it. Keys that nobody asks for
are ignored, as config.md ("Extensibility") demands. A number is a JSON integer: neither true nor 1.0 nor "1" is one.
"""

from __future__ import annotations

from ...errors import InvalidInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

UINT32 = (1 << 32) - 1
INT64 = (1 << 63) - 1
UINT64 = (1 << 64) - 1
MAX_ID = UINT32 - 1  # the id -1 means "leave it as it is" to setuid(2) and chown(2)

_KINDS = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a fraction",
}
_LONGEST_SHOWN = 80


class Section:
    """One object of the document. Methods give None, "", False or () for what is absent; those with `required_` refuse."""

    __slots__ = ("_values", "path")

    def __init__(self, values: dict[str, Any], path: str = "") -> None:
        self._values = values
        self.path = path

    def at(self, key: str, index: int | None = None) -> str:
        """Give the path of a key, or of an item of the array there."""
        if not key.isidentifier() or not key.isascii() or len(key) > _LONGEST_SHOWN:
            path = f"{self.path}[{quoted(key)}]"
        else:
            path = f"{self.path}.{key}" if self.path else key
        return path if index is None else f"{path}[{index}]"

    def wrong(self, key: str, why: str, index: int | None = None) -> InvalidInput:
        """Give the error for a key, to be raised."""
        return InvalidInput(f"{self.at(key, index)}: {why}")

    def has(self, key: str) -> bool:
        return self._values.get(key) is not None

    # ---- One value

    def text(self, key: str) -> str:
        value = self._values.get(key)
        return "" if value is None else self._text(value, key)

    def required_text(self, key: str) -> str:
        """Give a text that has to be there and has to say something."""
        text = self._text(self._required(key), key)
        if not text:
            raise self.wrong(key, "must not be empty")
        return text

    def absolute_path(self, key: str) -> str:
        """Give a path that has to be there and begin with a slash."""
        path = self.required_text(key)
        if not path.startswith("/"):
            raise self.wrong(key, f"must be an absolute path, not {shown(path)}")
        return path

    def line(self, key: str) -> str:
        """Give a text without control characters: what ends up in a file of the kernel, where a newline begins a new entry."""
        text = self.text(key)
        if not text.isprintable():
            raise self.wrong(key, f"must be one line of printable characters, not {shown(text)}")
        return text

    def flag(self, key: str) -> bool:
        value = self._values.get(key)
        if value is None:
            return False
        if type(value) is not bool:
            raise self._mistyped("a boolean", value, key)
        return value

    def number(self, key: str, low: int, high: int) -> int | None:
        value = self._values.get(key)
        return None if value is None else self._number(value, low, high, key)

    def required_number(self, key: str, low: int, high: int) -> int:
        return self._number(self._required(key), low, high, key)

    def choice(self, key: str, table: Mapping[str, int]) -> int | None:
        """Give the number that a name stands for."""
        value = self._values.get(key)
        return None if value is None else self._choice(value, table, key)

    def required_choice(self, key: str, table: Mapping[str, int]) -> int:
        return self._choice(self._required(key), table, key)

    # ---- Arrays and objects

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple([self._text(value, key, index) for index, value in enumerate(self._array(key))])

    def numbers(self, key: str, low: int, high: int) -> tuple[int, ...]:
        return tuple([self._number(value, low, high, key, index) for index, value in enumerate(self._array(key))])

    def flags(self, key: str, table: Mapping[str, int]) -> int:
        """Give the bits that an array of names stands for."""
        bits = 0
        for index, value in enumerate(self._array(key)):
            bits |= self._choice(value, table, key, index)
        return bits

    def section(self, key: str) -> Section | None:
        value = self._values.get(key)
        return None if value is None else self._section(value, key)

    def required_section(self, key: str) -> Section:
        return self._section(self._required(key), key)

    def sections(self, key: str) -> Iterator[Section]:
        """Give the objects in an array."""
        for index, value in enumerate(self._array(key)):
            yield self._section(value, key, index)

    def named_sections(self, key: str) -> Iterator[tuple[str, Section]]:
        """Give the objects in an object, each with its key; null stands for an empty one."""
        if table := self.section(key):
            for name, value in table._values.items():
                yield table._name(name), table._section({} if value is None else value, name)

    def named_texts(self, key: str) -> dict[str, str]:
        """Give an object whose values are texts; null stands for an empty one."""
        if table := self.section(key):
            return {
                table._name(name): table._text("" if value is None else value, name)
                for name, value in table._values.items()
            }
        return {}

    # ---- What all of them check

    def _required(self, key: str) -> Any:
        value = self._values.get(key)
        if value is None:
            raise self.wrong(key, "is missing")
        return value

    def _array(self, key: str) -> list[Any]:
        value = self._values.get(key)
        if value is None:
            return []
        if type(value) is not list:
            raise self._mistyped("an array", value, key)
        return value

    def _section(self, value: Any, key: str, index: int | None = None) -> Section:
        if type(value) is not dict:
            raise self._mistyped("an object", value, key, index)
        return Section(value, self.at(key, index))

    def _text(self, value: Any, key: str, index: int | None = None) -> str:
        if type(value) is not str:
            raise self._mistyped("a string", value, key, index)
        if "\0" in value:
            raise self.wrong(key, f"must not contain a NUL byte: {shown(value)}", index)
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise self.wrong(key, f"contains half of a surrogate pair: {shown(value)}", index) from None
        return value

    def _name(self, name: str) -> str:
        if not name:
            raise InvalidInput(f"{self.path}: a key must not be empty")
        return self._text(name, name)

    def _number(self, value: Any, low: int, high: int, key: str, index: int | None = None) -> int:
        if type(value) is not int:
            raise self._mistyped("an integer", value, key, index)
        if not low <= value <= high:
            raise self.wrong(key, f"must be from {low} to {high}, not {shown(str(value))}", index)
        return value

    def _choice(self, value: Any, table: Mapping[str, int], key: str, index: int | None = None) -> int:
        text = self._text(value, key, index)
        if text not in table:
            raise self.wrong(key, f"must be one of {' '.join(table)}, not {shown(text)}", index)
        return table[text]

    def _mistyped(self, wanted: str, value: Any, key: str, index: int | None = None) -> InvalidInput:
        return self.wrong(key, f"must be {wanted}, not {_KINDS.get(type(value), 'null')}", index)


def shown(text: str) -> str:
    """Give a text of the document as an error may show it: on one line, and not all of a long one."""
    return text if text.isprintable() and 0 < len(text) <= _LONGEST_SHOWN else quoted(text)


def quoted(text: str) -> str:
    """Give a text between quotation marks, without anything that a log or a terminal would take for more than text."""
    if len(text) > _LONGEST_SHOWN:
        text = text[:_LONGEST_SHOWN] + "..."
    return '"' + ascii(text)[1:-1].replace('"', '\\"') + '"'
