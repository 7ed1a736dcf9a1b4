"""`minirun commit`: a new image from what a container changed."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    with invocation.engine() as engine:
        image = engine.commit(
            parsed.arguments[0],
            parsed.arguments[1] if len(parsed.arguments) > 1 else "",
            author=parsed.text("author"),
            message=parsed.text("message"),
            changes=parsed.many("change"),
            pause=parsed.flag("pause", default=True),
        )
    say(image.id)
    return 0
