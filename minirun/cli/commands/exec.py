"""`minirun exec`: a further process in a running container; the exit code is that process's."""

from __future__ import annotations

import os

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
    inherit = attached and not config.terminal and may_share(interactive=config.interactive)
    attachment = Attachment(
        stdin=attached and config.interactive,
        stdout=attached,
        stderr=attached,
        window=size() if config.terminal else (0, 0),
        inherit=inherit,
    )
    with invocation.engine() as engine:
        session = engine.exec(parsed.arguments[0], config, attachment)
        if config.detach:
            session.detach()
            return 0
        if inherit:
            try:
                # the process has our own descriptors: there is nothing to move
                return session.finish(session.connection.wait_exited())
            except EOFError:
                from ..foreground import after_break

                return after_break(session)
        from ..foreground import follow

        detach_keys = parsed.text("detach-keys")
        return follow(
            session, attachment, terminal=config.terminal, detach_keys=detach_keys, proxy=False, detached_code=1
        )


def may_share(*, interactive: bool) -> bool:
    """Say whether the process may have our own descriptors: pipes and the null device, nothing else of the host.

    It could read what is typed into our terminal, after its end too, and root in the container could change mode and owner of a
    terminal or file. Those get a pipe in between, as they do with docker.
    """
    return all(_is_harmless(descriptor) for descriptor in ((0, 1, 2) if interactive else (1, 2)))


def _is_harmless(descriptor: int) -> bool:
    try:
        status = os.fstat(descriptor)
        is_null = status.st_mode & 0o170000 == 0o020000 and status.st_rdev == os.makedev(1, 3)
        return is_null or os.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:[")
    except OSError:
        return False  # it is closed
