"""A command line as a table: what a row of it is, and the reader that turns words into values by it.

Owns: `Option`, `Command`, `Parsed`, and the grammar that all our command lines share: `--name VALUE`, `--name=VALUE`,
switches with `=false`, clustered letters (`-it`, `-eX`, `-e=X`), `--`, where options stop.
Leaves to others: the rows (cli/options, oci/options), what a value means (their values), what differs between grammars and
how refusals are worded (cli/parse, oci/parse).

A row is

    name, short, kind, metavar, help, parser, field

    kind    flag    a switch; `--x`, `--x=false`
            one     a value; the last one given wins
            many    a list; the parser gives a tuple of values for each time it is given
            map     an object; the parser gives a tuple of (key, value)
            spread  several fields; the parser gives a tuple of (field, value)
    parser  "topic.function" in the package of the command line's values; "" keeps the text
    field   of the request that the command makes; "" means that the command's own file reads the option

Options that share a field are joined in the order of the table. A row without a help text is accepted and not shown. The
rows are plain constants, so that loading them costs nothing; only those that are asked for become `Option` values.

argparse isn't used: it costs 6 to 9 ms of a start, abbreviates long options, and its messages are nobody's.
"""

from __future__ import annotations

from .errors import InvalidInput, MinirunError, UsageError
from .record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Row = tuple[str, str, str, str, str, str, str]
    Rows = tuple[Row, ...]
    CommandRow = tuple[str, str, str, str, int, int, bool, Rows]

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class Option(Record):
    """One row of the table."""

    name: str
    short: str
    kind: str
    metavar: str
    help: str
    parser: str
    field: str

    @property
    def spelling(self) -> str:
        """The option as messages name it: `-m, --memory`."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


def options_of(rows: Rows) -> tuple[Option, ...]:
    """Give the rows as values; a row's cells are an option's fields."""
    return tuple([Option.of_fields(row) for row in rows])


class Command(Record):
    """One command: how it is called, how many arguments it takes, its options."""

    name: str
    usage: str
    summary: str
    group: str
    minimum: int
    maximum: int  # -1: any number
    options_stop: bool  # at the first argument, because what follows belongs to somebody else's command
    rows: Rows

    def options(self) -> tuple[Option, ...]:
        return options_of(self.rows)


def find_command(table: tuple[CommandRow, ...], name: str) -> Command | None:
    """Give the command of that name."""
    for row in table:
        if row[0] == name:
            name, usage, summary, group, minimum, maximum, options_stop, rows = row
            return Command(
                name=name,
                usage=usage,
                summary=summary,
                group=group,
                minimum=minimum,
                maximum=maximum,
                options_stop=options_stop,
                rows=rows,
            )
    return None


class Parsed(Record):
    """What was given on the command line; an option that wasn't given has no entry in `values`."""

    options: tuple[Option, ...]  # that were given, in the order of the table
    values: dict[str, Any]
    arguments: tuple[str, ...]

    def flag(self, name: str, default: bool = False) -> bool:
        return bool(self.values.get(name, default))

    def text(self, name: str, default: str = "") -> str:
        return str(self.values.get(name, default))

    def number(self, name: str) -> int | None:
        value = self.values.get(name)
        return None if value is None else int(value)

    def many(self, name: str) -> tuple[Any, ...]:
        return tuple(self.values.get(name, ()))

    def fields(self) -> dict[str, Any]:
        """Gather the values of all options that name a field; those that share one are joined in table order."""
        gathered: dict[str, Any] = {}
        for option in self.options:
            if not option.field:
                continue
            value = self.values[option.name]
            if option.kind == "spread":
                for name, part in value:
                    gathered[name] = gathered.get(name, ()) + part if isinstance(part, tuple) else part
            elif option.kind == "map":
                gathered[option.field] = gathered.get(option.field, {}) | dict(value)
            elif option.kind == "many":
                gathered[option.field] = gathered.get(option.field, ()) + value
            else:
                gathered[option.field] = value
        return gathered


