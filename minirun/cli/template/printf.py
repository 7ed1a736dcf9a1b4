"""Go's Sprintf, as templates call it.

Owns: reading a format (flags, width, precision, `*` and `[n]`), Go's complaints about one. Leaves to others: %v (functions).

Go never fails here: what can't be written stands in the text as a complaint. Source: the package fmt, "Format errors" and "Explicit
argument indexes".
"""

from __future__ import annotations

from ..present import quoted
from .functions import go_type, written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_FLAGS = "+-# 0"
_LARGEST = 1_000_000  # a width or precision above it is none
_REPLACEMENT = "\ufffd"
_BASES = {"d": "", "b": "0b", "o": "0", "x": "0x", "X": "0X"}
_DIGITS = "0123456789"


def printf(text: str, values: Sequence[Any]) -> str:
    """Give the text that a format makes of values: %v %s %q %d %t %T %x %X %o %b %c %U %f %e %g, and complaints."""
    return _Format(text, values).written()


class _Spec:
    """One verb's flags, width and precision."""

    def __init__(self) -> None:
        self.flags = ""
        self.width = 0
        self.precision: int | None = None

    def padded(self, text: str) -> str:
        return text.ljust(self.width) if "-" in self.flags else text.rjust(self.width)

    def sign_of(self, value: int) -> str:
        if value < 0:
            return "-"
        return "+" if "+" in self.flags else " " if " " in self.flags else ""


class _Format:
    """A format on its way through its text and its values."""

    def __init__(self, text: str, values: Sequence[Any]) -> None:
        self.text = text
        self.values = values
        self.place = 0
        self.used = 0  # of the values
        self.is_reordered = False  # was one named by its number?
        self.is_good = True  # was that one there?
        self.out: list[str] = []

    def written(self) -> str:
        while self.place < len(self.text):
            start = self.text.find("%", self.place)
            end = start if start >= 0 else len(self.text)
            self.out.append(self.text[self.place : end])
            self.place = end + 1
            if start >= 0:
                self._verb(self._spec())
        if not self.is_reordered and self.used < len(self.values):
            rest = self.values[self.used :]
            self.out.append("%!(EXTRA " + ", ".join(f"{go_type(value)}={written(value)}" for value in rest) + ")")
        return "".join(self.out)

    def _spec(self) -> _Spec:
        spec, self.is_good = _Spec(), True
        while self._next() and self._next() in _FLAGS:
            spec.flags += self._take()
        is_indexed = self._index()
        if self._next() == "*":
            self._width_of_value(spec)
            is_indexed = False
        else:
            width = self._number()
            self.is_good = self.is_good and not (is_indexed and width is not None)
            spec.width = width or 0
        if self._next() == ".":
            self.place += 1
            self.is_good = self.is_good and not is_indexed
            is_indexed = self._index()
            if self._next() == "*":
                spec.precision = self._value("PREC", least=0)
                is_indexed = False
            else:
                spec.precision = self._number() or 0
        if not is_indexed:
            self._index()
        return spec

    def _width_of_value(self, spec: _Spec) -> None:
        width = self._value("WIDTH") or 0
        spec.width = abs(width)
        if width < 0:
            spec.flags += "-"

    def _verb(self, spec: _Spec) -> None:
        if self.place >= len(self.text):
            self.out.append("%!(NOVERB)")
            return
        verb = self._take()
        if verb == "%":
            self.out.append("%")
        elif not self.is_good:
            self.out.append(f"%!{verb}(BADINDEX)")
        elif self.used >= len(self.values):
            self.out.append(f"%!{verb}(MISSING)")
        else:
            self.out.append(_formatted(verb, spec, self.values[self.used]))
            self.used += 1

    def _next(self) -> str:
        return self.text[self.place : self.place + 1]

    def _take(self) -> str:
        self.place += 1
        return self.text[self.place - 1]

    def _number(self) -> int | None:
        """Read digits. Behind a number that is too large, Go reads nothing more."""
        start = self.place
        while self._next() and self._next() in _DIGITS:
            self.place += 1
        digits = self.text[start : self.place]
        if len(digits.lstrip("0")) > 7 or int(digits or "0") > _LARGEST:
            self.place = len(self.text)
            return None
        return int(digits) if digits else None

    def _index(self) -> bool:
        """Read `[n]`: the value that comes next. True when there is one of that number."""
        if self._next() != "[":
            return False
        self.is_reordered = True
        end = self.text.find("]", self.place)
        digits = self.text[self.place + 1 : end]
        is_number = end > 0 and digits.isascii() and digits.isdecimal() and len(digits) < 8
        self.place = end + 1 if end > 0 else self.place + 1
        if is_number and 0 < int(digits) <= len(self.values):
            self.used = int(digits) - 1
            return True
        self.is_good = False
        return is_number

    def _value(self, what: str, least: int = -_LARGEST) -> int | None:
        """Take a width or a precision from the values."""
        self.place += 1
        value = None
        if self.used < len(self.values):
            value = self.values[self.used]
            self.used += 1
        if type(value) is not int or not least <= value <= _LARGEST:
            self.out.append(f"%!(BAD{what})")
            return None
        return value


def _formatted(verb: str, spec: _Spec, value: Any) -> str:
    if type(value) is int and verb in _BASES:
        return _integer(verb, spec, value)
    if type(value) is int and verb == "c":
        is_letter = 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000
        return spec.padded(chr(value) if is_letter else _REPLACEMENT)
    if type(value) in (int, float) and verb in "feEgG":
        # Without an argument of its own Go's width and precision are those of C.
        precision = "" if spec.precision is None else f".{spec.precision}"
        flags = "".join(flag for flag in dict.fromkeys(spec.flags))
        return str(f"%{flags}{spec.width or ''}{precision}{verb}" % value)
    text = _text(verb, spec, value)
    return f"%!{verb}({go_type(value)}={written(value)})" if text is None else spec.padded(text)


def _integer(verb: str, spec: _Spec, value: int) -> str:
    digits, sign = format(abs(value), verb), spec.sign_of(value)
    if spec.precision is not None:
        digits = "" if spec.precision == value == 0 else digits.zfill(spec.precision)
    elif "0" in spec.flags and "-" not in spec.flags:
        digits = digits.zfill(spec.width - len(sign))
    prefix = _BASES[verb] if "#" in spec.flags else ""
    return spec.padded(sign + ("" if prefix == "0" == digits[:1] else prefix) + digits)


def _text(verb: str, spec: _Spec, value: Any) -> str | None:
    """Give what has no form of its own for numbers; None for a verb that isn't the value's."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if verb == "v" and "#" in spec.flags and isinstance(value, str):
        return quoted(value)
    if verb == "v" and type(value) is int:
        return _integer("d", spec, value)
    if verb in "vs" and not (is_number and verb == "s"):
        return written(value) if spec.precision is None or is_number else written(value)[: spec.precision]
    if verb == "T":
        return go_type(value)
    if verb == "q" and isinstance(value, str):
        return quoted(value)
    if verb == "q" and isinstance(value, (list, tuple)):
        return "[" + " ".join(_formatted(verb, _Spec(), item) for item in value) + "]"
    if verb == "U" and type(value) is int:
        return f"U+{value:04X}"
    if verb == "t" and isinstance(value, bool):
        return written(value)
    if verb in "xX" and isinstance(value, str):
        octets = value.encode("utf-8", "surrogateescape")
        digits = octets.hex(" ") if " " in spec.flags else octets.hex()
        return digits.upper() if verb == "X" else digits
    return None
