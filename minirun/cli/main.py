"""The entry of the command line: find the command, load its file, run it, and turn an exception into one line and a
code.

Owns: global options, dispatch, the last line of defence. Leaves to others: everything a command does.

    125  minirun itself failed (flag, value, image)     126, 127  the command can't be executed, isn't there
    130  interrupted                                    141       the reader of our output went away
"""

from __future__ import annotations

import os
import sys

from .. import __version__
from ..errors import BadCall, MinirunError, UsageError, WrongCommand
from ..output import say, warn, write
from ..program import check_descriptors, enter, reason_of
from .invocation import Invocation
from .options import ABSENT_COMMANDS, GLOBAL, NOUNS, find
from .parse import parse, parse_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..command_line import Parsed

INTERRUPTED = 130
BROKEN_PIPE = 141
FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127
# Their complaints begin with the program's name.
_LIKE_RUN = ("run", "create", "container run", "container create")


def main(words: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit code; nothing but KeyboardInterrupt's and pipes' consequences leaks out."""
    words = sys.argv[1:] if words is None else words
    debug = False
    spelling = ""
    try:
        check_descriptors()
        options = parse(GLOBAL, words, options_stop=True)
        debug = options.flag("debug")
        if options.flag("version"):
            say(f"minirun version {__version__}")
            return 0
        if options.flag("help") or not options.arguments or options.arguments == ("help",):
            from .help import main_help

            write(main_help())
            return 0
        if directory := options.text("config"):
            os.environ["DOCKER_CONFIG"] = directory  # for credential helpers too, as docker's own client hands it on
        spelling, target, rest = _find(options.arguments)
        if target in NOUNS:
            from .help import noun_help

            write(noun_help(target))
            return 0
        return _run(spelling, target, rest, options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE
    except (Exception, ExceptionGroup) as error:
        if debug:
            sys.excepthook(type(error), error, error.__traceback__)
        return _complain(error, spelling)


def _find(arguments: Sequence[str]) -> tuple[str, str, Sequence[str]]:
    """Give the command as the user wrote it, its own name (or a noun, whose help is wanted), and the words after it."""
    name, rest = arguments[0], arguments[1:]
    if name == "help":
        return _find((*rest, "--help"))
    if name in NOUNS:
        verb = rest[0] if rest else "--help"
        if verb in ("--help", "-h"):
            return name, name, ()
        if verb not in NOUNS[name] or not verb:
            raise _unknown(f"minirun {name} {verb}", verb)
        return f"{name} {verb}", NOUNS[name][verb], rest[1:]
    if " " in name:  # one word of the user's is no noun and verb
        raise _unknown(f"minirun {name}", name)
    return name, name, rest


def _unknown(words: str, verb: str) -> WrongCommand:
    advice = ABSENT_COMMANDS.get(verb)
    return WrongCommand(
        f"unknown command: {words}" + ("" if advice is None else f" (docker has it, minirun does not yet{advice})")
    )


def _run(spelling: str, name: str, rest: Sequence[str], options: Parsed) -> int:
    command = find(name)
    if command is None:
        raise _unknown(f"minirun {name}", name)
    parsed = parse_command(command, rest)
    if parsed.flag("help"):
        from .help import command_help

        write(command_help(command, spelling))
        return 0
    invocation = Invocation(
        command=command,
        spelling=spelling,
        parsed=parsed,
        root=options.text("root") or None,
        run_root=options.text("run-root") or None,
        debug=options.flag("debug"),
    )
    file = (
        "import_" if name == "import" else name.replace(" ", "_").replace("-", "_")
    )  # the one command that is a word of Python
    module = __import__(f"minirun.cli.commands.{file}", fromlist=["run"])
    code: int = module.run(invocation)
    return code


def _complain(error: Exception, spelling: str) -> int:
    """Say what went wrong in one line and give the exit code for it."""
    name = spelling.rpartition(" ")[2]
    if isinstance(error, UsageError):
        known = find(name) is not None or spelling.partition(" ")[0] in NOUNS
        warn(f"minirun: {error}. See 'minirun {spelling + ' ' if known else ''}--help'.")
        return error.exit_code
    prefix = "minirun:" if spelling in ("", *_LIKE_RUN) else "Error:"
    code = 1
    if isinstance(error, MinirunError):
        warn(f"{prefix} {error}")
        code = error.exit_code
    elif isinstance(error, ExceptionGroup):
        warn(f"{prefix} {error.message}: " + "; ".join(str(inner) for inner in error.exceptions))
    elif isinstance(error, OSError):
        warn(f"{prefix} {reason_of(error)}")
    else:
        where = f"'minirun --debug {name} ...' shows where"
        warn(f"{prefix} this is a defect of minirun: {type(error).__name__}: {error}; {where}")
        return FAILED
    return code if isinstance(error, BadCall) else _code_of(name, code)


def _code_of(name: str, code: int) -> int:
    """Give docker's code for a refusal: `run` and `exec` tell 125, 126 and 127 apart, all other commands say 1."""
    if name == "run":
        return FAILED if code == 1 else code
    if name == "exec":
        return NOT_EXECUTABLE if code == FAILED else code
    return 1 if code in (FAILED, NOT_EXECUTABLE, NOT_FOUND) else code


def entry() -> None:
    """Run the command line of this process and end it. Never returns."""
    enter(main)


if __name__ == "__main__":
    entry()
