"""`minirun manifest inspect`: a list that was made here, an image of it, or a manifest as its registry has it."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    name, *image = parsed.arguments
    with invocation.engine() as engine:
        say(engine.images.inspect_list(name, *image, verbose=parsed.flag("verbose")))
    return 0
