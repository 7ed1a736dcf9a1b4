"""Which command lines need the very process that their caller has started.

Owns: that question, for the preloaded process (warm/worker). Leaves to others: everything else.
What a worker leaves behind becomes a child of init, and belongs to the worker's session. An engine wants the process of `create`
for itself; programs and hooks may want their caller's terminal.
"""

from __future__ import annotations

from ..errors import MinirunError
from .options import GLOBAL, find
from .parse import parse, parse_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# These start nothing.
START_NOTHING = frozenset(
    ("events", "features", "kill", "list", "pause", "ps", "resume", "spec", "state", "update")  # and nothing reads
)
# These leave a process behind with the flag, "" without one.
LEAVE_BEHIND = {"create": "", "run": "detach", "exec": "detach"}


def needs_caller(words: Sequence[str], *, has_terminal: bool, reads_terminal: bool) -> bool:
    """Say whether a command line has to run in its caller's process. A line that isn't understood needs nobody."""
    try:
        name, *rest = parse(GLOBAL, words, options_stop=True).arguments or ("",)
        command = find(name)
        if command is None:
            return False  # a message, or help
        if name in START_NOTHING:
            return reads_terminal and name == "update"
        if has_terminal or reads_terminal:
            return True
        if name not in LEAVE_BEHIND:
            return False
        flag = LEAVE_BEHIND[name]
        return not flag or parse_command(command, rest, "minirun-oci").flag(flag)
    except MinirunError:
        return False
