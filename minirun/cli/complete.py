"""What may come next on a command line, for the shells: worked out from the option table, so that it never lags behind it.

Owns: where in the grammar the last word stands, and what fits there. Leaves to others: what there is on this host (`Names`, which
cli/commands/completion looks up), each shell's own script (cli/shells).

The kind of an argument is read from the usage line (`[OPTIONS] CONTAINER [CONTAINER...]`), that of an option's value from its name.
"""

from __future__ import annotations

import re

from ..command_line import Command, Option
from ..record import Record
from .options import NOUNS, find, global_options, names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Names = Callable[
        [str, str], Iterable[tuple[str, str]]
    ]  # (kind of thing, what it begins with) -> names with descriptions

CONTAINERS, RUNNING, STOPPED, PAUSED = "containers", "running", "stopped", "paused"
IMAGES, VOLUMES, FILES = "images", "volumes", "files"

# Which containers a command is for, where it isn't any.
_FOR = {
    **dict.fromkeys("attach exec kill pause port stats stop top".split(), RUNNING),  # noqa: SIM905
    "start": STOPPED,
    "unpause": PAUSED,
}
_OF_USAGE = (  # the first that is found in a word of the usage line
    (re.compile(r"CONTAINER:|^\[?SRC_PATH|^\[?DEST_PATH"), "copy"),
    (re.compile(r"\bNAME\|ID"), "anything"),
    (re.compile(r"CONTAINER"), CONTAINERS),
    (re.compile(r"IMAGE|REPOSITORY|^NAME\[:TAG"), IMAGES),
    (re.compile(r"^\[?VOLUME"), VOLUMES),
    (re.compile(r"^file"), FILES),
    (re.compile(r"^bash\|"), "bash fish zsh"),
)
_NETWORKS = "bridge container: host none"
_OF_OPTION = {
    **dict.fromkeys(("cidfile", "env-file", "input", "label-file", "output", "root", "run-root"), FILES),
    "attach": "stderr stdin stdout",
    "cap-add": "capabilities",
    "cap-drop": "capabilities",
    "cgroupns": "host private",
    "device": FILES,
    "driver": "local",
    "env": "environment",
    "filter": "",
    "format": "json table",
    "log-driver": "json-file",
    "log-opt": "env= env-regex= labels= labels-regex= max-file= max-size= tag=",
    "mount": "type=bind, type=tmpfs, type=volume,",
    "ipc": "host none private shareable",
    "net": _NETWORKS,
    "network": _NETWORKS,
    "pid": "container: host",
    "platform": "linux/amd64 linux/arm64",
    "pull": "always missing never",
    "restart": "always no on-failure on-failure: unless-stopped",
    "security-opt": "no-new-privileges seccomp= systempaths=unconfined",
    "signal": "signals",
    "stop-signal": "signals",
    "type": "container image volume",
    "uts": "host",
    "userns": "auto auto:size= host",
    "volume": "bind",
    "volume-driver": "local",
    "volumes-from": CONTAINERS,
}
_OPEN_ENDS = ("=", ":", ",", "/")  # after a candidate that ends so, the word goes on


class Completion(Record):
    """What fits: words with descriptions, whether file names do as well, whether a blank follows what is chosen."""

    candidates: tuple[tuple[str, str], ...]
    files: bool = False
    goes_on: bool = False


class _Place(Record):
    """Where the last word stands: after which command and noun, how many arguments came before, which option waits for it."""

    command: Command | None = None
    noun: str = ""
    helps: bool = False
    count: int = 0
    waits: Option | None = None
    no_options: bool = False  # after `--`
    is_foreign: bool = False  # it belongs to somebody else's command


def complete(words: Sequence[str], there_are: Names) -> Completion:
    """Give what the last of `words` (those after the program's name) may become."""
    current = words[-1]
    place = _place(words[:-1])
    if place.is_foreign:
        return Completion(candidates=(), files=True)
    if place.waits is not None:
        return _value(place.waits, current, there_are)
    if current.startswith("-") and not place.no_options and not place.helps:
        name, equals, value = current.removeprefix("--").partition("=")
        option = next((each for each in _options(place) if equals and each.name == name), None)
        if option is not None:
            return _behind(f"--{name}=", _value(option, value, there_are))
        return _fitting(_spellings(place), current)
    if place.command is not None:
        return _argument(place, current, there_are)
    if place.noun:
        return _fitting(_verbs(place.noun), current)
    return _fitting(_commands(), current)


def _place(words: Sequence[str]) -> _Place:
    place = _Place()
    for word in words:
        if place.is_foreign:
            break
        if place.waits is not None:
            place = place.replace(waits=None)
        elif place.no_options or word == "-" or not word.startswith("-"):
            place = _after(place, word)
        elif word == "--":
            place = place.replace(no_options=True)
        else:
            place = place.replace(waits=_waiting(_options(place), word))
    return place


