"""Help texts, made from the option table, laid out as runc's, or as crun's under that name.

Owns: headings and columns. Leaves to others: every word about an option (oci/options).
"""

from __future__ import annotations

from ..command_line import options_of
from .options import GLOBAL, find, names
from .parse import HELP
from .version import version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..command_line import Command, Option

_SUMMARY = "Open Container Initiative runtime"


def main_help(program: str) -> str:
    """Give the text of `--help`."""
    commands = [(command.name, command.summary) for name in names() if (command := find(name))]
    options = options_of((*GLOBAL, HELP))
    if program == "crun":
        lines = "".join(f"\t{name:<11} - {summary}\n" for name, summary in commands)
        return f"Usage: crun [OPTION...] COMMAND [OPTION...]\n\nCOMMANDS:\n{lines}\n" + _long_options(options)
    return (
        f"NAME:\n   {program} - {_SUMMARY}\n\n"
        f"USAGE:\n   {program} [global options] command [command options] [arguments...]\n\n"
        f"VERSION:\n{_indented(version(program).partition(' version ')[2])}\n\n"
        f"COMMANDS:\n{_columns(commands)}\n\n"
        f"GLOBAL OPTIONS:\n{_columns(_described(options))}\n"
    )


def command_help(command: Command, program: str) -> str:
    """Give the text of `COMMAND --help`."""
    options = options_of((*command.rows, HELP))
    if program == "crun":
        usage = f"crun [OPTION...] {command.name} {command.usage}".rstrip()
        return f"Usage: {usage}\n{command.summary}\n\n" + _long_options(options)
    usage = f"{program} {command.name} {command.usage}".rstrip()
    return (
        f"NAME:\n   {program} {command.name} - {command.summary}\n\n"
        f"USAGE:\n   {usage}\n\nOPTIONS:\n{_columns(_described(options))}\n"
    )


def absent_help(name: str, reason: str, program: str) -> str:
    """Give the text of `COMMAND --help` for what they have and we have not."""
    if program == "crun":
        return f"Usage: crun [OPTION...] {name}\nnot supported: {reason}\n"
    return f"NAME:\n   {program} {name} - not supported: {reason}\n\nUSAGE:\n   {program} {name}\n"


def _described(options: Sequence[Option]) -> list[tuple[str, str]]:
    """Give runc's heads: `--bundle value, -b value`."""
    rows = []
    for option in options:
        if option.help:
            value = f" {option.metavar}" if option.metavar else ""
            short = f", -{option.short}{value}" if option.short else ""
            rows.append((f"--{option.name}{value}{short}", option.help))
    return rows


def _long_options(options: Sequence[Option]) -> str:
    """Give crun's: `-b, --bundle=DIR`."""
    rows = []
    for option in options:
        if option.help:
            short = f"-{option.short}, " if option.short else "    "
            rows.append((f"{short}--{option.name}" + (f"={option.metavar}" if option.metavar else ""), option.help))
    width = max(len(head) for head, _ in rows) + 3
    return "".join(f"  {head:<{width}}{text}\n" for head, text in rows)


def _columns(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(head) for head, _ in rows) + 2
    return "\n".join(f"   {head:<{width}}{text}" for head, text in rows)


def _indented(text: str) -> str:
    return "\n".join(f"   {line}" for line in text.splitlines())
