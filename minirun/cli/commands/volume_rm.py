"""`minirun volume rm`: remove volumes that no container uses."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    with invocation.engine() as engine:

        def remove(name: str) -> None:
            engine.remove_volume(name, force=parsed.flag("force"))
            say(name)

        return invocation.each(parsed.arguments, remove)
