"""`minirun restart`: stop and start again."""

from __future__ import annotations

from ...output import say
from .stop import tell, timeout_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    with invocation.engine() as engine:

        def restart(name: str) -> None:
            reason = engine.restart(name, timeout_seconds(invocation.parsed), invocation.parsed.text("signal"))
            say(name)
            tell(name, reason)

        return invocation.each(invocation.parsed.arguments, restart)
