"""`minirun attach`: join the streams of a running container; the exit code is the container's."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    from ..foreground import rejoin

    parsed = invocation.parsed
    with invocation.engine() as engine:
        container = engine.container(parsed.arguments[0])
        return rejoin(
            container,
            parsed,
            interactive=not parsed.flag("no-stdin"),
            connect=lambda attachment: engine.attach(container.id, attachment),
            detached_code=1,
        )
