"""`minirun wait`: block until containers have ended, then print their exit codes."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    with invocation.engine() as engine:
        return invocation.each(invocation.parsed.arguments, lambda name: say(str(engine.wait(name))))
