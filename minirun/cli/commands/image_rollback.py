"""`minirun image rollback`: let a name lead again to what it led to before."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    with invocation.engine() as engine:
        move = engine.images.rollback(parsed.arguments[0], parsed.text("to"))
    say(move.image_id)
    return 0
