"""`minirun stop`: ask containers to end, and kill those that don't."""

from __future__ import annotations

from ...errors import BadCall
from ...output import say, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...command_line import Parsed
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    with invocation.engine() as engine:

        def stop(name: str) -> None:
            reason = engine.stop(name, timeout_seconds(invocation.parsed), invocation.parsed.text("signal"))
            say(name)
            tell(name, reason)

        return invocation.each(invocation.parsed.arguments, stop)


def tell(name: str, reason: str) -> None:
    """Say on standard error why a container was killed at once; what scripts read is docker's line alone."""
    if reason:
        warn(f"{name}: killed without waiting: {reason}")


def timeout_seconds(parsed: Parsed) -> int | None:
    """Give what --timeout says, or --time, its older name."""
    given, older = parsed.number("timeout"), parsed.number("time")
    if given is not None and older is not None:
        raise BadCall("conflicting options: cannot specify both --timeout and --time")
    return older if given is None else given