def _after(place: _Place, word: str) -> _Place:
    """Step over a word that is no option: a noun, a command, an argument."""
    if place.command is not None:
        stops = place.command.options_stop
        foreign = stops and place.count + 1 >= place.command.minimum
        return place.replace(count=place.count + 1, is_foreign=foreign, no_options=place.no_options or stops)
    if place.noun:
        command = find(NOUNS[place.noun].get(word, ""))
        return place.replace(command=command, is_foreign=command is None)
    if word == "help" and not place.helps:
        return place.replace(helps=True)
    if word in NOUNS:
        return place.replace(noun=word)
    command = None if " " in word else find(word)
    return place.replace(command=command, is_foreign=command is None or place.helps)


def _waiting(options: Iterable[Option], word: str) -> Option | None:
    """Give the option that takes its value from the next word."""
    known = list(options)
    if word.startswith("--"):
        name, equals, _ = word[2:].partition("=")
        return next((each for each in known if each.name == name and each.kind != "flag" and not equals), None)
    for place, letter in enumerate(word[1:], 1):
        option = next((each for each in known if each.short == letter), None)
        if option is None or option.kind != "flag":
            return option if place == len(word) - 1 else None
    return None


def _options(place: _Place) -> tuple[Option, ...]:
    if place.command is not None:
        return place.command.options()
    return () if place.noun else global_options()


def _spellings(place: _Place) -> list[tuple[str, str]]:
    """Give the options that may come, with the first line of what help says."""
    shown = [option for option in _options(place) if option.help and option.name != "help"]
    spelled = [(f"--{option.name}", _first_line(option.help)) for option in shown]
    spelled += [(f"-{option.short}", _first_line(option.help)) for option in shown if option.short]
    return [*spelled, ("--help", "Print usage")]


def _first_line(text: str) -> str:
    return text.partition("\n")[0].rstrip(":")


def _commands() -> list[tuple[str, str]]:
    shown = [(name, command.summary) for name in names() if " " not in name and (command := find(name))]
    return [*shown, *((noun, verbs[""]) for noun, verbs in NOUNS.items())]


def _verbs(noun: str) -> list[tuple[str, str]]:
    return [(verb, command.summary) for verb, name in NOUNS[noun].items() if verb and (command := find(name))]


def _argument(place: _Place, current: str, there_are: Names) -> Completion:
    """Give what fits as the next argument, by the usage line."""
    assert place.command is not None
    command = place.command
    if 0 <= command.maximum <= place.count:
        return Completion(candidates=())
    parts = [part for part in command.usage.split("\n")[0].split() if part != "[OPTIONS]"]
    if not parts:
        return Completion(candidates=())
    word = parts[min(place.count, len(parts) - 1)]
    kind = next((kind for pattern, kind in _OF_USAGE if pattern.search(word)), "")
    if kind == CONTAINERS:
        kind = _FOR.get(command.name, CONTAINERS)
    if kind == "anything":
        kind = {"container": CONTAINERS, "image": IMAGES}.get(place.noun, kind)
    return _of_kind(kind, current, there_are)


def _value(option: Option, current: str, there_are: Names) -> Completion:
    """Give what fits as an option's value."""
    return _of_kind(_OF_OPTION.get(option.name, ""), current, there_are)


def _of_kind(kind: str, current: str, there_are: Names) -> Completion:
    if kind == FILES:
        return Completion(candidates=(), files=True)
    if kind in (CONTAINERS, RUNNING, STOPPED, PAUSED, IMAGES, VOLUMES, "capabilities", "environment", "signals"):
        return _fitting(there_are(kind, current), current)
    if kind == "anything":
        return _fitting([each for one in (CONTAINERS, IMAGES, VOLUMES) for each in there_are(one, current)], current)
    if "container:" in kind.split() and current.startswith("container:"):  # a namespace that is shared
        return _behind("container:", _of_kind(RUNNING, current.removeprefix("container:"), there_are))
    if kind == "bind":  # a volume, or a directory of the host
        if ":" in current or current[:1] in ("/", ".", "~"):
            return Completion(candidates=(), files=True)
        return _fitting([(f"{name}:", what) for name, what in there_are(VOLUMES, current)], current)
    if kind == "copy":
        if ":" in current:  # a path inside a container: nobody looks into it for a key press
            return Completion(candidates=())
        found = _fitting([(f"{name}:", what) for name, what in there_are(CONTAINERS, current)], current)
        return found.replace(files=True)
    return _fitting(_plain(kind), current)


def _plain(words: str) -> list[tuple[str, str]]:
    return [(word, "") for word in words.split()]


def _fitting(candidates: Iterable[tuple[str, str]], current: str) -> Completion:
    fits = tuple(sorted({word: (word, what) for word, what in candidates if word.startswith(current)}.values()))
    return Completion(candidates=fits, goes_on=bool(fits) and all(word.endswith(_OPEN_ENDS) for word, _ in fits))


def _behind(prefix: str, found: Completion) -> Completion:
    """Put what the word begins with before what was found for its rest: a shell completes whole words."""
    return found.replace(candidates=tuple((prefix + word, what) for word, what in found.candidates))
