"""`minirun stats`: what containers use, once or again and again."""

from __future__ import annotations

import os

from ...output import printable, write, write_all
from ...units import binary_size, human_size
from ..preferences import text_preference
from ..present import short_id
from ..table import Column, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...engine.stats import Usage
    from ..invocation import Invocation
    from ..table import Columns

TABLE = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
INTERVAL_SECONDS = 1.0
ONE_LOOK_SECONDS = 0.5  # the kernel counts microseconds: long enough for a hundredth of a percent
NOTHING = "--"  # no controller counts it: docker's sign for a number that it doesn't have
# Terminal: clear all; to the first column of the first line; clear the rest of the line; clear what is below.
_CLEAR, _HOME, _END_OF_LINE, _BELOW = "\x1b[2J", "\x1b[H", "\x1b[K", "\x1b[J"


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    template = parsed.text("format") or text_preference("statsFormat")
    table = columns(truncate=not parsed.flag("no-trunc"))
    is_live = not parsed.flag("no-stream")
    on_screen = is_live and os.isatty(1) and template in ("", "table")
    with invocation.engine() as engine:
        if on_screen:
            write_all(1, _CLEAR.encode())
        interval = INTERVAL_SECONDS if is_live else ONE_LOOK_SECONDS
        for usages in engine.stats(parsed.arguments, all=parsed.flag("all"), interval_seconds=interval):
            text = show(table, usages, template, TABLE)
            if on_screen:
                _draw(text)
            else:
                write(text)
            if not is_live:
                break
    return 0


def _draw(text: str) -> None:
    """Write a table over the one before it, without a moment in which the screen is empty."""
    lines = printable(text, keep="\n").replace("\n", f"{_END_OF_LINE}\n")
    write_all(1, f"{_HOME}{lines}{_BELOW}".encode("utf-8", "surrogateescape"))


def columns(*, truncate: bool) -> Columns:
    """Give the fields of `stats`, by the names that templates use."""
    return {
        "Container": Column(
            heading="CONTAINER",
            value=lambda u: short_id(u.reference) if truncate and u.reference == u.container.id else u.reference,
        ),
        "ID": Column(heading="CONTAINER ID", value=lambda u: short_id(u.container.id) if truncate else u.container.id),
        "Name": Column(heading="NAME", value=lambda u: u.container.name),
        "CPUPerc": Column(heading="CPU %", value=lambda u: f"{u.cpu_percent:.2f}%"),
        "MemUsage": Column(heading="MEM USAGE / LIMIT", value=_memory),
        "MemPerc": Column(
            heading="MEM %",
            value=lambda u: NOTHING if u.memory_percent is None else f"{u.memory_percent:.2f}%",
        ),
        "NetIO": Column(
            heading="NET I/O", value=lambda u: f"{human_size(u.received_bytes)} / {human_size(u.sent_bytes)}"
        ),
        "BlockIO": Column(heading="BLOCK I/O", value=_block_io),
        "PIDs": Column(heading="PIDS", value=lambda u: str(u.processes)),
    }


def _memory(usage: Usage) -> str:
    if usage.memory_bytes is None or usage.memory_limit_bytes is None:
        return f"{NOTHING} / {NOTHING}"
    return f"{binary_size(usage.memory_bytes)} / {binary_size(usage.memory_limit_bytes)}"


def _block_io(usage: Usage) -> str:
    if usage.read_bytes is None or usage.written_bytes is None:
        return NOTHING
    return f"{human_size(usage.read_bytes)} / {human_size(usage.written_bytes)}"
