"""Why a start failed: from "operation 31, errno 2" to the sentence that a user reads, and the exit code of docker.

Owns: `explain_failure`. Leaves to others: what each operation is called (linux/plan.describe).
"""

from __future__ import annotations

import errno
import os

from ..errors import (
    CommandNotExecutable,
    CommandNotFound,
    Exhausted,
    InvalidInput,
    MinirunError,
    NotSupported,
    StartFailed,
)
from ..linux import syscalls
from ..linux.plan import CREATE_NO_SYMLINKS, HOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.plan import Operation, Plan

_MOMENT_MS = 1000
_ENDED_EARLY = {
    errno.ECHILD: "it ended before its program began; is what it takes to get there forbidden by the seccomp profile?",
    errno.ECONNRESET: "what makes it was killed",
}


def explain_failure(plan: Plan, place: int | None, error: int) -> MinirunError:
    """Give the exception for a plan whose operation at `place` failed with `error`; None: no operation's fault."""
    operations = plan.operations()
    if place is None or place >= len(operations):
        reason = _ENDED_EARLY.get(error) or syscalls.reason(error) + _hint(error)
        return StartFailed(f"start the container's first process: {reason}")
    operation = operations[place][1]
    if error == errno.ENOSYS:
        return NotSupported(f"{plan.describe(place)}: {syscalls.reason(error)}")
    special = {"EXEC": _exec, "EXECUTABLE": _exec, "USER": _user, "DIRECTORY_CHANGE": _directory}.get(operation.name)
    if special is not None:
        return special(operation, error)
    attempt = plan.describe(place)
    if operation.name == "HOOK":
        number = sum(earlier.name == "HOOK" for _, earlier in operations[:place])
        return StartFailed(f"error running createContainer hook #{number}: {hook_failure(attempt, error)}")
    if operation.name == "SYNC" and error == errno.ECHILD:
        return StartFailed("start the container's first process: it was killed meanwhile")
    if operation.name == "RLIMIT" and error == errno.EPERM:
        reason = "this host doesn't allow more than its own limit (it lacks CAP_SYS_RESOURCE)"
        return NotSupported(f"{attempt}: {os.strerror(error)}: {reason}")
    if operation.name in ("CLONE", "UNSHARE", "USER_NAMESPACE") and error in (errno.ENOSPC, errno.EUSERS):
        return Exhausted(f"{attempt}: the host allows no more of them: see /proc/sys/user/max_*_namespaces")
    if operation.name == "OVERLAY_ID_MAPPED" and error == errno.EINVAL:
        return NotSupported(f"{attempt}: the kernel or the layers' file system can't; it takes Linux 5.19 or newer")
    if operation.name.startswith("OVERLAY") and error == errno.ENAMETOOLONG:
        return NotSupported(f"{attempt}: the names of its layers are too many for this kernel; Linux 6.5 takes more")
    if error == errno.ENOENT and operation.name == "TREE" and operation.argument("beneath") != HOST:
        return StartFailed(f"{attempt}: {os.strerror(error)}: a subpath has to be in the volume, or image, already")
    if operation.name == "ATTACH" and error in (errno.ENOTDIR, errno.ELOOP):
        return _attach(operation, error, attempt)
    if error in (errno.ENOSPC, errno.EDQUOT):
        return Exhausted(f"{attempt}: {os.strerror(error)}; free some space on the disk")
    if error == errno.EOPNOTSUPP:
        return NotSupported(f"{attempt}: the kernel or the file system can't do it")
    return StartFailed(f"{attempt}: {os.strerror(error)}{_hint(error)}")


def ended_meanwhile(pid: int, start_time: int, error: int) -> bool:
    """Say whether a further process failed with `error` because the container, whose first process this is, has ended.

    When that one ends, the kernel kills what has just come in (ECHILD), lets nobody else in (ENOMEM from clone), takes its
    namespaces away (ESRCH from setns), and lets it wait until all others were reaped, by whoever that is: it may be there
    for a moment longer, or for as long as their parents please. pid_namespaces(7).
    """
    from select import POLLIN, poll

    from ..linux import syscalls

    descriptor = syscalls.pidfd_open_verified(pid, start_time)
    if descriptor is None:
        return True
    try:
        end = poll()
        end.register(descriptor, POLLIN)
        ended = end.poll(_MOMENT_MS if error in (errno.ECHILD, errno.ENOMEM) else 0)
        return bool(ended) or error == errno.ESRCH or syscalls.is_exiting(pid)
    finally:
        os.close(descriptor)


