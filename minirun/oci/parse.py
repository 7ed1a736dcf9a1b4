"""From words to values, as runc and crun read them: the shared grammar (command_line), which is crun's, and runc's ways too.

Owns: long options behind one dash (`-bundle DIR`), help for every command, and the count of arguments, in runc's words.
Leaves to others: the grammar (command_line), what options there are (oci/options), what a value means (oci/values).

Options may follow arguments, as both allow, except where what follows belongs to another command (exec, ps).
"""

from __future__ import annotations

from ..command_line import Command, Parsed, Reader
from ..errors import UsageError, WrongCommand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..command_line import Rows

HELP = ("help", "h", "flag", "", "show help", "", "")


class _Reader(Reader):
    values_package = "minirun.oci"

    def unknown(self, name: str) -> str:
        return f"flag provided but not defined: -{name}"

    def read_short(self, word: str) -> None:
        name = word[1:].partition("=")[0]
        if self.short(name) is None and self.long(name) is not None:
            return self.read_long(word)
        if word == "-?":  # crun's
            word = "-h"
        if self.short(word[1]) is None:
            raise UsageError(self.unknown(name))
        return super().read_short(word)


def parse(rows: Rows, words: Sequence[str], *, options_stop: bool) -> Parsed:
    """Read words by the table. Raises UsageError."""
    return _Reader((*rows, HELP), words, options_stop).read()


def parse_command(command: Command, words: Sequence[str], program: str) -> Parsed:
    """Read the words after a command's name and check how many arguments there are, unless help is wanted."""
    parsed = parse(command.rows, words, options_stop=command.options_stop)
    if not parsed.flag("help"):
        _check_count(command, len(parsed.arguments), program)
    return parsed


def _check_count(command: Command, count: int, program: str) -> None:
    minimum, maximum = command.minimum, command.maximum
    if minimum == maximum and count != minimum:
        rule = f"exactly {minimum}"
    elif count < minimum:
        rule = f"a minimum of {minimum}"
    elif 0 <= maximum < count:
        rule = f"a maximum of {maximum}"
    else:
        return
    raise WrongCommand(f'{program}: "{command.name}" requires {rule} argument(s)')
