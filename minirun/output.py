"""What a command line writes: bytes to its own descriptors, and nothing that could command a terminal.

Owns: `say`, `warn`, `printable`, and columns of text. Leaves to others: containers' own output, which is passed on as it
is (monitor's pump).

Names, labels, commands and error texts can come from an image, and images are hostile: on a terminal, control
characters are shown as \\x1b instead of being obeyed. Into a pipe or file the text goes as it is, for programs to read.
"""

from __future__ import annotations

import os

from .light import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PADDING = 3  # between columns


def say(text: str) -> None:
    """Write a line to standard output. Raises BrokenPipeError when the reader has gone."""
    write(text + "\n")


def write(text: str) -> None:
    """Write text to standard output as it is, escaped when that is a terminal. An OSError names standard output."""
    if os.isatty(1):
        text = printable(text, keep="\n\t")
    try:
        write_all(1, text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        error.filename = "write standard output"
        raise


def warn(text: str) -> None:
    """Write one line to standard error; a closed one is no error."""
    with suppress(OSError):
        write_all(2, (printable(text) + "\n").encode("utf-8", "backslashreplace"))


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte; blocks, waiting where the descriptor is non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            import select

            select.select((), (descriptor,), ())


def printable(text: str, keep: str = "") -> str:
    """Give text in which control characters (C0, DEL, C1) and bytes that aren't UTF-8 are written out: `\\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if letter in keep or not _is_control(letter) else _written_out(letter) for letter in text)


def _is_control(letter: str) -> bool:
    # U+202A.. and U+2066.. turn the direction of the text around them ("Trojan Source", CVE-2021-42574)
    code = ord(letter)
    return (
        code < 32
        or 127 <= code < 160
        or 0xD800 <= code < 0xE000
        or 0x2028 <= code <= 0x202E
        or 0x2066 <= code <= 0x2069
    )


def _written_out(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that wasn't UTF-8: surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def align(rows: Iterable[Sequence[str]], minimum: int) -> str:
    """Give lines whose cells begin at the same places, as Go's tabwriter pads them; the last cell of a line isn't padded.

    A column is at least `minimum` wide, padding included.
    """
    lines = [(row[:-1], row[-1] if row else "") for row in rows]
    count = max((len(cells) for cells, _ in lines), default=0)
    widths = [
        max([minimum] + [len(cells[place]) + _PADDING for cells, _ in lines if place < len(cells)])
        for place in range(count)
    ]
    return "".join(["".join(map(str.ljust, cells, widths)) + last + "\n" for cells, last in lines])
