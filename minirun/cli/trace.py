"""What `run --trace` prints: each operation of a start with the time that it took.

Owns: these lines. Leaves to others: describing an operation (linux/plan), measuring it (native/).
"""

from __future__ import annotations

import os

from ..output import warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..engine.session import Session


def say_trace(session: Session) -> None:
    """Write one line per operation to standard error, where it doesn't mix with the container's output."""
    if session.plan is None:  # it ran already: nothing was started
        return
    total = 0
    operations = session.plan.operations()
    for entry in session.connection.traces:
        total += entry.duration_ns
        failed = f"  ({os.strerror(entry.errno)}; optional)" if entry.errno else ""
        side = operations[entry.operation_index][0]
        warn(f"{entry.duration_ns / 1000:10.1f} us  {side:<8} {session.plan.describe(entry.operation_index)}{failed}")
    warn(f"{total / 1000:10.1f} us  in all")
