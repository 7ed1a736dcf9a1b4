"""`minirun create`: make a container and print its id; `start` starts it."""

from __future__ import annotations

from ...output import say
from ..bring import with_image
from ..request import cidfile, container_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    config = container_config(invocation.parsed)
    with invocation.engine() as engine, cidfile(invocation.parsed.text("cidfile")) as write_id:
        container = with_image(engine, invocation.parsed, config.image, lambda: engine.create(config))
        write_id(container.id)
    say(container.id)
    return 0
