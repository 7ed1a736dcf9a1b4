"""`minirun-oci run`: create and start a container; the exit code is its program's, or 0 when detached."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    from ...runtime import container

    parsed = invocation.parsed
    return container.run(
        invocation.runtime(),
        invocation.id,
        invocation.bundle(),
        container.CreateOptions(**parsed.fields()),
        detach=parsed.flag("detach"),
        keep=parsed.flag("keep"),
        subreaper=not parsed.flag("no-subreaper"),
    )
