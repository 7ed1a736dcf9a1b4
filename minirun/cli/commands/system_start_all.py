"""`minirun system start-all`: after a reboot, start what its restart policy asks for. The systemd unit runs it."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    with invocation.engine() as engine:
        names = {container.id: container.name for container in engine.after_boot()}

        def start(container_id: str) -> None:
            engine.start(container_id).detach()
            say(names[container_id])

        return invocation.each(names, start)
