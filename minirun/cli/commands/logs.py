"""`minirun logs`: what a container wrote, byte for byte, each stream to its own."""

from __future__ import annotations

from ...output import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...monitor.logs import LogEntry
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    stamp, details = parsed.flag("timestamps"), parsed.flag("details")
    with invocation.engine() as engine:
        entries = engine.logs(
            parsed.arguments[0],
            follow=parsed.flag("follow"),
            tail=parsed.number("tail"),
            since_ns=parsed.number("since"),
            until_ns=parsed.number("until") or None,  # 0 is docker's "no end"
        )
        unfinished = {"stdout": False, "stderr": False}
        for entry in entries:
            data = entry.data
            if (stamp or details) and not unfinished[
                entry.stream
            ]:  # a long line comes in parts: one stamp for the line
                data = _before(entry, stamp=stamp, details=details) + data
            unfinished[entry.stream] = not data.endswith(b"\n")
            write_all(2 if entry.stream == "stderr" else 1, data)
    return 0


def _before(entry: LogEntry, *, stamp: bool, details: bool) -> bytes:
    """Give what stands before a line: its time, then what its record says of the container, escaped as in a URL."""
    text = ""
    if stamp:
        from ...units import rfc3339_padded

        text += f"{rfc3339_padded(entry.time_ns)} "
    if details:
        from urllib.parse import quote_plus

        pairs = sorted(entry.attributes.items())
        text += ",".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs) + " "
    return text.encode()
