"""`minirun container prune`: remove all containers at rest."""

from __future__ import annotations

from ..confirm import agreed, conditions, tell_failures, tell_reclaimed, tell_removed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    if not agreed(invocation, "This will remove all stopped containers."):
        return 0
    with invocation.engine() as engine:
        pruned = engine.prune_containers(conditions(invocation.parsed))
    tell_removed("Containers", pruned.removed)
    tell_reclaimed(pruned.reclaimed_bytes)
    return tell_failures(pruned.failures)
