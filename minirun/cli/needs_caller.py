"""Which command lines need the very process that their caller has started: those that may read its terminal.

Owns: that question, for the preloaded process (warm/worker), whose workers live in another session: there the kernel neither stops
a background job that reads, nor changes a terminal's mode only for who is in its foreground. Leaves to others: everything else.
Only what is listed here is served by a worker while standard input is a terminal; a new command has to be added.
"""

from __future__ import annotations

from ..errors import MinirunError
from .options import GLOBAL, NOUNS, find
from .parse import parse, parse_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..command_line import Parsed

# These never read standard input.
NEVER_READ = frozenset(
    (
        *(
            "commit",
            "completion",
            "create",
            "diff",
            "events",
            "export",
            "history",
            "image inspect",
            "image log",
            "image rollback",
        ),
        *(
            "images",
            "info",
            "inspect",
            "kill",
            "logs",
            "logout",
            "manifest annotate",
            "manifest create",
            "manifest inspect",
        ),
        *(
            "manifest push",
            "manifest rm",
            "pause",
            "port",
            "ps",
            "pull",
            "push",
            "rename",
            "restart",
            "rm",
            "rmi",
            "save",
        ),
        *(
            "search",
            "stats",
            "stop",
            "system check",
            "system df",
            "system start-all",
            "system stop-all",
            "system warm",
            "tag",
            "top",
            "unpause",
        ),
        *("update", "version", "volume create", "volume inspect", "volume ls", "volume rm", "wait"),
    )
)
# These read it, or change the terminal, when one of the flags is given; those of the second kind unless it is.
WITH_FLAG = {"run": ("interactive", "tty"), "exec": ("interactive", "tty"), "start": ("attach", "interactive")}
UNLESS_FLAG = {
    **dict.fromkeys(("container prune", "image prune", "system prune", "volume prune"), "force"),
    "load": "input",
}


def needs_caller(words: Sequence[str], *, has_terminal: bool, reads_terminal: bool) -> bool:
    """Say whether a command line has to run in its caller's process. A line that isn't understood needs nobody."""
    del has_terminal  # monitors have a session of their own, and nothing else of a command outlives it
    if not reads_terminal:
        return False
    try:
        options = parse(GLOBAL, words, options_stop=True)
        name, *rest = options.arguments or ("",)
        if name in NOUNS:
            name, rest = (NOUNS[name].get(rest[0], ""), rest[1:]) if rest else ("", [])
        command = find(name)
        if command is None:
            return False  # a message, or help
        return name not in NEVER_READ and _reads(name, parse_command(command, rest))
    except MinirunError:
        return False


def _reads(name: str, parsed: Parsed) -> bool:
    if name in WITH_FLAG:
        return any(parsed.flag(flag) for flag in WITH_FLAG[name])
    if name in UNLESS_FLAG:
        return UNLESS_FLAG[name] not in parsed.values
    return True
