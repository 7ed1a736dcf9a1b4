"""`minirun export`: a container's file system as a tar archive."""

from __future__ import annotations

from ..archive_output import write_archive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    with invocation.engine() as engine:
        container = engine.container(parsed.arguments[0])
        write_archive(engine.export(container.id), parsed.text("output"), "export container")
    return 0
