"""`minirun manifest create`: a list of images for several platforms, kept here until it is pushed."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    name, *sources = parsed.arguments
    with invocation.engine() as engine:
        full = engine.images.create_list(name, sources, amend=parsed.flag("amend"))
    say(f"Created manifest list {full}")
    return 0
