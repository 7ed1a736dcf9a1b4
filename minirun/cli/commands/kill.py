"""`minirun kill`: send a signal to the first process of containers."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    with invocation.engine() as engine:

        def kill(name: str) -> None:
            engine.kill(name, invocation.parsed.text("signal") or "KILL")
            say(name)

        return invocation.each(invocation.parsed.arguments, kill)
