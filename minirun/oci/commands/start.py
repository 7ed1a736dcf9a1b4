"""`minirun-oci start`: let the program of a created container begin."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    invocation.container().start()
    return 0
