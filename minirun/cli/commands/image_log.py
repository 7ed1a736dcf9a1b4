"""`minirun image log`: what a name has led to, and since when."""

from __future__ import annotations

from ...output import write
from ..present_history import LOG_TABLE, log_columns
from ..table import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    with invocation.engine() as engine:
        moves = engine.images.log(parsed.arguments[0])
    columns = log_columns(truncate=not parsed.flag("no-trunc"))
    if parsed.flag("quiet") and not parsed.text("format"):
        write("".join(f"{columns['ID'].value(move)}\n" for move in moves))
        return 0
    write(show(columns, moves, parsed.text("format"), LOG_TABLE))
    return 0
