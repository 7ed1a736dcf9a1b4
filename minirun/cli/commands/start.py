"""`minirun start`: start containers that are at rest; with --attach, one of them in the foreground."""

from __future__ import annotations

from ...errors import BadCall
from ...output import say, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...engine.engine import Engine
    from ...engine.session import Attachment, Session
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    attached = parsed.flag("attach") or parsed.flag("interactive")
    if attached and len(parsed.arguments) > 1:
        raise BadCall("you cannot start and attach multiple containers at once")
    with invocation.engine() as engine:
        if attached:
            return _foreground(engine, invocation)

        def start(name: str) -> None:
            _start(engine, name, None).detach()
            say(name)

        return invocation.each(parsed.arguments, start)


def _foreground(engine: Engine, invocation: Invocation) -> int:
    from ..foreground import rejoin

    parsed = invocation.parsed
    container = engine.container(parsed.arguments[0])
    return rejoin(
        container,
        parsed,
        interactive=parsed.flag("interactive"),
        connect=lambda attachment: _start(engine, container.id, attachment),
    )


def _start(engine: Engine, name: str, attachment: Attachment | None) -> Session:
    session = engine.start(name, attachment)
    if session.remark:
        warn(f"WARNING: {session.remark}")
    return session
