"""Hooks that the runtime itself runs, in its own namespaces: prestart, createRuntime, poststart, poststop.

Owns: one hook's process, its input, its time. Leaves to others: when (container), hooks inside the container (HOOK
operations of the plan). config.md, POSIX-platform hooks.
"""

from __future__ import annotations

import os
import select

from ..errors import StartFailed
from ..light import contextmanager, suppress
from ..linux import syscalls
from ..program import given_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .spec import Hook

_MESSAGE_MAX = 4096
_SIGKILL = 9


def run(kind: str, hooks: Sequence[Hook], state: str, bundle: str, *, stdout: str = "", stderr: str = "") -> None:
    """Run hooks one after the other with the container's state as their input; raises StartFailed at the first that fails.

    They run in the directory of the bundle, as under runc and crun, as long as there is one. What they write is appended to
    the files `stdout` and `stderr`; without the latter, standard error becomes part of the message. Blocks until each has ended.
    """
    for number, hook in enumerate(hooks):
        try:
            with _directory(bundle):
                _run(hook, state.encode("utf-8", "surrogateescape"), stdout or os.devnull, stderr)
        except (OSError, TimeoutError, _Failed) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise StartFailed(f"error running {kind} hook #{number}: {hook.path}: {reason}") from error


@contextmanager
def _directory(path: str) -> Iterator[None]:
    """Work in another directory for a while; where ours is when there is no such (any more)."""
    before = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            os.chdir(path)
        try:
            yield
        finally:
            os.fchdir(before)
    finally:
        os.close(before)


class _Failed(Exception):
    """A hook that ran and wasn't happy."""


def _run(hook: Hook, state: bytes, stdout: str, stderr: str) -> None:
    stdin = syscalls.memory_file("oci-state", state)
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        os.lseek(stdin, 0, os.SEEK_SET)
        try:
            if stderr:
                os.close(writer)
                writer = -1
                writer = _appended(stderr)
            output = _appended(stdout)
            try:
                arguments = hook.arguments or (hook.path,)
                environment = given_environment() if hook.environment is None else hook.environment
                pid = syscalls.spawn(hook.path, arguments, environment, {0: stdin, 1: output, 2: writer})
            finally:
                os.close(output)
        finally:
            if writer >= 0:
                os.close(writer)
            writer = -1
        try:
            said = _attend(pid, reader, hook.timeout_seconds)
        except BaseException:  # its time is up, or ours
            os.kill(pid, _SIGKILL)
            os.waitpid(pid, 0)
            raise
        _, status = os.waitpid(pid, 0)
    finally:
        for descriptor in (stdin, reader, writer):
            if descriptor >= 0:
                os.close(descriptor)
    if status != 0:
        words = said.decode("utf-8", "backslashreplace").strip().replace("\n", " ")
        how = f"killed by signal {-code}" if (code := os.waitstatus_to_exitcode(status)) < 0 else f"exit status {code}"
        raise _Failed(f"{how}{', stderr: ' + words if words else ''}")


def _appended(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o644)


def _attend(pid: int, reader: int, timeout_seconds: int | None) -> bytes:
    """Read what the hook says until its process has ended; TimeoutError when its time is up."""
    import time

    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    said = b""
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(reader, select.POLLIN)
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            ready = [descriptor for descriptor, _ in poll.poll(left)]
            if reader in ready:
                piece = os.read(reader, _MESSAGE_MAX)
                said = (said + piece)[:_MESSAGE_MAX]
                if not piece:
                    poll.unregister(reader)
            if pidfd in ready:  # whoever it has left behind may go on talking
                return said
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"it didn't end within {timeout_seconds} s")
    finally:
        os.close(pidfd)
