"""Practice of `run`, `exec` and `ps`: their lines are read, and the engine's part follows (engine/practice)."""

from __future__ import annotations

from ..engine.config import ContainerConfig
from ..engine.container import ExecConfig
from ..engine.practice import IMAGE
from ..engine.practice import practise as practise_engine
from .options import GLOBAL, find
from .parse import parse, parse_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..command_line import Parsed

_RUN = ("run", "--rm", "--network", "none", IMAGE, "true")
_EXEC = ("exec", IMAGE, "true")
_PS = ("ps", "-a")


def practise() -> None:
    """Go that way once. The host notices nothing."""
    run, further, _ = map(_read, (_RUN, _EXEC, _PS))
    practise_engine(
        ContainerConfig(image=run.arguments[0], command=run.arguments[1:], **run.fields()),
        ExecConfig(command=further.arguments[1:], **further.fields()),
    )


def _read(words: tuple[str, ...]) -> Parsed:
    name, *rest = parse(GLOBAL, words, options_stop=True).arguments
    command = find(name)
    assert command is not None
    return parse_command(command, rest)
