"""`minirun diff`: what a container changed about its image."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    with invocation.engine() as engine:
        for change in engine.diff(invocation.parsed.arguments[0]):
            say(f"{change.kind} {change.path}")
    return 0
