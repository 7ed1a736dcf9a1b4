"""The log of `minirun-oci`, in the two forms that engines read: logrus' text and JSON.

Owns: `--log`, `--log-format`, `--log-level`, `--debug`. Leaves to others: what is said; the host's own log (log_services).

    time="2026-01-02T03:04:05Z" level=error msg="container does not exist"
    {"level":"error","msg":"container does not exist","time":"2026-01-02T03:04:05Z"}

containerd and podman read `msg` of the last line with level error. With `--log`, an error is also said on standard error,
plainly, for whoever sits in front of it; without, the line itself goes there.
"""

from __future__ import annotations

import os

from ..light import suppress
from ..output import printable, warn, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


_LEVELS = ("error", "warning", "debug")


class Log:
    """Where messages go: a file (`file:PATH` or just its path), or the host's log. Raises OSError when a file can't be opened."""

    def __init__(self, destination: str = "", form: str = "text", level: str = "warning") -> None:
        self._form = form
        self._levels = _LEVELS[: _LEVELS.index(level) + 1]
        self._descriptor = -1
        self._send: Callable[[str, str], None] | None = None
        service, colon, name = destination.partition(":")
        if colon and service in ("journald", "syslog"):
            from .log_services import sender

            self._send = sender(service, name)
        elif destination:
            path = name if colon and service == "file" else destination
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def error(self, message: str) -> None:
        """Say why the command failed."""
        self._write("error", message)
        if self._descriptor >= 0 or self._send:
            warn(message)

    def warning(self, message: str) -> None:
        """Say what isn't as it was asked, although the command goes on."""
        self._write("warning", message)

    def debug(self, message: str) -> None:
        """Say what goes on, when `--debug` asks for it."""
        self._write("debug", message)

    def _write(self, level: str, message: str) -> None:
        """Write one line. A full disk or a reader that has gone must not hide what the command does."""
        if level not in self._levels:
            return
        if self._send:
            self._send(level, message)
            return
        line = self._line(level, message) + "\n"
        descriptor = self._descriptor if self._descriptor >= 0 else 2
        with suppress(OSError):
            write_all(descriptor, line.encode("utf-8", "backslashreplace"))

    def _line(self, level: str, message: str) -> str:
        import time

        from ..units import SECOND_NS, rfc3339

        now = rfc3339(time.time_ns() // SECOND_NS * SECOND_NS)
        if self._form == "json":
            from ..jsontext import dumps

            return dumps({"level": level, "msg": message, "time": now})
        return f'time="{now}" level={level} msg={_quoted(message)}'


def _quoted(text: str) -> str:
    """Give text in quotation marks where logrus would put them: around all but plain words."""
    if text and all(letter.isascii() and (letter.isalnum() or letter in "-._/@^+") for letter in text):
        return text
    for letter, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(letter, escape)
    return f'"{printable(text)}"'
