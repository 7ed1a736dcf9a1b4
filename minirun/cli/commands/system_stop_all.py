"""`minirun system stop-all`: before a shutdown, stop everything at once. The systemd unit runs it."""

from __future__ import annotations

from ...output import say
from .stop import tell, timeout_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    with invocation.engine() as engine:
        for container, reason in engine.stop_all(timeout_seconds(invocation.parsed)):
            say(container.name)
            tell(container.name, reason)
    return 0
