"""`minirun stop`: ask containers to end, and kill those that don't."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...command_line import Parsed
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    with invocation.engine() as engine:

        def stop(name: str) -> None:
            engine.stop(name, timeout_seconds(invocation.parsed), invocation.parsed.text("signal"))
            say(name)

        return invocation.each(invocation.parsed.arguments, stop)


def timeout_seconds(parsed: Parsed) -> int | None:
    """Give what --timeout says, or --time, its older name."""
    given = parsed.number("timeout")
    return parsed.number("time") if given is None else given
