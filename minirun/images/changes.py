"""The `-c` changes of an import: single Dockerfile instructions that describe the image.

Owns: parsing them, the "config" object that comes out. Leaves to others: whole Dockerfiles.

    CMD ["sh"] | CMD echo hi         ENTRYPOINT likewise        ENV A=1 B="two words" | ENV A the rest
    EXPOSE 80 53/udp                 LABEL as ENV               USER name[:group]
    VOLUME ["/a"] | VOLUME /a /b     WORKDIR /srv               STOPSIGNAL SIGTERM
    HEALTHCHECK --interval=5s --timeout=1s --start-period=1m --start-interval=1s --retries=2 CMD ... | HEALTHCHECK NONE

$NAME and ${NAME} stand for what earlier ENV changes have set, outside single quotes, as in a Dockerfile; ${NAME:-word} is the word
where that is nothing, ${NAME:+word} where it is something.
"""

from __future__ import annotations

import json

from ..errors import InvalidInput
from ..signals import number_of
from ..units import parse_span, whole_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Config = dict[str, Any]

SHELL = ["/bin/sh", "-c"]
NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
PROTOCOLS = ("tcp", "udp", "sctp")


def apply(changes: Sequence[str], before: Config | None = None) -> Config:
    """Give the "config" object that the instructions make of `before`, one after the other. Raises InvalidInput naming the bad one.

    As in a Dockerfile, an ENTRYPOINT drops the command that was there before, unless a CMD among the instructions has set it.
    """
    config = _copied(before or {})
    has_command = False
    for change in changes:
        word, _, rest = change.strip().partition(" ")
        instruction = INSTRUCTIONS.get(word.upper())
        try:
            if "\0" in change:
                raise ValueError("it holds a NUL")
            change.encode()
            if instruction is None:
                raise ValueError(f"there are {', '.join(INSTRUCTIONS)}")
            if not rest.strip():
                raise ValueError("it needs an argument")
            instruction(config, rest.strip())
            has_command = has_command or instruction is _cmd
            if instruction is _entrypoint and not has_command:
                config.pop("Cmd", None)
        except ValueError as error:
            reason = "it is no UTF-8" if isinstance(error, UnicodeError) else str(error)
            raise InvalidInput(f"invalid change {change[:200]!a}: {reason}") from error
    return config


def _copied(config: Config) -> Config:
    """Copy it as deep as instructions change it; what is null is absent."""
    copies = {key: dict(value) if isinstance(value, dict) else value for key, value in config.items()}
    return {key: value for key, value in copies.items() if value is not None}


def _on_build(config: Config, rest: str) -> None:
    if rest.partition(" ")[0].upper() in ("ONBUILD", "FROM", "MAINTAINER"):
        raise ValueError(f"{rest.partition(' ')[0]} isn't allowed as an ONBUILD trigger")
    config["OnBuild"] = [*config.get("OnBuild", []), rest]


def _cmd(config: Config, rest: str) -> None:
    config["Cmd"] = _command(rest)


def _entrypoint(config: Config, rest: str) -> None:
    config["Entrypoint"] = _command(rest)


def _env(config: Config, rest: str) -> None:
    variables = _variables(config)
    variables.update(_pairs(rest, dict(variables)))
    config["Env"] = [f"{name}={value}" for name, value in variables.items()]


def _label(config: Config, rest: str) -> None:
    config.setdefault("Labels", {}).update(_pairs(rest, _variables(config)))


def _expose(config: Config, rest: str) -> None:
    for word in _words(rest, _variables(config)):
        ports, slash, protocol = word.partition("/")
        protocol = protocol.lower() if slash else "tcp"
        first, dash, last = ports.partition("-")
        low = whole_number(first, 65535)
        high = whole_number(last, 65535) if dash else low
        if protocol not in PROTOCOLS or not (low and high):
            raise ValueError(
                f"'{word}' is no port: a number from 1 to 65535, or two joined by '-', with /tcp, /udp or /sctp"
            )
        if low > high:
            raise ValueError(f"'{word}': the range ends before it begins")
        for number in range(low, high + 1):
            config.setdefault("ExposedPorts", {})[f"{number}/{protocol}"] = {}


def _user(config: Config, rest: str) -> None:
    config["User"] = _single(rest, config)


def _stop_signal(config: Config, rest: str) -> None:
    signal = _single(rest, config)
    if number_of(signal) is None:
        raise ValueError(f"there is no signal {signal}")
    config["StopSignal"] = signal


def _volume(config: Config, rest: str) -> None:
    paths = _json_list(rest)
    for path in _words(rest, _variables(config)) if paths is None else paths:
        if not path.strip():
            raise ValueError("a volume needs a path")
        config.setdefault("Volumes", {})[path] = {}


def _working_directory(config: Config, rest: str) -> None:
    from posixpath import join, normpath

    config["WorkingDir"] = normpath(join("/", str(config.get("WorkingDir", "/")), _single(rest, config)))


