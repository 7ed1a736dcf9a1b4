"""From words to values: pflag's grammar, driven by the option table.

Owns: clustered short flags (`-it`), `-e X` = `-eX` = `--env X` = `--env=X`, switches with `=false`, `--`, where options
stop, the count of arguments, and gathering the values of options into the fields of a request.
Leaves to others: what options there are (cli/options), what a value means (cli/values).

argparse isn't used: it costs 6 to 9 ms of a start, abbreviates long options, and its messages aren't Docker's.
"""

from __future__ import annotations

from ..errors import InvalidInput, UsageError, WrongCommand
from ..record import Record
from .options import ABSENT, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class Parsed(Record):
    """What was given on the command line; an option that wasn't given has no entry in `values`."""

    options: tuple[Option, ...]
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
            if not option.field or option.name not in self.values:
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


def parse(options: tuple[Option, ...], words: Sequence[str], *, options_stop: bool) -> Parsed:
    """Read words by the table. Raises UsageError; nothing on the host is touched but files that an option names."""
    return _Reader(options, words, options_stop).read()


def parse_command(command: Command, words: Sequence[str]) -> Parsed:
    """Read the words after a command's name and check how many arguments there are, unless help is wanted."""
    options = (*command.options(), _HELP)
    parsed = parse(options, words, options_stop=command.options_stop)
    if not parsed.flag("help"):
        _check_count(command, len(parsed.arguments))
    return parsed


_HELP = Option(name="help", short="", kind="flag", metavar="", help="", parser="", field="")


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


class _Reader:
    def __init__(self, options: tuple[Option, ...], words: Sequence[str], options_stop: bool) -> None:
        self.options = options
        self.long = {option.name: option for option in options}
        self.short = {option.short: option for option in options if option.short}
        if "h" not in self.short and "help" in self.long:
            self.short["h"] = self.long["help"]
        self.words = list(words)
        self.options_stop = options_stop
        self.values: dict[str, Any] = {}

    def read(self) -> Parsed:
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
                self._long(word)
            else:
                self._cluster(word)
        return Parsed(options=self.options, values=self.values, arguments=tuple(arguments))

    def _long(self, word: str) -> None:
        name, equals, text = word[2:].partition("=")
        if not name or name.startswith("-"):
            raise UsageError(f"bad flag syntax: {word}")
        option = self.long.get(name)
        if option is None:
            if name in ABSENT:
                raise UsageError(f"unknown flag: --{name} (docker has it, minirun does not yet)")
            raise UsageError(f"unknown flag: --{name}")
        if equals:
            self._set(option, text)
        elif option.kind == "flag":
            self._set(option, "true")
        elif self.words:
            self._set(option, self.words.pop(0))
        else:
            raise UsageError(f"flag needs an argument: --{name}")

    def _cluster(self, word: str) -> None:
        letters = word[1:]
        while letters:
            option = self.short.get(letters[0])
            if option is None:
                raise UsageError(f"unknown shorthand flag: {letters[0]!r} in -{letters}")
            if len(letters) > 2 and letters[1] == "=":
                return self._set(option, letters[2:])
            if option.kind == "flag":
                self._set(option, "true")
                letters = letters[1:]
            elif len(letters) > 1:
                return self._set(option, letters[1:])
            elif self.words:
                return self._set(option, self.words.pop(0))
            else:
                raise UsageError(f"flag needs an argument: {letters[0]!r} in -{letters}")
        return None

    def _set(self, option: Option, text: str) -> None:
        try:
            value = _boolean(text) if option.kind == "flag" else _read_value(option, text)
        except InvalidInput as error:
            raise UsageError(f'invalid argument "{text}" for "{option.spelling}" flag: {error}') from error
        if option.kind in ("flag", "one"):
            self.values[option.name] = value
        else:
            self.values[option.name] = self.values.get(option.name, ()) + value


def _boolean(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise InvalidInput("neither true nor false")


def _read_value(option: Option, text: str) -> Any:
    """Call the row's parser; its module is loaded only now, so that `run true` doesn't pay for ports and mounts."""
    if not option.parser:
        return text
    topic, _, function = option.parser.partition(".")
    module = __import__(f"minirun.cli.values.{topic}", fromlist=[function])
    return getattr(module, function)(text)
