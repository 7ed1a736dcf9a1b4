"""The processes in a cgroup and beneath: listed, frozen, signalled, killed; and the removal of what they leave.

Owns: these duties, for a path. Leaves to others: whose cgroup it is (hierarchy, container).

What lies beneath was made by the container, when its cgroup was delegated: as deep as it likes, threaded or not. So the walk
recurses on neither our stack nor a path that grows, and one directory that can't be read hides no other.
"""

from __future__ import annotations

import errno
import os

from ...light import contextmanager, suppress
from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGKILL = 9


def processes(path: str) -> list[int]:
    """Give the process ids in it and beneath, as this process sees them; none when it is gone."""
    found: list[int] = []
    for directory, name in _walk(path):
        found += of_one(f"{name}/cgroup.procs", directory)
    return found + of_one(f"{path}/cgroup.procs")


def threads(path: str) -> int:
    """Count the threads in it and beneath."""
    own = len(of_one(f"{path}/cgroup.threads"))
    return own + sum(len(of_one(f"{name}/cgroup.threads", directory)) for directory, name in _walk(path))


def of_one(file: str, directory: int | None = None) -> list[int]:
    """Give the ids in one cgroup.procs or cgroup.threads; none when it is gone. OSError: nobody knows, and it isn't empty.

    A threaded cgroup answers EOPNOTSUPP: the one above it lists its processes. 0 is a process that this process can't see.
    """
    try:
        return [int(line) for line in files.read(file, directory).split() if line != "0"]
    except OSError as error:
        if error.errno not in (*files.GONE, errno.EOPNOTSUPP):
            raise
        return []


def is_populated(path: str) -> bool:
    """Does any process live in it or beneath? No, when it is gone."""
    return _event(path, "populated")


def is_frozen(path: str) -> bool:
    """Have all processes in it and beneath been stopped, by its own freezer or by that of a cgroup above?

    An empty one is frozen if whoever comes there will be: Linux may leave the event on one whose processes died as they went on.
    """
    return _event(path, "frozen") and (is_populated(path) or _freezer_is_closed(path))


def _freezer_is_closed(path: str) -> bool:
    """Its own, or one above?"""
    while path != "/":
        try:
            if files.read(f"{path}/cgroup.freeze").strip() == "1":
                return True
        except OSError:  # the root has none
            return False
        path = os.path.dirname(path)
    return False


def freeze(path: str, frozen: bool = True, timeout_seconds: float = 10.0) -> None:
    """Stop (or go on with) all processes; returns when the kernel says so.

    TimeoutError when a process doesn't come to rest; then all go on.
    """
    wanted = "1" if frozen else "0"
    files.write(f"{path}/cgroup.freeze", wanted)
    try:
        files.wait(
            path, lambda events: events.get("frozen") == wanted or not (frozen or _has_any(events)), timeout_seconds
        )
    except TimeoutError:
        files.write_if_there(f"{path}/cgroup.freeze", "0")
        raise


def _has_any(events: dict[str, str]) -> bool:
    return events.get("populated") == "1"


def signal(path: str, number: int) -> None:
    """Send a signal to every process in it and beneath. No error when it is gone."""
    if number == _SIGKILL:
        kill(path)
        return
    # Frozen, so that nobody forks behind our back; the signals arrive when they go on.
    try:
        if is_frozen(path):
            _send(processes(path), number)
            return
        with _thawed_afterwards(path):
            with suppress(TimeoutError):
                freeze(path)
            _send(processes(path), number)
    except OSError as error:
        if error.errno not in files.GONE:
            raise


@contextmanager
def _thawed_afterwards(path: str) -> Iterator[None]:
    """At the end of the block all go on, also when it is our death that ends it: a child sees that, and lets them."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        guard = os.fork()
        if guard == 0:
            try:
                os.setsid()  # what ends our process group leaves it alone
                os.close(writer)
                os.read(reader, 1)
                files.write_if_there(f"{path}/cgroup.freeze", "0")
            finally:
                os._exit(0)
        try:
            yield
        finally:
            files.write_if_there(f"{path}/cgroup.freeze", "0")
            os.close(writer)
            writer = -1
            os.waitpid(guard, 0)  # it may not let go what somebody freezes after us
    finally:
        for descriptor in (reader, writer):
            if descriptor >= 0:
                os.close(descriptor)


def kill(path: str) -> None:
    """Send SIGKILL to every process in it and beneath, at once. No error when it is gone."""
    try:
        files.write(f"{path}/cgroup.kill", "1")
    except OSError as error:
        if error.errno not in files.GONE:
            raise
        if os.path.isdir(path):
            _kill_one_by_one(path)


def _kill_one_by_one(path: str) -> None:
    """Do what cgroup.kill does, for kernels before 5.14: kill until no process is there that hasn't been killed.

    It comes to an end, since fork(2) fails in a process that SIGKILL waits for. In the freezer they die too.
    """
    killed: set[int] = set()
    while found := set(processes(path)) - killed:
        _send(found, _SIGKILL)
        killed |= found


def remove(path: str, timeout_seconds: float = 10.0) -> None:
    """Kill what still lives in it, remove it and what its processes made beneath. Idempotent.

    Waits for the kernel's word (cgroup.events), never sleeps; TimeoutError when a killed process doesn't go. Who enters the
    container at this moment (CLONE_INTO_CGROUP) may come after that word: killed like the others.
    """
    import time

    deadline = time.monotonic() + timeout_seconds
    while not _remove_empty(path):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{path}: for {timeout_seconds:g} s processes have come as fast as they were killed")
        try:
            kill(path)
            files.wait(path, lambda events: events.get("populated") == "0", left)
            for directory, name in _walk(path):
                _remove_empty(name, directory)
        except OSError as error:
            if error.errno not in files.GONE:  # removed by somebody else meanwhile
                raise


def _remove_empty(path: str, directory: int | None = None) -> bool:
    """Remove one cgroup, unless somebody lives in it or beneath; is it gone?"""
    try:
        os.rmdir(path, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        if error.errno not in files.GONE:
            raise
    return True


def _walk(path: str) -> Iterator[tuple[int, str]]:
    """Give each cgroup beneath `path`, the deepest first: a descriptor of the directory it lies in, and its name.

    One descriptor is open at a time, and ".." is safe: a directory of this file system is never moved (cgroup-v2.rst).
    """
    try:
        directory = os.open(path, _DIRECTORY)
    except OSError as error:
        if error.errno not in files.GONE:
            raise
        return
    way: list[str] = []  # the names from `path` down to here
    left = [_children(directory)]  # what is still to be visited, on each level
    try:
        while True:
            if left[-1]:
                name = left[-1].pop()
                try:
                    directory = _change(directory, name)
                except OSError:  # gone meanwhile
                    continue
                way.append(name)
                left.append(_children(directory))
            elif way:
                left.pop()
                directory = _change(directory, "..")
                yield directory, way.pop()
            else:
                return
    except OSError as error:
        if error.errno not in files.GONE:
            raise
    finally:
        os.close(directory)


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


def _change(directory: int, name: str) -> int:
    """Give a descriptor of a neighbour of `directory`, which is closed; OSError leaves it open."""
    changed = os.open(name, _DIRECTORY, dir_fd=directory)
    os.close(directory)
    return changed


def _children(directory: int) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # gone meanwhile
        return []


def _event(path: str, name: str) -> bool:
    try:
        return files.events(path).get(name) == "1"
    except OSError as error:
        if error.errno not in files.GONE:
            raise
        return False


def _send(found: set[int] | list[int], number: int) -> None:
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
