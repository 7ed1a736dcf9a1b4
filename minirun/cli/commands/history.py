"""`minirun history`: the steps that made an image."""

from __future__ import annotations

from ...output import write
from ..present_history import HISTORY_TABLE, history_columns
from ..table import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    with invocation.engine() as engine:
        steps = engine.images.history(parsed.arguments[0], parsed.text("platform"))
    columns = history_columns(truncate=not parsed.flag("no-trunc"), human=parsed.flag("human", default=True))
    if parsed.flag("quiet") and not parsed.text("format"):
        write("".join(f"{columns['ID'].value(step)}\n" for step in steps))
        return 0
    write(show(columns, steps, parsed.text("format"), HISTORY_TABLE))
    return 0
