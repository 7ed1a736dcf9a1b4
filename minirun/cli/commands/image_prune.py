"""`minirun image prune`: remove images without a name, or all that no container stands on."""

from __future__ import annotations

from ..confirm import agreed, conditions, image_lines, keep_seconds, tell_reclaimed, tell_removed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation

DANGLING = "This will remove all dangling images."
UNUSED = "This will remove all images without at least one container associated to them."


def run(invocation: Invocation) -> int:
    everything = invocation.parsed.flag("all")
    if not agreed(invocation, UNUSED if everything else DANGLING):
        return 0
    with invocation.engine() as engine:
        pruned = engine.prune_images(
            conditions(invocation.parsed), all=everything, keep_seconds=keep_seconds(invocation.parsed)
        )
    tell_removed("Images", image_lines(pruned.removed))
    tell_reclaimed(pruned.reclaimed_bytes)
    return 0
