"""The process that `exec` is asked for: the container's own, with what the options change.

Owns: this merge, and reading process.json. Leaves to others: what the container's process is (runtime/container).
"""

from __future__ import annotations

from ..errors import InvalidInput
from ..runtime import capabilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..command_line import Parsed
    from ..runtime.spec import Capabilities, Process, User


def process_of(parsed: Parsed, own: Process) -> Process:
    """Give the process that the command line describes. `--process` says all of it, and other options nothing then."""
    file = parsed.text("process")
    if file:
        with open(file, "rb") as stream:
            return _from_file(stream.read(), own)
    arguments = parsed.arguments[1:]
    if not arguments:
        raise InvalidInput("process args cannot be empty: give a command or --process")
    changes: dict[str, Any] = {
        "arguments": arguments,
        "environment": _environment((*own.environment, *parsed.many("env"))),
        "terminal": parsed.flag("tty"),
        "user": _user(parsed, own.user),
        "capabilities": _capabilities(own.capabilities, capabilities.mask(parsed.many("cap"))),
        "no_new_privileges": parsed.flag("no-new-privs", own.no_new_privileges),
    }
    fields = {"cwd": "working_directory", "apparmor": "apparmor_profile", "process-label": "selinux_label"}
    changes |= {field: parsed.text(name) for name, field in fields.items() if parsed.text(name)}
    return own.replace(**changes)


def _from_file(content: bytes, own: Process) -> Process:
    """What confines a process, and how it is scheduled, is the container's where the file doesn't speak of it, as under runc."""
    from ..runtime.config import parse_process
    from ..runtime.config.document import decode

    process = parse_process(content)
    if decode(content).get("capabilities") is None:
        process = process.replace(capabilities=own.capabilities)
    if not process.initial_cpus and not process.final_cpus:
        process = process.replace(initial_cpus=own.initial_cpus, final_cpus=own.final_cpus)
    return process.replace(
        scheduler=process.scheduler or own.scheduler,
        io_priority=process.io_priority or own.io_priority,
        rlimits=process.rlimits or own.rlimits,
        apparmor_profile=process.apparmor_profile or own.apparmor_profile,
        selinux_label=process.selinux_label or own.selinux_label,
    )


def _environment(variables: Iterable[str]) -> tuple[str, ...]:
    """Give each variable once, with its last value: getenv(3) takes the first that it finds."""
    return tuple({variable.partition("=")[0]: variable for variable in variables}.values())


def _user(parsed: Parsed, own: User) -> User:
    """The group stays the container's unless it is given, as do further groups."""
    groups = own.additional_gids + parsed.many("additional-gids")
    if "user" not in parsed.values:
        return own.replace(additional_gids=groups)
    uid, gid = parsed.values["user"]
    return own.replace(name=None, uid=uid, gid=own.gid if gid is None else gid, additional_gids=groups)


def _capabilities(own: Capabilities, added: int) -> Capabilities:
    """Add to the sets that root's program gets, and to no other: whoever isn't root has to find them on its program's file.

    runc(8), exec: "add a capability to the bounding set"; an inheritable one could be gained by a file's (CVE-2022-29162).
    """
    return own.replace(bounding=own.bounding | added, effective=own.effective | added, permitted=own.permitted | added)
