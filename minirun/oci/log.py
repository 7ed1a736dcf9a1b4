"""The log of `minirun-oci`, in the two forms that engines read: logrus' text and JSON.

Owns: `--log`, `--log-format`, `--debug`. Leaves to others: what is said.

    time="2026-01-02T03:04:05Z" level=error msg="container does not exist"
    {"level":"error","msg":"container does not exist","time":"2026-01-02T03:04:05Z"}

containerd and podman read `msg` of the last line with level error. With `--log`, an error is also said on standard error,
plainly, for whoever sits in front of it; without, the line itself goes there.
"""

from __future__ import annotations

import os

from ..light import suppress
from ..output import printable, warn, write_all


class Log:
    """Where messages go. Raises OSError when its file can't be opened."""

    def __init__(self, path: str = "", form: str = "text", *, debug: bool = False) -> None:
        self._form = form
        self._debug = debug
        self._descriptor = -1
        if path:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def error(self, message: str) -> None:
        """Say why the command failed."""
        self._write("error", message)
        if self._descriptor >= 0:
            warn(message)

    def warning(self, message: str) -> None:
        """Say what isn't as it was asked, although the command goes on."""
        self._write("warning", message)

    def debug(self, message: str) -> None:
        """Say what goes on, when `--debug` asks for it."""
        if self._debug:
            self._write("debug", message)

    def _write(self, level: str, message: str) -> None:
        """Write one line. A full disk or a reader that has gone must not hide what the command does."""
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
