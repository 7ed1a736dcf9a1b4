"""`minirun run`: create, start, and stay in the foreground unless --detach."""

from __future__ import annotations

from ...errors import BadCall
from ...output import say, warn, write
from ..request import cidfile, container_config, created
from ..terminal import require, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...command_line import Parsed
    from ...engine.config import ContainerConfig
    from ...engine.container import Container
    from ...engine.engine import Engine
    from ...engine.session import Attachment, Session
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    """Run a container; the exit code is the container's, or 125 to 127."""
    parsed = invocation.parsed
    config = container_config(parsed)
    detach = parsed.flag("detach")
    if detach and config.attach:
        raise BadCall("conflicting options: cannot specify both --attach and --detach")
    if parsed.flag("explain"):
        with invocation.engine() as engine:
            write("".join(line + "\n" for line in engine.explain(config)))
        return 0
    if not detach:
        require(config.interactive, config.terminal)
    with invocation.engine() as engine, cidfile(parsed.text("cidfile")) as write_id:
        container = created(engine, config, parsed)
        write_id(container.id)
        return _background(engine, container, parsed) if detach else _foreground(engine, container, config, parsed)


def _background(engine: Engine, container: Container, parsed: Parsed) -> int:
    from ...engine.session import Attachment

    try:
        with _started(engine, container, Attachment(trace=parsed.flag("trace"))) as session:
            session.detach()
    finally:
        say(container.id)  # of one that could not be started too: it is there, with the reason
    return 0


def _foreground(engine: Engine, container: Container, config: ContainerConfig, parsed: Parsed) -> int:
    from ...engine.session import Attachment
    from ..foreground import follow

    streams = config.attach or ("stdout", "stderr", "stdin")
    attachment = Attachment(
        stdin=config.interactive and "stdin" in streams,
        stdout="stdout" in streams,
        stderr="stderr" in streams,
        trace=parsed.flag("trace"),
        window=size() if config.terminal else (0, 0),
    )
    session = _started(engine, container, attachment)
    return follow(
        session,
        attachment,
        terminal=config.terminal,
        detach_keys=config.detach_keys,
        proxy=parsed.flag("sig-proxy", default=True),
    )


def _started(engine: Engine, container: Container, attachment: Attachment) -> Session:
    """Start it; a container that was to remove itself at its end is removed as well when it has no beginning."""
    try:
        session = engine.start(container.id, attachment)
    except BaseException:
        if container.config.auto_remove:
            engine.remove(container.id, force=True)
        raise
    if session.remark:
        warn(f"WARNING: {session.remark}")
    if attachment.trace:
        from ..trace import say_trace

        say_trace(session)
    return session
