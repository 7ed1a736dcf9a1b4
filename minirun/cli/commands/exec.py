"""`minirun exec`: a further process in a running container; the exit code is that process's."""

from __future__ import annotations

from ...engine.session import Attachment
from ..request import exec_config
from ..terminal import require, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    config = exec_config(parsed)
    if not config.detach:
        require(config.interactive, config.terminal)
    attached = not config.detach
    attachment = Attachment(
        stdin=attached and config.interactive,
        stdout=attached,
        stderr=attached,
        window=size() if config.terminal else (0, 0),
    )
    with invocation.engine() as engine:
        session = engine.exec(parsed.arguments[0], config, attachment)
        if config.detach:
            session.detach()
            return 0
        if not config.terminal:
            return session.wait()  # the process has our own descriptors: there is nothing to move
        from ..foreground import follow

        return follow(session, attachment, terminal=True, detach_keys=parsed.text("detach-keys"), proxy=False)
