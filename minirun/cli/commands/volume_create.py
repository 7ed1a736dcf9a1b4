"""`minirun volume create`: make a volume and print its name."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    with invocation.engine() as engine:
        volume = engine.create_volume(
            parsed.arguments[0] if parsed.arguments else "",
            driver=parsed.text("driver"),
            labels=dict(parsed.many("label")),
            options=dict(parsed.many("opt")),
        )
    say(volume.name)
    return 0
