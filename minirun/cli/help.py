"""Help texts, made from the option table, laid out as docker's.

Owns: `Usage:`, aliases, columns and wrapping. Leaves to others: every word about an option (cli/options).
"""

from __future__ import annotations

import os

from ..command_line import Command, Option
from .options import COMMON, NOUNS, OTHER, find, global_options, names, spellings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SLOP = 5  # a last line may be this much longer than the others: no orphan words
_NARROWEST = 24


def main_help() -> str:
    """Give the text of `minirun --help`."""
    parts = ["Usage:  minirun [OPTIONS] COMMAND", "A container runtime without a daemon"]
    commands = [command for name in names() if (command := find(name))]
    for group in (COMMON, "Management Commands", OTHER):
        rows = [(noun, verbs[""]) for noun, verbs in NOUNS.items()]
        if group != "Management Commands":
            rows = [(command.name, command.summary) for command in commands if command.group == group]
        parts.append(f"{group}:\n" + _columns(rows))
    parts.append("Global Options:\n" + _options(global_options()))
    parts.append("Run 'minirun COMMAND --help' for more information on a command.")
    return "\n\n".join(parts) + "\n"


def noun_help(noun: str) -> str:
    """Give the text of `minirun container --help` and its like."""
    verbs = NOUNS[noun]
    shown = {target: verb for verb, target in reversed(verbs.items()) if target in names()}
    shown |= {"ps": "ls", "images": "ls", "rm": "rm", "rmi": "rm", "volume ls": "ls", "volume rm": "rm"}
    rows = []
    for target in sorted({target for verb, target in verbs.items() if verb}, key=lambda name: shown[name]):
        command = find(target)
        rows.append((shown[target], command.summary if command else ""))
    parts = [f"Usage:  minirun {noun} COMMAND", verbs[""], "Commands:\n" + _columns(rows)]
    parts.append(f"Run 'minirun {noun} COMMAND --help' for more information on a command.")
    return "\n\n".join(parts) + "\n"


def command_help(command: Command, spelling: str = "") -> str:
    """Give the text of `minirun run --help`; `spelling` is how the user wrote the command (`container run`)."""
    parts = [f"Usage:  minirun {spelling or command.name} {command.usage}", command.summary]
    aliases = spellings(command.name)
    if aliases:
        parts.append("Aliases:\n  " + ", ".join(f"minirun {alias}" for alias in aliases))
    options = [option for option in command.options() if option.help]
    if options:
        takes_h = any(option.short == "h" for option in options)  # so -h isn't help, and docker says so
        parts.append("Options:\n" + _options([*options, HELP] if takes_h else options))
    return "\n\n".join(parts) + "\n"


HELP = Option(name="help", short="", kind="flag", metavar="", help="Print usage", parser="", field="")


def _columns(rows: list[tuple[str, str]]) -> str:
    return "\n".join(f"  {name:<12}{summary}" for name, summary in rows)


def _options(options: Sequence[Option]) -> str:
    shown = sorted(options, key=lambda option: option.name)
    heads = [_head(option) for option in shown]
    indent = max(map(len, heads)) + 3
    return "\n".join(
        head.ljust(indent) + wrap(option.help, indent, _width()) for head, option in zip(heads, shown, strict=True)
    )


def _head(option: Option) -> str:
    short = f"-{option.short}, " if option.short else "    "
    return f"  {short}--{option.name}" + (f" {option.metavar}" if option.metavar else "")


def _width() -> int:
    """The width of the terminal, 80 when there is none, less one column so that no terminal wraps a full line."""
    try:
        return (os.get_terminal_size(1).columns or 80) - 1
    except OSError:
        return 79


def wrap(text: str, indent: int, width: int) -> str:
    """Break a help text at spaces; every line after the first is indented."""
    room = max(width - indent, _NARROWEST)
    lines: list[str] = []
    for paragraph in text.split("\n"):
        while len(paragraph) >= room:
            cut = paragraph.rfind(" ", 0, room - _SLOP)
            if cut <= 0:
                cut = paragraph.find(" ", room - _SLOP)
            if cut <= 0:
                break
            lines.append(paragraph[:cut].rstrip())
            paragraph = paragraph[cut:].lstrip()
        lines.append(paragraph)
    return ("\n" + " " * indent).join(lines)
