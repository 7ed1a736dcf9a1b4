"""`minirun push`: bring an image, or all tags of a repository, to its registry."""

from __future__ import annotations

from ...output import say
from ..progress import to_stdout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    name, quiet = parsed.arguments[0], parsed.flag("quiet")
    layers = to_stdout(quiet=quiet)
    with invocation.engine() as engine:
        every = parsed.flag("all-tags")
        pushed = engine.push_all(name, progress=layers) if every else [engine.push(name, progress=layers)]
    if quiet:
        for each in pushed:
            say(each.name)
    return 0
