"""`minirun system check`: is everything in the store what it should be? With --repair, make it so where that is possible."""

from __future__ import annotations

from ...output import say, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    repair = invocation.parsed.flag("repair")
    with invocation.engine() as engine:
        damages = engine.check(repair=repair)
    for damage in damages:
        say(str(damage))
    left = sum(not damage.repair for damage in damages)
    if not damages:
        say("Everything is whole")
    elif left:
        warn(
            f"Error: {left} of {len(damages)} damaged"
            + ("" if repair else ": --repair removes or rebuilds what can be")
        )
    return 1 if left else 0