def hook_failure(attempt: str, error: int) -> str:
    """Say why a hook inside the container failed. ECANCELED, ETIMEDOUT: native/op_hooks.c."""
    special = {errno.ECANCELED: "it didn't end with exit status 0", errno.ETIMEDOUT: "it didn't end in time"}
    return f"{attempt}: {special.get(error) or os.strerror(error).lower()}"


def _attach(operation: Operation, error: int, attempt: str) -> MinirunError:
    """What is there is of another kind than what shall be mounted on it."""
    create = operation.argument("create")
    assert isinstance(create, int)
    if create & CREATE_NO_SYMLINKS:
        return StartFailed(f"{attempt}: it must be mounted on ordinary directory: {os.strerror(error).lower()}")
    if error == errno.ENOTDIR:
        pair = "a directory is mounted on a directory, and anything else on what is none"
        return StartFailed(f"{attempt}: not a directory: {pair}")
    return StartFailed(f"{attempt}: {os.strerror(error)}")


def _exec(operation: Operation, error: int) -> MinirunError:
    command = str(operation.argument("name")) if operation.name == "EXECUTABLE" else _texts(operation, "argv")[0]
    if error == errno.ENOENT:
        if "/" in command:
            return CommandNotFound(
                f'exec: "{command}": stat {command}: no such file or directory (or its interpreter is missing)'
            )
        return CommandNotFound(f'exec: "{command}": executable file not found in $PATH')
    if error == errno.ENOTDIR:
        return CommandNotFound(f'exec: "{command}": stat {command}: not a directory')
    if error == errno.ENOEXEC:
        machine = os.uname().machine
        return CommandNotExecutable(
            f'exec: "{command}": exec format error: it is not a program for {machine}, or a script without #! line'
        )
    if error == errno.E2BIG:
        return StartFailed(
            f'exec: "{command}": {os.strerror(error)}: arguments and environment are larger than the kernel takes'
        )
    reason = "is a directory" if error == errno.EISDIR else os.strerror(error).lower()
    return CommandNotExecutable(f'exec: "{command}": {reason}')


def _texts(operation: Operation, parameter: str) -> tuple[str, ...]:
    value = operation.argument(parameter)
    assert isinstance(value, (tuple, list))
    return tuple(str(item) for item in value)


def _user(operation: Operation, error: int) -> MinirunError:
    spec = str(operation.argument("spec"))
    user, _, group = spec.partition(":")
    if error == errno.ENOENT:
        return InvalidInput(f"unable to find user {user}: no matching entries in passwd file")
    if error == errno.ESRCH:
        names = (name for name in (group, *_texts(operation, "extra_groups")) if name and not name.isdecimal())
        return InvalidInput(f"unable to find group {' or '.join(names)}: no matching entries in group file")
    if error in (errno.EINVAL, errno.ERANGE):
        those = "from 0 to 2147483647, and with --userns among the container's"
        return InvalidInput(f'invalid user "{spec or "root"}": ids, of groups too, are numbers {those}')
    return StartFailed(f'look up user "{spec}" in the image: {os.strerror(error)}')


def _directory(operation: Operation, error: int) -> MinirunError:
    path = str(operation.argument("path"))
    text = f'chdir to the working directory "{path}": {os.strerror(error).lower()}'
    return CommandNotExecutable(text) if error == errno.EACCES else StartFailed(text)


def _hint(error: int) -> str:
    if error == errno.EPERM:
        return "; minirun needs to be root with all capabilities"
    if error == errno.ENODEV:
        return "; the kernel lacks this file system or device: is its module loaded?"
    return ""
