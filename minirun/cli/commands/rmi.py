"""`minirun rmi`: take a name away from an image, and the image with its last one."""

from __future__ import annotations

from ...errors import NotFound
from ...output import say, warn
from ..confirm import keep_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    force = invocation.parsed.flag("force")
    keep = keep_seconds(invocation.parsed)
    with invocation.engine() as engine:

        def remove(name: str) -> None:
            try:
                for line in engine.images.remove(name, force=force, keep_seconds=keep):
                    say(line)
            except NotFound as error:
                if not force:
                    raise
                warn(f"Error: {error}")  # said as docker does, but that it isn't there is what was wanted

        return invocation.each(invocation.parsed.arguments, remove)
