"""The entry of `minirun-oci`: find the command, load its file, run it, and turn an exception into a line of the log and
a code.

Owns: global options, dispatch, the last line of defence. Leaves to others: everything a command does.

    the child's own   run and exec, once the program was started
    255               exec, when the process could not be made         130, 141  interrupted; the reader went away
    1                 anything else that failed
"""

from __future__ import annotations

import os
import sys

from ..command_line import Parsed
from ..errors import InvalidInput, MinirunError, NotSupported, StartFailed, UsageError, WrongCommand
from ..output import say, write
from ..program import check_descriptors, enter, reason_of
from .invocation import STAND_INS, Invocation
from .log import Log
from .options import ABSENT_COMMANDS, GLOBAL, find
from .parse import parse, parse_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

PROGRAM = "minirun-oci"
FAILED = 1
EXEC_FAILED = 255
INTERRUPTED = 130
BROKEN_PIPE = 141
_HELP = frozenset(("--help", "-h", "-?"))
_PREFIXED = ("create", "run", "exec")  # their complaints begin with what failed


def main(words: Sequence[str] | None = None, called: str | None = None) -> int:
    """Run a command line and give its exit code; `called` is the name by which the program was called."""
    words = sys.argv[1:] if words is None else words
    program = os.path.basename(sys.argv[0] if called is None else called)
    if program not in STAND_INS:
        program = PROGRAM
    log = Log()
    name = ""
    try:
        check_descriptors()
        options = parse(GLOBAL, words, options_stop=True)
        level = "debug" if options.flag("debug") else options.text("log-level", "warning")
        log = Log(options.text("log"), options.text("log-format", "text"), level)
        if options.flag("version") or options.flag("V"):
            from .version import version

            say(version(program))
            return 0
        name, rest = _command(options)
        if not name:
            from .help import main_help

            write(main_help(program))
            return 0
        return _run(program, name, rest, options, log)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE
    except (Exception, ExceptionGroup) as error:
        return _complain(log, error, program, name)


def _command(options: Parsed) -> tuple[str, Sequence[str]]:
    """Give the command's name and the words after it; no name when help on the whole program is wanted."""
    arguments = options.arguments
    if arguments[:1] in (("help",), ("h",)):
        return (arguments[1], ("--help",)) if len(arguments) > 1 else ("", ())
    if options.flag("help") or not arguments:
        return "", ()
    return arguments[0], arguments[1:]


def _run(program: str, name: str, rest: Sequence[str], options: Parsed, log: Log) -> int:
    command = find(name)
    if command is None:
        if name in ABSENT_COMMANDS:
            if _HELP.intersection(rest):
                from .help import absent_help

                write(absent_help(name, ABSENT_COMMANDS[name], program))
                return 0
            raise NotSupported(f"{name} is not supported: {ABSENT_COMMANDS[name]}")
        raise WrongCommand(
            f"No help topic for '{name}': there is no such command; {program} --help lists what there is"
        )
    parsed = parse_command(command, rest, program)
    if parsed.flag("help"):
        from .help import command_help

        write(command_help(command, program))
        return 0
    log.debug(f"{program}: {' '.join((name, *rest))}")
    invocation = Invocation(program=program, parsed=parsed, settings=_settings(options), log=log)
    module = __import__(f"minirun.oci.commands.{name}", fromlist=["run"])
    code: int = module.run(invocation)
    log.debug(f"{program}: {name} ends with {code}")
    return code


def _settings(options: Parsed) -> dict[str, Any]:
    """Give the fields of Runtime. `--cgroup-manager` says more than `--systemd-cgroup`, so it has the last word."""
    driver = {"cgroup_driver": "systemd"} if options.flag("systemd-cgroup") else {}
    return driver | options.fields()


def _complain(log: Log, error: Exception, program: str, name: str) -> int:
    """Say what went wrong in one line and give the exit code for it."""
    if isinstance(error, UsageError) and not isinstance(error.__cause__, InvalidInput):
        log.error(str(error))
        return FAILED
    log.error(_prefix(error, program, name) + _sentence(log, error))
    return EXEC_FAILED if name == "exec" else FAILED


def _prefix(error: Exception, program: str, name: str) -> str:
    """Give what runc says before the reason: which command failed, and whether it came as far as making a process."""
    if name not in _PREFIXED:
        return ""
    command = name if name == "exec" else f"{program} {name}"
    return f"{command} failed: " + "unable to start container process: " * isinstance(error, StartFailed)


def _sentence(log: Log, error: Exception) -> str:
    if isinstance(error, MinirunError):
        return str(error)
    if isinstance(error, ExceptionGroup):
        return f"{error.message}: " + "; ".join(_sentence(log, inner) for inner in error.exceptions)
    if isinstance(error, OSError):
        return reason_of(error)
    import traceback

    log.debug("".join(traceback.format_exception(error)))
    return f"this is a defect of minirun: {type(error).__name__}: {error}; --debug logs where"


def entry() -> None:
    """Run the command line of this process and end it. Never returns."""
    enter(main)


if __name__ == "__main__":
    entry()
