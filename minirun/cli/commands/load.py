"""`minirun load`: images from an archive of `docker save` or an OCI layout, from a file or standard input."""

from __future__ import annotations

from ...output import say
from ..input import archive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    with (
        invocation.engine() as engine,
        archive(parsed.text("input") or "-", "requires an archive: minirun load -i FILE") as stream,
    ):
        for loaded in engine.images.load(stream, platform=parsed.text("platform")):
            if loaded.reference:
                say(f"Loaded image: {loaded.reference}")
            else:
                say(f"Loaded image ID: {loaded.id}")
    return 0
