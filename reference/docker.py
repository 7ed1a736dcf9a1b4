"""What docker's own client has, read from its `--help` and kept as text, so that the comparison needs no client.

Owns: reading help texts, walking the tree of commands, the record (reference/docker.txt). Leaves to others: comparing.

    docker 28.2.2
    container ls, container list, container ps, ps     all ways to write one command, the shortest last
      -a, --all
      --last int = -1                                  what kind of value it takes, and its default where the help says one

Options that help doesn't show aren't here; the client's plugins (marked with a star) are no part of docker.
"""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

RECORD = Path(__file__).parent / "docker.txt"

_OPTION = re.compile(r"  (?:-(\w), |    )--([\w-]+)(?: ([\w-]+))?(?:   +(.*))?")
_COMMAND = re.compile(r"  ([a-z-]+) +\S")
_DEFAULT = re.compile(r'\(default "?([^()"]*)"?\)$')
_SHOWN = re.compile(r"  (?:-(\w), )?--([\w-]+)(?: ([\w-]+))?(?: = (.*))?")


@dataclass(frozen=True)
class Option:
    """One option: its letter or "", what its value is called ("" for a switch), its default where help names one."""

    name: str
    short: str = ""
    value: str = ""
    default: str = ""

    @property
    def spelling(self) -> str:
        return (f"-{self.short}, " if self.short else "") + f"--{self.name}" + (f" {self.value}" if self.value else "")


@dataclass(frozen=True)
class Command:
    """One command: all ways to write it, the shortest last, and its options by name."""

    spellings: tuple[str, ...]
    options: tuple[Option, ...]

    @property
    def name(self) -> str:
        return self.spellings[-1]


@dataclass(frozen=True)
class Docker:
    """A client: its version, what stands before the command, its commands by name."""

    version: str
    options: tuple[Option, ...]
    commands: tuple[Command, ...]


def options_of(text: str) -> tuple[Option, ...]:
    """Give the options that a help text lists, by name; `--help` itself isn't one."""
    found: list[tuple[re.Match[str], list[str]]] = []
    for line in text.splitlines():
        match = _OPTION.fullmatch(line)
        if match:
            found.append((match, [match[4] or ""]))
        elif found and line.startswith(" " * 8):
            found[-1][1].append(line.strip())
        elif found and not line.startswith(" "):
            break
    options = []
    for match, words in found:
        option = Option(match[2], match[1] or "", match[3] or "", default_of(" ".join(words)))
        if option.name != "help":
            options.append(option)
    return tuple(sorted(options, key=lambda option: option.name))


def default_of(text: str) -> str:
    """Give the default that a help text ends with, "" where it names none."""
    default = _DEFAULT.search(" ".join(text.split()))
    return default[1] if default else ""


def read_client(program: str = "docker") -> Docker:
    """Ask the client for everything that it has; needs no daemon. Raises CalledProcessError, FileNotFoundError."""
    version = _run(program, "--version").split()[2].rstrip(",")
    top = _run(program, "--help")
    found: dict[str, Command] = {}
    with ThreadPoolExecutor(4) as pool:
        level: list[tuple[str, ...]] = [(name,) for name in _commands(top)]
        while level:
            texts = list(pool.map(lambda words: _run(program, *words, "--help"), level))
            below: list[tuple[str, ...]] = []
            for words, text in zip(level, texts, strict=True):
                verbs = _commands(text)
                below += [(*words, verb) for verb in verbs]
                if not verbs:
                    command = Command(_spellings(text, " ".join(words)), options_of(text))
                    found[command.name] = command
            level = below
    # Where the client looks for its own files depends on whose it is.
    options = [Option(o.name, o.short, o.value, "" if ".docker" in o.default else o.default) for o in options_of(top)]
    return Docker(version, tuple(options), tuple(found[name] for name in sorted(found)))


def _run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout


def _commands(text: str) -> list[str]:
    """Give the commands that a help text lists below headings; names with a star are plugins and don't match."""
    names, listing = [], False
    for line in text.splitlines():
        if line.endswith("Commands:"):
            listing = True
        elif line and not line.startswith(" "):
            listing = False
        match = _COMMAND.match(line)
        if listing and match:
            names.append(match[1])
    return names


def _spellings(text: str, name: str) -> tuple[str, ...]:
    _, found, rest = text.partition("Aliases:\n")
    names = [part.strip().removeprefix("docker ") for part in rest.split("\n\n")[0].split(",")] if found else [name]
    return tuple(sorted(names, key=lambda spelling: (-spelling.count(" "), spelling)))


def as_text(docker: Docker) -> str:
    """Give the record's text; `from_text` reads it back."""
    lines = [f"docker {docker.version}", *_lines(docker.options)]
    for command in docker.commands:
        lines += [", ".join(command.spellings), *_lines(command.options)]
    return "\n".join(lines) + "\n"


def _lines(options: tuple[Option, ...]) -> list[str]:
    return [f"  {option.spelling}" + (f" = {option.default}" if option.default else "") for option in options]


def from_text(text: str) -> Docker:
    """Read what `as_text` wrote. Raises ValueError for a line that is neither a command nor an option."""
    groups: list[tuple[str, list[Option]]] = []
    for line in text.splitlines():
        match = _SHOWN.fullmatch(line)
        if match:
            groups[-1][1].append(Option(match[2], match[1] or "", match[3] or "", match[4] or ""))
        elif line.startswith(" "):
            raise ValueError(f"no option: {line!r}")
        else:
            groups.append((line, []))
    (head, options), *rest = groups
    commands = [Command(tuple(names.split(", ")), tuple(rows)) for names, rows in rest]
    return Docker(head.removeprefix("docker "), tuple(options), tuple(commands))


def recorded() -> Docker:
    """Give the client that the documentation compares with."""
    return from_text(RECORD.read_text())
