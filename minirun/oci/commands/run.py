"""`minirun-oci run`: create and start a container; the exit code is its program's, or 0 when detached."""

from __future__ import annotations

from ...runtime.create import CreateOptions
from ...runtime.run import run as run_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    return run_container(
        invocation.runtime(),
        invocation.id,
        invocation.bundle(),
        CreateOptions(**parsed.fields()),
        detach=parsed.flag("detach"),
        keep=parsed.flag("keep"),
        subreaper=not parsed.flag("no-subreaper"),
    )
