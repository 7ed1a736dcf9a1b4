"""`minirun top`: the processes of a container, in the columns of the host's ps."""

from __future__ import annotations

from ...output import align, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation

MINIMUM = 20  # docker's width of a column here


def run(invocation: Invocation) -> int:
    name, *arguments = invocation.parsed.arguments
    with invocation.engine() as engine:
        processes = engine.top(name, arguments)
    write(align([processes.titles, *processes.rows], MINIMUM))
    return 0
