"""`minirun volume prune`: remove the volumes that no container uses."""

from __future__ import annotations

from ..confirm import agreed, tell_failures, tell_reclaimed, tell_removed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    filters: dict[str, list[str]] = {}
    for name, value in parsed.many("filter"):
        filters.setdefault(name, []).append(value)
    everything = parsed.flag("all")
    kind = "all" if everything else "anonymous"
    if not agreed(invocation, f"This will remove {kind} local volumes not used by at least one container."):
        return 0
    with invocation.engine() as engine:
        pruned = engine.prune_volumes(filters, all=everything)
    tell_removed("Volumes", pruned.removed)
    tell_reclaimed(pruned.reclaimed_bytes)
    return tell_failures(pruned.failures)
