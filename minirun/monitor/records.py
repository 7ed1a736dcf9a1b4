"""One line of a container's log: JSON text to bytes as the container wrote them.

Owns: `LogEntry`, `Decoder`. Leaves to others: files, rotation, following (logs). native/log.h draws the format:

    {"log":"text\\n","stream":"stdout","time":"2026-01-02T03:04:05.123456789Z"}

Most lines hold no escape but their own newline, and are cut apart without being decoded at all.
"""

from __future__ import annotations

from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BEGIN = b'{"log":"'
_PLAIN_END = b'\\n","stream":"'


class LogEntry(Record):
    """What a container wrote to a stream at one time: a line with its newline, or a part of one without."""

    stream: str  # stdout stderr
    time_ns: int
    data: bytes
    attributes: dict[str, str] = {}  # labels and variables of the container's, where its log keeps them


class Decoder:
    """Decodes lines one after the other; remembers the last second, since many lines share it."""

    def __init__(self) -> None:
        self._second = b""
        self._second_ns = 0

    def decode(self, line: bytes) -> LogEntry | None:
        """Give what one whole line of the file says, None for a line that nobody of ours wrote or that was torn."""
        backslash = line.find(b"\\", 8)
        end = backslash + len(_PLAIN_END)
        # ours, as far as one can see without parsing: its only escape is the newline, and what follows has its fixed length
        if backslash < 0 or line[backslash:end] != _PLAIN_END or len(line) - end != 49 or line[:8] != _BEGIN:
            return self._parse(line)
        stream = "stdout" if line[end : end + 6] == b"stdout" else "stderr"
        return LogEntry(stream=stream, time_ns=self._time_ns(line[end + 16 : end + 46]), data=line[8:backslash] + b"\n")

    def _parse(self, line: bytes) -> LogEntry | None:
        import json

        try:
            fields: dict[str, Any] = json.loads(line)
            # "surrogateescape" gives each byte back that wasn't UTF-8: native/log.h
            data = fields["log"].encode("utf-8", "surrogateescape")
            return LogEntry(
                stream=str(fields["stream"]),
                time_ns=self._time_ns(fields["time"].encode()),
                data=data,
                attributes={name: str(value) for name, value in fields.get("attrs", {}).items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def _time_ns(self, text: bytes) -> int:
        """Read RFC 3339 in UTC, with any number of digits after the second."""
        if text[:19] != self._second:
            self._second_ns = seconds(text) * 1_000_000_000
            self._second = text[:19]
        return self._second_ns + int(text[20:-1].ljust(9, b"0")[:9])


def seconds(text: bytes) -> int:
    """Give the seconds since the epoch of `YYYY-MM-DDTHH:MM:SS`, read as UTC."""
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    # days of the civil calendar, years that begin in March: Howard Hinnant, "chrono-compatible low-level date algorithms"
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    days = era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468
    return days * 86400 + int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])
