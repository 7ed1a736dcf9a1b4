"""`minirun logs`: what a container wrote, byte for byte, each stream to its own."""

from __future__ import annotations

from ...output import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    stamp = parsed.flag("timestamps")
    with invocation.engine() as engine:
        entries = engine.logs(
            parsed.arguments[0],
            follow=parsed.flag("follow"),
            tail=parsed.number("tail"),
            since_ns=parsed.number("since"),
            until_ns=parsed.number("until"),
        )
        unfinished = {"stdout": False, "stderr": False}
        for entry in entries:
            data = entry.data
            if stamp and not unfinished[entry.stream]:  # a long line comes in parts: one stamp for the line
                from ...units import rfc3339_padded

                data = rfc3339_padded(entry.time_ns).encode() + b" " + data
            unfinished[entry.stream] = not data.endswith(b"\n")
            write_all(2 if entry.stream == "stderr" else 1, data)
    return 0
