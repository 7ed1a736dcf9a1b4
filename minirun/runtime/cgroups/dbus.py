"""A little D-Bus: as much as it takes to ask systemd for something.

Owns: the connection, the handshake, the bytes of messages for the types that systemd's interface uses. Leaves to others: what is
asked (systemd).

A value travels with its signature: marshal("a(sv)", [("Slice", ("s", "system.slice"))]). A variant is the pair (signature, value).
Only little-endian messages are written; both orders are read. No descriptors, no matching of our own: the peer is trusted to be the
system's bus or systemd itself, and sizes are checked all the same.

D-Bus Specification: "Authentication Protocol", "Type System", "Message Protocol".
"""

from __future__ import annotations

import os
import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8  # header fields
_NUMBERS = {"y": "B", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d"}
_ALIGNMENT = {"y": 1, "n": 2, "q": 2, "i": 4, "u": 4, "b": 4, "x": 8, "t": 8, "d": 8}
_ALIGNMENT |= {"s": 4, "o": 4, "g": 1, "a": 4, "v": 1, "(": 8, "{": 8}
_LONGEST = 1 << 20  # of a message; the specification allows 128 MiB, systemd's answers to us are small


class DBusError(OSError):
    """The peer answered with an error; `name` is D-Bus's, as org.freedesktop.systemd1.NoSuchUnit."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}" if text else name)
        self.name = name


class Message:
    """One message as it was read."""

    def __init__(self, kind: int, fields: dict[int, Any], body: tuple[Any, ...]) -> None:
        self.kind = kind
        self.member: str = fields.get(_MEMBER, "")
        self.error_name: str = fields.get(_ERROR_NAME, "")
        self.reply_serial: int = fields.get(_REPLY_SERIAL, 0)
        self.body = body


class Connection:
    """A connection to a bus (`is_bus`), or to a program that speaks D-Bus without one. Each wait ends after `timeout_seconds`."""

    def __init__(self, path: str, *, is_bus: bool = True, timeout_seconds: float = 30.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.settimeout(timeout_seconds)
            self._socket.connect(path)
            self._serial = 0
            self._signals: list[Message] = []
            self._authenticate()
            if is_bus:
                self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", *arguments: object
    ) -> tuple[Any, ...]:
        """Call a method and give its answer. DBusError when the peer says so, OSError when it can't be reached."""
        self._serial += 1
        serial = self._serial
        fields: list[tuple[int, tuple[str, object]]] = [
            (_PATH, ("o", path)),
            (_INTERFACE, ("s", interface)),
            (_MEMBER, ("s", member)),
            (_DESTINATION, ("s", destination)),
        ]
        self._socket.sendall(encode(CALL, serial, fields, signature, arguments))
        while True:
            message = self._read()
            if message.kind == SIGNAL:
                self._signals.append(message)  # it may be the one that the caller is about to wait for
            elif message.reply_serial == serial and message.kind == ERROR:
                raise DBusError(message.error_name, str(message.body[0]) if message.body else "")
            elif message.reply_serial == serial and message.kind == RETURN:
                return message.body

    def signal(self, member: str) -> tuple[Any, ...]:
        """Wait for a signal of this name; give what it carries. TimeoutError."""
        for position, message in enumerate(self._signals):
            if message.member == member:
                return self._signals.pop(position).body
        while True:
            message = self._read()
            if message.kind == SIGNAL and message.member == member:
                return message.body

    def _authenticate(self) -> None:
        """Say who we are; the kernel vouches for it (SO_PEERCRED).

        BEGIN goes with it: a systemd that read it together with the first message would wait for more before it looks at that.
        """
        identity = str(os.geteuid()).encode().hex().encode()
        self._socket.sendall(b"\0AUTH EXTERNAL " + identity + b"\r\nBEGIN\r\n")
        line = b""
        while not line.endswith(b"\r\n"):
            piece = self._socket.recv(1)  # what follows the line are messages
            if not piece or len(line) > 4096:
                raise ConnectionError("D-Bus: the peer ended the authentication")
            line += piece
        if not line.startswith(b"OK "):
            raise PermissionError(f"D-Bus: the peer refused us: {line.decode(errors='replace').strip()}")

    def _read(self) -> Message:
        head = self._receive(16)
        if head[0] not in b"lB":
            raise ConnectionError("D-Bus: the peer speaks something else")
        order = "<" if head[0] == ord("l") else ">"
        body_length, _, fields_length = struct.unpack_from(f"{order}III", head, 4)
        rest = -fields_length % 8 + fields_length + body_length
        if rest > _LONGEST:
            raise ConnectionError("D-Bus: the peer sent a message that is too long")
        return decode(head + self._receive(rest))

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(count - len(data))
            if not piece:
                raise ConnectionError("D-Bus: the peer ended the connection")
            data += piece
        return data


def encode(
    kind: int,
    serial: int,
    fields: Sequence[tuple[int, tuple[str, object]]],
    signature: str,
    arguments: Sequence[object],
) -> bytes:
    """Give the bytes of a message."""
    body = marshal(signature, *arguments)
    if signature:
        fields = [*fields, (_SIGNATURE, ("g", signature))]
    head = marshal("yyyyuua(yv)", ord("l"), kind, 0, 1, len(body), serial, fields)
    return head + bytes(-len(head) % 8) + body


def decode(data: bytes) -> Message:
    """Read a whole message. ConnectionError when it is malformed."""
    try:
        order = "<" if data[0] == ord("l") else ">"
        reader = _Reader(data, order)
        _, kind, _, _, body_length, _, fields = reader.values("yyyyuua(yv)")
        found = dict(fields)
        reader.align(8)
        if len(data) - reader.position != body_length:
            raise ValueError("its length is wrong")
        signature = found.get(_SIGNATURE, "")
        if not isinstance(signature, str):
            raise ValueError("its signature is of another type")
        return Message(kind, found, tuple(_Reader(data[reader.position :], order).values(signature)))
    except (ValueError, LookupError, struct.error, RecursionError) as error:
        raise ConnectionError(f"D-Bus: the peer sent a malformed message: {error}") from error


def marshal(signature: str, *values: object) -> bytes:
    """Give the bytes of values, from an offset that is a multiple of 8. ValueError or struct.error for what doesn't fit."""
    data = bytearray()
    kinds = split(signature)
    if len(kinds) != len(values):
        raise ValueError(f"{len(values)} values for the signature {signature!r}")
    for kind, value in zip(kinds, values, strict=True):
        _write(data, kind, value)
    return bytes(data)


def split(signature: str) -> list[str]:
    """Give the complete types of a signature: "a{sv}(ii)s" -> ["a{sv}", "(ii)", "s"]. ValueError."""
    kinds, start, depth = [], 0, 0
    for position, letter in enumerate(signature):
        if letter not in _ALIGNMENT and letter not in ")}":
            raise ValueError(f"{letter!r} isn't a type")
        depth += (letter in "({") - (letter in ")}")
        if depth < 0:
            break
        if depth == 0 and letter != "a":
            kinds.append(signature[start : position + 1])
            start = position + 1
    if depth != 0 or start != len(signature) or "()" in signature:
        raise ValueError(f"{signature!r} isn't a signature")
    return kinds


def _write(data: bytearray, kind: str, value: Any) -> None:
    data += bytes(-len(data) % _ALIGNMENT[kind[0]])
    if kind in _NUMBERS:
        data += struct.pack(f"<{_NUMBERS[kind]}", value)
    elif kind == "b":
        data += struct.pack("<I", bool(value))
    elif kind in ("s", "o", "g"):
        text = str(value).encode()
        if b"\0" in text:
            raise ValueError("a string with a NUL in it")
        data += (bytes([len(text)]) if kind == "g" else struct.pack("<I", len(text))) + text + b"\0"
    elif kind == "v":
        signature, inner = value
        _write(data, "g", signature)
        _write(data, signature, inner)
    elif kind[0] == "a":
        _write_array(data, kind[1:], value)
    else:
        for part, inner in zip(split(kind[1:-1]), value, strict=True):
            _write(data, part, inner)


def _write_array(data: bytearray, kind: str, values: Any) -> None:
    """Write elements behind their length in bytes; the padding in front of the first doesn't count."""
    place = len(data)
    data += bytes(4)
    data += bytes(-len(data) % _ALIGNMENT[kind[0]])
    start = len(data)
    for value in values.items() if isinstance(values, dict) else values:
        _write(data, kind, value)
    struct.pack_into("<I", data, place, len(data) - start)


class _Reader:
    """Reads values from a message one after the other."""

    def __init__(self, data: bytes, order: str) -> None:
        self.data = data
        self.order = order
        self.position = 0

    def align(self, to: int) -> None:
        self.position += -self.position % to

    def values(self, signature: str) -> list[Any]:
        return [self._value(kind) for kind in split(signature)]

    def _value(self, kind: str) -> Any:
        self.align(_ALIGNMENT[kind[0]])
        if kind in _NUMBERS:
            return self._number(_NUMBERS[kind])
        if kind == "b":
            return bool(self._number("I"))
        if kind in ("s", "o", "g"):
            return self._text(self._number("B" if kind == "g" else "I"))
        if kind == "v":
            return self._value(self._value("g"))
        if kind[0] != "a":
            return tuple(self._value(part) for part in split(kind[1:-1]))
        length = self._number("I")
        self.align(_ALIGNMENT[kind[1]])
        end = self.position + length
        if end > len(self.data):
            raise ValueError("an array goes beyond its end")
        found = []
        while self.position < end:
            found.append(self._value(kind[1:]))
        return found

    def _number(self, letter: str) -> Any:
        (value,) = struct.unpack_from(self.order + letter, self.data, self.position)
        self.position += struct.calcsize(letter)
        return value

    def _text(self, length: int) -> str:
        text = self.data[self.position : self.position + length]
        self.position += length + 1
        if self.position > len(self.data):
            raise ValueError("a string goes beyond its end")
        return text.decode()
