"""`minirun rm`: remove containers and what they wrote."""

from __future__ import annotations

from ...errors import NotFound
from ...output import say, warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    force = parsed.flag("force")
    with invocation.engine() as engine:

        def remove(name: str) -> None:
            if parsed.flag("link"):
                engine.unlink(name)
                say(name)
                return
            try:
                engine.remove(name, force=force, volumes=parsed.flag("volumes"))
            except NotFound as error:
                if not force:
                    raise
                warn(f"Error: {error}")  # said as docker does, but that it isn't there is what was wanted
            else:
                say(name)

        return invocation.each(parsed.arguments, remove)
