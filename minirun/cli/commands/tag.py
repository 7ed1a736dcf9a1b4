"""`minirun tag`: give an image one more name."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    source, target = invocation.parsed.arguments
    with invocation.engine() as engine:
        engine.images.tag(source, target)
    return 0
