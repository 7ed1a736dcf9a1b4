"""`minirun-oci exec`: a further process in a container; the exit code is that process's, 255 when it could not be made."""

from __future__ import annotations

from ...runtime.run import ExecOptions, exec_
from ..process import process_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    container = invocation.container()
    process = process_of(invocation.parsed, container.bundle().spec.process)
    return exec_(container, process, ExecOptions(**invocation.parsed.fields()))
