"""`minirun save`: images as a tar archive that docker and OCI tools load."""

from __future__ import annotations

from ..archive_output import write_archive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    with invocation.engine() as engine:
        pieces = engine.images.save(parsed.arguments, parsed.text("platform"))
        write_archive(pieces, parsed.text("output"), "save image")
    return 0
