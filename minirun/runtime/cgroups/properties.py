"""Properties of a systemd unit: from limits, and from the annotations of a bundle.

Owns: which file of cgroup v2 is which property, and the GVariant text of annotations. Leaves to others: sending them (systemd).

systemd keeps what it was told and writes it again when it reloads; what it wasn't told it may reset. So each limit that it knows
goes to systemd, and then all limits are written to their files too (controllers): systemd doesn't know every one, and rounds some.
A property is a pair (signature, value), as dbus.marshal takes a variant. systemd.resource-control(5), org.freedesktop.systemd1(5).
"""

from __future__ import annotations

from ...errors import InvalidInput
from .cpus import parse_cpu_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    Properties = dict[str, tuple[str, Any]]

ANNOTATION = "org.systemd.property."
_INFINITY = 2**64 - 1
_QUOTA_STEP_MICROSECONDS = 10_000  # systemd counts the quota in per cent
_NUMBERS = {
    "memory.max": "MemoryMax",
    "memory.high": "MemoryHigh",
    "memory.low": "MemoryLow",
    "memory.min": "MemoryMin",
    "memory.swap.max": "MemorySwapMax",
    "cpu.weight": "CPUWeight",
    "pids.max": "TasksMax",
}
_LISTS = {"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}
_TYPES = {
    "boolean": "b", "byte": "y", "int16": "n", "uint16": "q", "int32": "i", "uint32": "u", "int64": "x", "uint64": "t",
    "double": "d", "string": "s", "objectpath": "o", "signature": "g",
}  # fmt: skip
_DEEPEST = 8


def of_limits(settings: Iterable[tuple[str, str, bool]]) -> Properties:
    """Give what systemd knows of the limits that settings_of gave."""
    found: Properties = {}
    for file, value, _ in settings:
        if file in _NUMBERS and (value == "max" or _is_number(value)):
            found[_NUMBERS[file]] = ("t", _INFINITY if value == "max" else int(value))
        elif file in _LISTS:
            found[_LISTS[file]] = ("ay", _mask(value))
        elif file == "cpu.max":
            found |= _quota(value)
    return found


def of_annotations(annotations: Mapping[str, str]) -> Properties:
    """Give the properties that "org.systemd.property.NAME" annotations ask for. InvalidInput.

    NAME with the ending Sec takes a number of seconds, as in unit files; systemd's own name for it ends with USec.
    """
    found: Properties = {}
    for key, text in annotations.items():
        if not key.startswith(ANNOTATION):
            continue
        name = key.removeprefix(ANNOTATION)
        if len(name) < 3 or not (name.isascii() and name.isalpha()):
            raise InvalidInput(f"annotation {key[:128]!r}: {name[:64]!r} isn't the name of a property of a unit")
        try:
            signature, value = _Text(text).whole()
        except ValueError as error:
            raise InvalidInput(f"annotation {key[:128]!r}: {text[:128]!r} isn't a GVariant text: {error}") from error
        if name.endswith("Sec") and not name.endswith("USec"):
            if signature not in ("i", "u", "x", "t", "d") or not 0 <= value < 2**63 / 10**6:
                raise InvalidInput(f"annotation {key[:128]!r}: {text[:128]!r} isn't a number of seconds")
            name, signature, value = f"{name[:-3]}USec", "t", int(value * 10**6)
        found[name] = (signature, value)
    return found


def _mask(numbers: str) -> list[int]:
    """Give a list of CPUs as bytes of a bit mask, the lowest first."""
    found = parse_cpu_list(numbers)
    mask = sum(1 << number for number in found)
    return list(mask.to_bytes(max(found) // 8 + 1, "little"))


def _quota(value: str) -> Properties:
    """Give cpu.max ("50000 100000", "max 100000") as CPU time in each second, rounded up, and the period."""
    quota, _, period = value.partition(" ")
    if not (quota == "max" or _is_number(quota)) or not _is_number(period) or int(period) == 0:
        return {}
    each_second = _INFINITY
    if quota != "max":
        steps = -(-int(quota) * 10**6 // (int(period) * _QUOTA_STEP_MICROSECONDS))
        each_second = min(steps * _QUOTA_STEP_MICROSECONDS, _INFINITY)
    return {"CPUQuotaPerSecUSec": ("t", each_second), "CPUQuotaPeriodUSec": ("t", int(period))}


def _is_number(text: str) -> bool:
    """Is it one of 64 bits? A unified key may say anything: the kernel will tell what is wrong with it."""
    return text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= _INFINITY


class _Text:
    """Reads one value of GVariant's text format: numbers, strings, booleans, and arrays and tuples of them.

    https://docs.gtk.org/glib/gvariant-text-format.html. Raises ValueError.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def whole(self) -> tuple[str, Any]:
        found = self._value("", 0)
        if self._peek():
            raise ValueError(f"there is more behind it: {self.text[self.position :][:32]!r}")
        return found

    def _value(self, wanted: str, depth: int) -> tuple[str, Any]:
        """Read a value, of the type `wanted` unless that is ""."""
        if depth > _DEEPEST:
            raise ValueError("too deep")
        first = self._peek()
        if first == "@":
            self.position += 1
            return self._value(self._word(), depth + 1)
        if first in ("'", '"'):
            return self._typed(wanted or "s", "sog", self._string(first))
        if first == "[":
            return self._array(wanted, depth)
        if first == "(":
            items = self._items(")", [], depth)
            return f"({''.join(signature for signature, _ in items)})", tuple(value for _, value in items)
        word = self._word()
        if word in _TYPES:
            return self._value(_TYPES[word], depth + 1)
        if word in ("true", "false"):
            return self._typed(wanted or "b", "b", word == "true")
        return self._number(word, wanted)

    def _array(self, wanted: str, depth: int) -> tuple[str, Any]:
        if wanted and not wanted.startswith("a"):
            raise ValueError(f"an array isn't of the type {wanted}")
        items = self._items("]", [wanted[1:]] if wanted else [], depth)
        kinds = {signature for signature, _ in items} or {wanted[1:]}
        if len(kinds) != 1 or kinds == {""}:
            raise ValueError("the elements of an array have one type, and an empty one says which: @as []")
        return f"a{kinds.pop()}", [value for _, value in items]

    def _items(self, end: str, wanted: list[str], depth: int) -> list[tuple[str, Any]]:
        """Read elements to the closing bracket; in an array the first one's type is that of all."""
        self.position += 1
        items: list[tuple[str, Any]] = []
        while self._peek() != end:
            if items:
                if self._peek() != ",":
                    raise ValueError("a comma is missing")
                self.position += 1
                if self._peek() == end:  # a tuple of one: (1,)
                    break
            expected = wanted[0] if wanted else items[0][0] if items and end == "]" else ""
            items.append(self._value(expected, depth + 1))
        self.position += 1
        return items

    def _number(self, word: str, wanted: str) -> tuple[str, Any]:
        if wanted == "d" or (not wanted and any(letter in word for letter in ".eE") and not word.startswith("0x")):
            return "d", float(word)
        wanted = wanted or "i"
        value = int(word, 0)
        bits = {"y": 8, "q": 16, "u": 32, "t": 64, "n": 15, "i": 31, "x": 63}.get(wanted)
        if bits is None or not (-(1 << bits) if wanted in "nix" else 0) <= value < 1 << bits:
            raise ValueError(f"{word[:32]!r} doesn't fit the type {wanted}")
        return wanted, value

    @staticmethod
    def _typed(signature: str, possible: str, value: Any) -> tuple[str, Any]:
        if signature not in possible:
            raise ValueError(f"{value!r} isn't of the type {signature}")
        return signature, value

    def _string(self, quote: str) -> str:
        """Read a string; a backslash keeps the character behind it, or is one of \\n \\t."""
        self.position += 1
        found = ""
        while True:
            letter = self._letter()
            if letter == quote:
                return found
            if letter == "\0":
                raise ValueError("a string with a NUL in it")
            if letter == "\\":
                letter = self._letter()
                letter = {"n": "\n", "t": "\t"}.get(letter, letter)
            found += letter

    def _letter(self) -> str:
        if self.position >= len(self.text):
            raise ValueError("it ends too early")
        self.position += 1
        return self.text[self.position - 1]

    def _word(self) -> str:
        self._peek()
        start = self.position
        while self.position < len(self.text) and self.text[self.position] not in " \t\n,[]()'\"":
            self.position += 1
        if start == self.position:
            raise ValueError("it ends too early" if start == len(self.text) else f"{self.text[start]!r} isn't a value")
        return self.text[start : self.position]

    def _peek(self) -> str:
        """Give the next character that isn't a space, "" at the end."""
        while self.position < len(self.text) and self.text[self.position] in " \t\n":
            self.position += 1
        return self.text[self.position : self.position + 1]
