"""An image that isn't here is pulled before `run` and `create`, as `--pull` says.

Owns: when. Leaves to others: the pull and its words (engine/bring), the layers' lines (cli/progress).
"""

from __future__ import annotations

from ..errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..command_line import Parsed
    from ..engine.container import Container
    from ..engine.engine import Engine


def with_image(engine: Engine, parsed: Parsed, name: str, act: Callable[[], Container]) -> Container:
    """Do what needs an image; when it isn't here, or always, as `--pull` says, pull it and do it again."""
    policy = parsed.text("pull") or "missing"
    if policy != "always":
        try:
            return act()
        except NotFound:
            if policy == "never" or _is_here(engine, name):
                raise
    from ..engine.bring import shown
    from .progress import to_stderr

    layers = to_stderr(quiet=parsed.flag("quiet"))
    if policy == "missing":
        layers.say(f"Unable to find image '{shown(name)}' locally")
    engine.pull(shown(name), platform=parsed.text("platform"), progress=layers)
    return act()


def _is_here(engine: Engine, name: str) -> bool:
    """Was it something else that wasn't found?"""
    try:
        engine.images.resolve(name)
    except NotFound:
        return False
    return True
