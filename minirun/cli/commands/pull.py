"""`minirun pull`: bring an image, or all tags of a repository, from its registry."""

from __future__ import annotations

from ...output import say
from ..progress import to_stdout
from ..request import refuse_content_trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    name, platform = parsed.arguments[0], parsed.text("platform")
    refuse_content_trust(parsed)
    layers = to_stdout(quiet=parsed.flag("quiet"))
    with invocation.engine() as engine:
        if parsed.flag("all-tags"):
            brought = engine.pull_all(name, platform=platform, progress=layers)
            names = list(dict.fromkeys(each.name.rpartition(":")[0] for each in brought))
        else:
            names = [engine.pull(name, platform=platform, progress=layers).name]
    for each in names:
        say(each)
    return 0
