"""`minirun push`: bring an image, or all tags of a repository, to its registry."""

from __future__ import annotations

from ...output import say
from ..progress import to_stdout
from ..request import refuse_content_trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    name, quiet, platform = parsed.arguments[0], parsed.flag("quiet"), parsed.text("platform")
    refuse_content_trust(parsed)
    layers = to_stdout(quiet=quiet)
    with invocation.engine() as engine:
        if parsed.flag("all-tags"):
            pushed = engine.push_all(name, platform=platform, progress=layers)
        else:
            pushed = [engine.push(name, platform=platform, progress=layers)]
    if quiet:
        for each in pushed:
            say(each.name)
    return 0
