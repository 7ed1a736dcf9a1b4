"""`minirun unpause`: let paused containers go on."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    with invocation.engine() as engine:

        def unpause(name: str) -> None:
            engine.unpause(name)
            say(name)

        return invocation.each(invocation.parsed.arguments, unpause)
