"""`minirun update`: change the limits of containers, at once and for later starts."""

from __future__ import annotations

from ...errors import WrongCommand
from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    from ...engine.update import Limits

    if not invocation.parsed.values:
        raise WrongCommand("you must provide one or more flags when using this command")
    limits = Limits(**invocation.parsed.fields())
    with invocation.engine() as engine:

        def update(name: str) -> None:
            engine.update(name, limits)
            say(name)

        return invocation.each(invocation.parsed.arguments, update)
