"""`minirun start`: start containers that are at rest; with --attach, one of them in the foreground."""

from __future__ import annotations

from ...engine.session import Attachment
from ...errors import UsageError
from ...output import say
from ..terminal import require, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...engine.engine import Engine
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    attached = parsed.flag("attach") or parsed.flag("interactive")
    if attached and len(parsed.arguments) > 1:
        raise UsageError("you cannot start and attach multiple containers at once")
    with invocation.engine() as engine:
        if attached:
            return _foreground(engine, invocation)

        def start(name: str) -> None:
            engine.start(name).detach()
            say(name)

        return invocation.each(parsed.arguments, start)


def _foreground(engine: Engine, invocation: Invocation) -> int:
    from ..foreground import follow

    parsed = invocation.parsed
    container = engine.container(parsed.arguments[0])
    config = container.config
    interactive = parsed.flag("interactive") and config.interactive
    require(interactive, config.terminal)
    attachment = Attachment(stdin=interactive, stdout=True, stderr=True, window=size() if config.terminal else (0, 0))
    session = engine.start(container.id, attachment)
    return follow(
        session,
        attachment,
        terminal=config.terminal,
        detach_keys=parsed.text("detach-keys") or config.detach_keys,
        proxy=parsed.flag("sig-proxy", default=True),
    )
