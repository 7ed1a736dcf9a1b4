"""The keys that detach a terminal: `ctrl-p,ctrl-q`, `a`, `ctrl-@,x`.

Owns: this grammar. Leaves to others: watching for the keys (monitor's pump).
"""

from __future__ import annotations

from ...errors import InvalidInput

DEFAULT = "ctrl-p,ctrl-q"


def checked(text: str) -> str:
    """Check a key sequence and keep its text."""
    to_bytes(text)
    return text


def to_bytes(text: str) -> bytes:
    """Give the bytes that a terminal sends for these keys; an empty text means docker's ctrl-p ctrl-q. Raises
    InvalidInput."""
    sent = bytearray()
    for key in (text or DEFAULT).split(","):
        letter = key.removeprefix("ctrl-").lower() if key.startswith("ctrl-") and len(key) == 6 else ""
        if len(key) == 1 and key.isascii():
            sent += key.encode()
        elif letter and ("a" <= letter <= "z" or letter in "@[\\]^_"):
            sent.append(ord(letter.upper()) & 0x1F)  # what a terminal sends for control and a letter: ascii(7)
        else:
            raise InvalidInput(f"Invalid detach keys: Unknown character: '{key}'")
    return bytes(sent)
