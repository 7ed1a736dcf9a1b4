"""`minirun system prune`: remove whatever nobody uses."""

from __future__ import annotations

from ...errors import InvalidInput
from ..confirm import (
    agreed,
    conditions,
    image_lines,
    keep_seconds,
    tell_failures,
    tell_kept,
    tell_reclaimed,
    tell_removed,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...command_line import Parsed
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    if parsed.flag("volumes") and any(name == "until" for name, _ in parsed.many("filter")):
        raise InvalidInput('The "until" filter is not supported with "--volumes"')
    from ...engine.prune import Pruned

    if not agreed(invocation, warning(parsed)):
        return 0
    filters = conditions(parsed)
    with invocation.engine() as engine:
        containers = engine.prune_containers(filters)
        tell_removed("Containers", containers.removed)
        volumes = engine.prune_volumes(filters) if parsed.flag("volumes") else Pruned()
        tell_removed("Volumes", volumes.removed)
        images = engine.prune_images(filters, all=parsed.flag("all"), keep_seconds=keep_seconds(parsed))
        tell_removed("Images", image_lines(images.removed))
    tell_reclaimed(containers.reclaimed_bytes + volumes.reclaimed_bytes + images.reclaimed_bytes)
    tell_kept(images.kept)
    return tell_failures((*containers.failures, *volumes.failures))


def warning(parsed: Parsed) -> str:
    """Give docker's list of what will go; there is no build cache, and the one network is always kept."""
    everything = parsed.flag("all")
    doomed = ["all stopped containers", "all networks not used by at least one container"]
    if parsed.flag("volumes"):
        doomed.append("all anonymous volumes not used by at least one container")
    doomed.append(
        "all images without at least one container associated to them" if everything else "all dangling images"
    )
    doomed.append("all build cache" if everything else "unused build cache")
    text = "This will remove:\n" + "".join(f"  - {thing}\n" for thing in doomed)
    given = parsed.many("filter")
    if given:
        text += "\n  Items to be pruned will be filtered with:\n"
        text += "".join(f"  - {name}={value}\n" for name, value in given)
    return text
