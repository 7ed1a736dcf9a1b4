"""`minirun volume create`: make a volume and print its name."""

from __future__ import annotations

from ...errors import BadCall
from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    if parsed.arguments and parsed.text("name"):
        raise BadCall("conflicting options: cannot specify a volume-name through both --name and as a positional arg")
    with invocation.engine() as engine:
        volume = engine.create_volume(
            parsed.arguments[0] if parsed.arguments else parsed.text("name"),
            driver=parsed.text("driver"),
            labels=dict(parsed.many("label")),
            options=dict(parsed.many("opt")),
        )
    say(volume.name)
    return 0
