"""From words to values, as docker reads them: the shared grammar (command_line), which is pflag's, with docker's words.

Owns: which values belong to it, docker's flags that minirun lacks, and the count of arguments.
Leaves to others: the grammar (command_line), what options there are (cli/options), what a value means (cli/values).
"""

from __future__ import annotations

from ..command_line import Command, Option, Parsed, Reader
from ..errors import InvalidInput, MinirunError, WrongCommand
from .options import ABSENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..command_line import Rows

# Values that are text to docker's flags: it looks at them later, or its daemon does. What is wrong with one is an error like any
# other then, of `run` 125 and of the other commands 1, and no wrong line.
_LOOKED_AT_LATER = (
    *("limits.cpu_set", "limits.log_driver", "limits.log_option", "limits.memory_nodes"),
    *("modes.isolation", "modes.runtime", "mounts.tmpfs", "mounts.volume", "mounts.working_directory"),
    *("scalars.container_name", "scalars.new_restart_policy", "scalars.object_type", "scalars.signal_name"),
    "times.bound",
)


class _Reader(Reader):
    values_package = "minirun.cli.values"

    def refused(self, option: Option, text: str, error: InvalidInput) -> MinirunError:
        return error if option.parser in _LOOKED_AT_LATER else super().refused(option, text, error)

    def unknown(self, name: str) -> str:
        why = ABSENT.get(name)
        if why is None:
            return super().unknown(name)
        return super().unknown(name) + (f" (docker's; {why})" if why else " (docker has it, minirun does not yet)")


def parse(rows: Rows, words: Sequence[str], *, options_stop: bool) -> Parsed:
    """Read words by the table. Raises UsageError; nothing on the host is touched but files that an option names."""
    return _Reader(rows, words, options_stop).read()


def parse_command(command: Command, words: Sequence[str]) -> Parsed:
    """Read the words after a command's name and check how many arguments there are, unless help is wanted."""
    parsed = parse((*command.rows, _HELP), words, options_stop=command.options_stop)
    if not parsed.flag("help"):
        _check_count(command, len(parsed.arguments))
    return parsed


_HELP = ("help", "", "flag", "", "", "", "")


def _check_count(command: Command, count: int) -> None:
    minimum, maximum = command.minimum, command.maximum
    if count >= minimum and (maximum < 0 or count <= maximum):
        return
    if maximum == 0:
        rule = "accepts no arguments"
    elif minimum == maximum:
        rule = f"requires {_arguments(minimum)}"
    elif count < minimum:
        rule = f"requires at least {_arguments(minimum)}"
    else:
        rule = f"requires at most {_arguments(maximum)}"
    raise WrongCommand(f"'minirun {command.name}' {rule}")


def _arguments(count: int) -> str:
    return f"{count} argument" if count == 1 else f"{count} arguments"
