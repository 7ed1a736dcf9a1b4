"""From a template's text to tokens.

Owns: delimiters, trimming, comments, literals. Leaves to others: what tokens mean together (parser).
White space matters in Go's grammar (`.A.B` is a chain, `.A .B` are two arguments), so each token knows whether some
came before it.
"""

from __future__ import annotations

from ...record import Record
from .errors import TemplateError, line_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SPACE = " \t\r\n"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_CODES = {"x": 2, "u": 4, "U": 8}
_MARKS = (":=", "|", "(", ")", ",", "=")


class Token(Record):
    """A piece of a template. kind: text field variable dot word value mark open close end."""

    kind: str
    value: Any
    position: int
    spaced: bool = False


def tokens(text: str) -> list[Token]:
    """Cut a template into tokens; the last one is `end`. Raises TemplateError."""
    found: list[Token] = []
    position = 0
    trim = False
    while True:
        start = text.find("{{", position)
        literal = text[position:] if start < 0 else text[position:start]
        if trim:
            literal = literal.lstrip(_SPACE)
        if start < 0:
            break
        inside = start + 2
        if text.startswith("-", inside) and text[inside + 1 : inside + 2] in tuple(_SPACE):
            literal = literal.rstrip(_SPACE)
            inside += 2
        if literal:
            found.append(Token(kind="text", value=literal, position=position))
        position, trim = _comment(text, inside) or _Action(text, inside, found).read()
    if literal:
        found.append(Token(kind="text", value=literal, position=position))
    found.append(Token(kind="end", value="EOF", position=len(text)))
    return found


def _comment(text: str, inside: int) -> tuple[int, bool] | None:
    """Skip a comment; gives the place after the action and whether to trim, None when there is no comment."""
    begin = len(text) - len(text[inside:].lstrip(_SPACE)) if text[inside : inside + 1] in tuple(_SPACE) else inside
    if not text.startswith("/*", begin):
        return None
    close = text.find("*/", begin)
    if close < 0:
        raise TemplateError(f"template: :{line_of(text, begin)}: unclosed comment")
    rest = text[close + 2 :]
    if rest.startswith("}}"):
        return close + 4, False
    for space in _SPACE:
        if rest.startswith(f"{space}-}}}}"):
            return close + 6, True
    raise TemplateError(f"template: :{line_of(text, begin)}: comment ends before closing delimiter")


class _Action:
    """Reads what stands between two delimiters."""

    def __init__(self, text: str, start: int, found: list[Token]) -> None:
        self.text = text
        self.place = start
        self.found = found
        self.spaced = False
        self._add("open", "{{", start)

    def _add(self, kind: str, value: Any, position: int) -> None:
        self.found.append(Token(kind=kind, value=value, position=position, spaced=self.spaced))
        self.spaced = False

    def _fail(self, message: str) -> TemplateError:
        return TemplateError(f"template: :{line_of(self.text, self.place)}: {message}")

    def read(self) -> tuple[int, bool]:
        """Read until the closing delimiter; gives the place after it and whether to trim what follows."""
        text = self.text
        while True:
            if self.place >= len(text):
                raise self._fail("unclosed action")
            letter = text[self.place]
            if text.startswith("}}", self.place):
                self._add("close", "}}", self.place)
                return self.place + 2, False
            if letter in _SPACE:
                if text.startswith("-}}", self.place + 1):
                    self._add("close", "}}", self.place)
                    return self.place + 4, True
                self.place += 1
                self.spaced = True
                continue
            self._token(letter)

    def _token(self, letter: str) -> None:
        start = self.place
        if letter in "\"`'":
            self._add("value", self._quoted(letter), start)
        elif letter == "." and not self._digit_at(start + 1):
            self.place += 1
            name = self._name()
            self._add("field" if name else "dot", name, start)
        elif letter == "$":
            self.place += 1
            self._add("variable", "$" + self._name(), start)
        elif letter.isdecimal() or letter in "+-.":
            self._add("value", self._number(), start)
        elif letter == "_" or letter.isalpha():
            self._add("word", self._name(), start)
        else:
            mark = next((mark for mark in _MARKS if self.text.startswith(mark, start)), None)
            if mark is None:
                raise self._fail(f"unexpected {_go_character(letter)} in command")
            self.place += len(mark)
            self._add("mark", mark, start)

    def _digit_at(self, place: int) -> bool:
        return self.text[place : place + 1].isdecimal()

    def _name(self) -> str:
        start = self.place
        while self.place < len(self.text) and (self.text[self.place] == "_" or self.text[self.place].isalnum()):
            self.place += 1
        return self.text[start : self.place]

    def _number(self) -> int | float:
        start = self.place
        self.place += 1
        while self.place < len(self.text):
            letter = self.text[self.place]
            signed = (
                letter in "+-" and self.text[self.place - 1] in "eE" and not self.text[start:].lower().startswith("0x")
            )
            if not (letter.isalnum() or letter in "._" or signed):
                break
            self.place += 1
        word = self.text[start : self.place]
        digits = word.lstrip("+-")
        if digits[:1] == "0" and digits.isdecimal() and digits.strip("0"):
            word = word.replace("0", "0o", 1)  # Go reads 017 as C does
        try:
            number: int | float = int(word, 0)
        except ValueError:
            try:
                number = float(word)
            except ValueError:
                raise self._fail(f'bad number syntax: "{word}"') from None
        if isinstance(number, int) and not -(1 << 63) <= number < 1 << 64:
            raise self._fail(f'integer overflow: "{word}"')
        if number in (float("inf"), float("-inf")):
            raise self._fail(f'illegal number syntax: "{word}"')
        return number

    def _quoted(self, quote: str) -> str | int:
        start = self.place + 1
        if quote == "`":
            end = self.text.find("`", start)
            if end < 0:
                raise self._fail("unterminated raw quoted string")
            self.place = end + 1
            return self.text[start:end]
        self.place = start
        letters: list[str] = []
        while True:
            letter = self.text[self.place : self.place + 1]
            if letter in ("", "\n"):
                raise self._fail("unterminated character constant" if quote == "'" else "unterminated quoted string")
            self.place += 1
            if letter == quote:
                break
            letters.append(self._escape() if letter == "\\" else letter)
        if quote == '"':
            return "".join(letters)
        if len(letters) != 1:
            raise self._fail("malformed character constant")
        return ord(letters[0])

    def _escape(self) -> str:
        letter = self.text[self.place : self.place + 1]
        self.place += 1
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        length = _CODES.get(letter, 0)
        digits = self.text[self.place : self.place + length]
        try:
            self.place += length
            return chr(int(digits, 16))
        except (ValueError, OverflowError):
            raise self._fail("invalid syntax") from None


def _go_character(letter: str) -> str:
    return f"U+{ord(letter):04X} '{letter}'" if letter.isprintable() else f"U+{ord(letter):04X}"
