"""`minirun manifest push`: bring a list of images to its registry."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    with invocation.engine() as engine:
        pushed = engine.images.push_list(parsed.arguments[0], progress=say, purge=parsed.flag("purge"))
    say(pushed.digest)
    return 0