class Reader:
    """Reads words by rows. A command line subclasses it: where its values are, and what its grammar does differently."""

    values_package = ""

    def __init__(self, rows: Rows, words: Sequence[str], options_stop: bool) -> None:
        self.rows = rows
        # By their place in the table. Each that is looked up is taken, or the reading ends.
        self.given: dict[int, Option] = {}
        self.words = list(words)
        self.options_stop = options_stop
        self.values: dict[str, Any] = {}

    def read(self) -> Parsed:
        """Give what the words say. Raises UsageError; nothing on the host is touched but files that an option names."""
        arguments: list[str] = []
        while self.words:
            word = self.words.pop(0)
            if word == "--":
                arguments += self.words
                break
            if word == "-" or not word.startswith("-"):
                arguments.append(word)
                if self.options_stop:
                    arguments += self.words
                    break
            elif word.startswith("--"):
                self.read_long(word)
            else:
                self.read_short(word)
        options = tuple([self.given[place] for place in sorted(self.given)])
        return Parsed(options=options, values=self.values, arguments=tuple(arguments))

    def long(self, name: str) -> Option | None:
        """Give the option of that name."""
        return self._find(0, name)

    def short(self, letter: str) -> Option | None:
        """Give the option of that letter: `h` is help wherever it is nothing else."""
        return self._find(1, letter) or (self.long("help") if letter == "h" else None)

    def _find(self, cell: int, text: str) -> Option | None:
        for place, row in enumerate(self.rows):
            if row[cell] == text:
                option = self.given[place] = Option.of_fields(row)
                return option
        return None

    def unknown(self, name: str) -> str:
        """Say that there is no option of this name."""
        return f"unknown flag: --{name}"

    def refused(self, option: Option, text: str, error: InvalidInput) -> MinirunError:
        """Give what is raised for a value that its parser refused."""
        return UsageError(f'invalid argument "{text}" for "{option.spelling}" flag: {error}')

    def read_long(self, word: str) -> None:
        """Take `--name`, `--name=value`, or `--name` and the next word."""
        name, equals, text = word.lstrip("-").partition("=")
        if not name or word.startswith("---"):
            raise UsageError(f"bad flag syntax: {word}")
        option = self.long(name)
        if option is None:
            raise UsageError(self.unknown(name))
        self.take(option, text if equals else None, f"--{name}")

    def read_short(self, word: str) -> None:
        """Take a cluster of letters: switches, the last of which may be an option with its value."""
        letters = word[1:]
        while letters:
            option = self.short(letters[0])
            if option is None:
                raise UsageError(f"unknown shorthand flag: {letters[0]!r} in -{letters}")
            place = f"{letters[0]!r} in -{letters}"
            if len(letters) > 2 and letters[1] == "=":
                return self.take(option, letters[2:], place)
            if option.kind != "flag":
                return self.take(option, letters[1:] or None, place)
            self.take(option, None, place)
            letters = letters[1:]
        return None

    def take(self, option: Option, text: str | None, place: str) -> None:
        """Note the value of an option; None stands for what a switch means alone, or for the next word."""
        if text is None and option.kind == "flag":
            text = "true"
        elif text is None:
            if not self.words:
                raise UsageError(f"flag needs an argument: {place}")
            text = self.words.pop(0)
        try:
            value = boolean(text) if option.kind == "flag" else self.value_of(option, text)
        except InvalidInput as error:
            raise self.refused(option, text, error) from error
        if option.kind in ("flag", "one"):
            self.values[option.name] = value
        else:
            self.values[option.name] = self.values.get(option.name, ()) + value

    def value_of(self, option: Option, text: str) -> Any:
        """Call the row's parser; its module is loaded only now, so that no command pays for another one's values."""
        if not option.parser:
            return text
        topic, _, function = option.parser.partition(".")
        module = __import__(f"{self.values_package}.{topic}", fromlist=[function])
        return getattr(module, function)(text)


def boolean(text: str) -> bool:
    """Read a switch's value, as Go's ParseBool does. Raises InvalidInput."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise InvalidInput("neither true nor false")