def _healthcheck(config: Config, rest: str) -> None:
    words, check = rest.split(), {}
    while words and words[0].startswith("--"):
        name, _, value = words[0][2:].partition("=")
        if name not in _HEALTH_OPTIONS:
            raise ValueError(f"there is no option --{name}")
        check[_HEALTH_OPTIONS[name]] = _health_number(name, value)
        rest = rest.partition(words.pop(0))[2].strip()
    kind, _, line = rest.partition(" ")
    line = line.strip()
    if kind.upper() == "NONE" and not line and not check:
        config["Healthcheck"] = {"Test": ["NONE"]}
        return
    if kind.upper() != "CMD" or not line:
        raise ValueError("it is NONE, or CMD and a command, options before it")
    listed = _json_list(line)
    config["Healthcheck"] = {"Test": ["CMD-SHELL", line] if listed is None else ["CMD", *listed], **check}


_HEALTH_OPTIONS = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
    "retries": "Retries",
}


def _health_number(name: str, value: str) -> int:
    if name == "retries":
        number = whole_number(value, 2**31 - 1)
        if number is None:
            raise ValueError(f"--retries is a number, not '{value}'")
        return number
    length = parse_span(value)
    if length is None or 0 < length < 10**6 or length >= 2**63:
        raise ValueError(f"--{name} is a length of time of 1ms or more, as 30s or 1m, not '{value}'")
    return length


INSTRUCTIONS: dict[str, Callable[[Config, str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _working_directory,
    "STOPSIGNAL": _stop_signal,
    "HEALTHCHECK": _healthcheck,
    "ONBUILD": _on_build,
}


# ---- The forms that arguments have


def _command(rest: str) -> list[str]:
    """The exec form is a JSON list; anything else is for the shell."""
    words = _json_list(rest)
    return [*SHELL, rest] if words is None else words


def _json_list(rest: str) -> list[str] | None:
    if not rest.startswith("["):
        return None
    try:
        words = json.loads(rest)
    except (ValueError, RecursionError):
        return None  # `[ -f x ] && y` is for the shell
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return None
    return words


def _pairs(rest: str, variables: dict[str, str]) -> dict[str, str]:
    """NAME=VALUE words, or the old form with one name and the rest of the line as its value."""
    name, _, value = rest.partition(" ")
    if "=" not in name:
        if not value.strip():
            raise ValueError(f"'{name}' has no value")
        return {name: _joined(value.strip(), variables)}
    pairs = {}
    for word in _words(rest, variables):
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise ValueError(f"'{word}' is not NAME=VALUE")
        pairs[name] = value
    return pairs


def _single(rest: str, config: Config) -> str:
    return _joined(rest, _variables(config))


def _joined(text: str, variables: dict[str, str]) -> str:
    """Expand quotes and variables, keeping the spaces between words."""
    return _expand(text, variables, split=False)[0]


def _words(text: str, variables: dict[str, str]) -> list[str]:
    return _expand(text, variables, split=True)


def _variables(config: Config) -> dict[str, str]:
    pairs = (each.partition("=") for each in config.get("Env", []))  # a name without a value is an image's own business
    return {name: value for name, _, value in pairs}


def _expand(text: str, variables: dict[str, str], *, split: bool) -> list[str]:
    """Take words apart as a Dockerfile does: single quotes keep all, double quotes keep spaces, a backslash keeps one character."""
    words: list[str] = []
    word, inside, quote = "", False, ""
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if quote == "'":
            if character == "'":
                quote = ""
            else:
                word += character
        elif character == "\\" and at < len(text):
            word, inside = word + ("\\" if quote and text[at] not in '"$\\' else "") + text[at], True
            at += 1
        elif character == "$":
            value, at = _variable(text, at, variables)
            word, inside = word + value, True
        elif character == quote:
            quote = ""
        elif character in "'\"" and not quote:
            quote, inside = character, True
        elif character in " \t" and not quote and split:
            words += [word] if inside else []
            word, inside = "", False
        else:
            word, inside = word + character, True
    if quote:
        raise ValueError(f"a {quote} is never closed")
    return [*words, word] if inside or not split else words


def _variable(text: str, at: int, variables: dict[str, str]) -> tuple[str, int]:
    """Read a variable behind the "$" at `at`: its value, and where the text goes on."""
    if text.startswith("{", at):
        end = text.find("}", at)
        name, colon, rest = text[at + 1 : end].partition(":")
        if end < 0 or not name or not set(name) <= NAME or (colon and rest[:1] not in ("-", "+")):
            raise ValueError("only $NAME, ${NAME}, ${NAME:-word} and ${NAME:+word} can be used")
        value = variables.get(name, "")
        if colon:
            word = _expand(rest[1:], variables, split=False)[0]
            value = (value or word) if rest[0] == "-" else (word if value else "")
        return value, end + 1
    end = at
    while end < len(text) and text[end] in NAME:
        end += 1
    return (variables.get(text[at:end], "") if end > at else "$"), end
