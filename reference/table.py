"""The comparison: every command and option of docker's, and what of it minirun has; and docs/commands.md, made of it.

Owns: what counts as same, differs, missing, own; the page. Leaves to others: what docker has (reference/docker), what minirun has
(cli/options), the reasons (reference/reasons).

An option is the same when letter, kind of value and default are, and no reason says that it does something else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from minirun.cli import options as ours
from minirun.command_line import Option
from reference import docker, reasons

SAME, DIFFERS, MISSING, OWN = "same", "differs", "missing", "own"

_HEAD = """\
# Commands and options beside docker's

Every command and option of docker {version} and of minirun, made from the option table by `make docs`; a test compares this page with
the table, and with `docker COMMAND --help` where that client is. *same*: letter, kind of value, default and effect are docker's.
*own*: docker's help has no such thing. Options without a row in docker's help (`--net`, `--dns-opt`, `stop --time`) are taken as docker takes them.

"""


@dataclass
class Row:
    """One command or option: how it is written, what it is, why."""

    spelling: str
    status: str
    why: str = ""


@dataclass
class Section:
    """One command and its options; `others` are its further spellings."""

    command: Row
    others: tuple[str, ...] = ()
    options: list[Row] = field(default_factory=list)


class Comparison:
    """All sections; `unexplained` are the differences without a reason, `stale` the reasons without a difference."""

    def __init__(self, theirs: docker.Docker) -> None:
        self.version = theirs.version
        self._missing = dict(reasons.MISSING)
        self._differs = dict(reasons.DIFFERS)
        self._used: set[str] = set()
        self.unexplained: list[str] = []
        globals_ = tuple(option for option in ours.global_options() if option.name != "help")
        self.top = self._options("", theirs.options, globals_)
        self.sections: list[Section] = []
        covered: set[str] = set()
        for command in theirs.commands:
            self.sections.append(self._compare(command))
            covered.update(command.spellings)
        for name in _our_spellings():
            if name[-1] not in covered and not covered & set(name):
                self.sections.append(self._own(name))
        self.sections.sort(key=lambda section: section.command.spelling)
        self.stale = sorted((set(reasons.MISSING) | set(reasons.DIFFERS)) - self._used)

    def _compare(self, command: docker.Command) -> Section:
        targets = {spelling: target(spelling) for spelling in command.spellings}
        found = {name for name in targets.values() if name}
        others = command.spellings[:-1]
        if not found:
            return Section(Row(command.name, MISSING, self._reason(self._missing, command.name)), others)
        assert len(found) == 1, f"spellings of one command of docker's lead to several: {targets}"
        row = Row(command.name, SAME)
        absent = [spelling for spelling, name in targets.items() if not name]
        if command.name in self._differs:
            row = Row(command.name, DIFFERS, self._reason(self._differs, command.name))
        if absent:
            self.unexplained.append(f"{command.name}: also written {', '.join(absent)}")
        mine = ours.find(found.pop())
        assert mine is not None
        shown = tuple(option for option in mine.options() if option.help)
        return Section(row, others, self._options(command.name, command.options, shown))

    def _options(self, name: str, theirs: tuple[docker.Option, ...], mine: tuple[Option, ...]) -> list[Row]:
        by_name = {option.name: as_docker_shows(option) for option in mine}
        rows = []
        for option in theirs:
            key = f"{name} --{option.name}".strip()
            own = by_name.pop(option.name, None)
            if own is None:
                why = self._reason(self._missing, key, f"--{option.name}")
                rows.append(Row(option.spelling, MISSING, why))
                continue
            differences = _differences(option, own)
            why = self._reason(self._differs, key, f"--{option.name}", required=bool(differences))
            text = "; ".join([*differences, why] if why else differences)
            rows.append(Row(own.spelling, DIFFERS if text else SAME, text))
        helps = {option.name: _first_line(option.help) for option in mine}
        rows += [Row(own.spelling, OWN, helps[own.name]) for own in by_name.values()]
        return sorted(rows, key=lambda row: row.spelling.partition("--")[2])

    def _own(self, spellings: tuple[str, ...]) -> Section:
        command = ours.find(target(spellings[-1]))
        assert command is not None
        rows = [Row(as_docker_shows(option).spelling, OWN, _first_line(option.help)) for option in command.options()]
        return Section(Row(spellings[-1], OWN, command.summary), spellings[:-1], rows)

    def _reason(self, table: dict[str, str], *keys: str, required: bool = True) -> str:
        """Give the reason for the most exact key, or for the noun of the first; none is noted where one is required."""
        noun = keys[0].partition(" ")[0]
        for key in (*keys, *((noun,) if table is self._missing and len(keys) == 1 else ())):
            if key in table:
                self._used.add(key)
                return table[key]
        if required:
            self.unexplained.append(keys[0])
        return ""

    def page(self) -> str:
        """Give docs/commands.md."""
        count = dict.fromkeys((SAME, DIFFERS, MISSING, OWN), 0)
        for row in (*self.top, *(row for section in self.sections for row in section.options)):
            count[row.status] += 1
        there = [section for section in self.sections if section.command.status != MISSING]
        lines = [_HEAD.format(version=self.version)]
        lines.append(
            f"Options: {', '.join(f'{number} {status}' for status, number in count.items())}.\n\n## Commands\n\n"
        )
        lines.append("| command | also | | why |\n|---|---|---|---|\n")
        for section in self.sections:
            row = section.command
            lines.append(f"| `{row.spelling}` | {_code(section.others)} | {row.status} | {_cell(row.why)} |\n")
        lines.append("\n## Before the command\n\n" + _table(self.top))
        for section in there:
            if section.options:
                lines.append(f"\n## {section.command.spelling}\n\n" + _table(section.options))
        return "".join(lines)


def as_docker_shows(option: Option) -> docker.Option:
    """Give a row of the option table in the form in which docker's help is read."""
    return docker.Option(option.name, option.short, option.metavar, docker.default_of(option.help))


def target(spelling: str) -> str:
    """Give the name in the option table of a command as it is written, "" when there is none."""
    noun, _, verb = spelling.partition(" ")
    if verb:
        return ours.NOUNS.get(noun, {}).get(verb, "")
    return noun if ours.find(noun) else ""


def _our_spellings() -> list[tuple[str, ...]]:
    """Give for each command all ways to write it, the shortest last."""
    all_ = []
    for name in ours.names():
        written = ours.spellings(name) or [name]
        all_.append(tuple(sorted(written, key=lambda spelling: (-spelling.count(" "), spelling))))
    return all_


def _differences(theirs: docker.Option, own: docker.Option) -> list[str]:
    found = []
    if theirs.short != own.short:
        found.append(f"docker's letter is {f'`-{theirs.short}`' if theirs.short else 'none'}")
    if theirs.value != own.value:
        found.append(f"docker's value is {f'`{theirs.value}`' if theirs.value else 'none'}")
    if theirs.default != own.default:
        found.append(f"docker's default is {f'`{theirs.default}`' if theirs.default else 'none'}")
    return found


def _first_line(text: str) -> str:
    return text.partition("\n")[0].rstrip(":")


def _table(rows: list[Row]) -> str:
    lines = [f"| `{_cell(row.spelling)}` | {row.status} | {_cell(row.why)} |\n" for row in rows]
    return "| option | | why |\n|---|---|---|\n" + "".join(lines)


def _code(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
