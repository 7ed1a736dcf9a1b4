"""`minirun attach`: join the streams of a running container; the exit code is the container's."""

from __future__ import annotations

from ...engine.session import Attachment
from ..terminal import require

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    from ..foreground import follow

    parsed = invocation.parsed
    with invocation.engine() as engine:
        container = engine.container(parsed.arguments[0])
        config = container.config
        interactive = config.interactive and not parsed.flag("no-stdin")
        require(interactive, config.terminal)
        attachment = Attachment(stdin=interactive, stdout=True, stderr=True)
        session = engine.attach(container.id, attachment)
        return follow(
            session,
            attachment,
            terminal=config.terminal,
            detach_keys=parsed.text("detach-keys") or config.detach_keys,
            proxy=parsed.flag("sig-proxy", default=True),
        )
