"""`minirun create`: make a container and print its id; `start` starts it."""

from __future__ import annotations

from ...output import say
from ..request import cidfile, container_config, created

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    config = container_config(invocation.parsed)
    with invocation.engine() as engine, cidfile(invocation.parsed.text("cidfile")) as write_id:
        container = created(engine, config, invocation.parsed)
        write_id(container.id)
    say(container.id)
    return 0
