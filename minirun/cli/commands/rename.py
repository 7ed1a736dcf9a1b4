"""`minirun rename`: give a container another name."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    old, new = invocation.parsed.arguments
    with invocation.engine() as engine:
        engine.rename(old, new)
    return 0
