"""`minirun pause`: freeze all processes of containers."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    with invocation.engine() as engine:

        def pause(name: str) -> None:
            engine.pause(name)
            say(name)

        return invocation.each(invocation.parsed.arguments, pause)
