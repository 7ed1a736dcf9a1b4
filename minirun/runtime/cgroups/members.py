"""The processes in a cgroup and beneath: listed, frozen, killed; and the removal of what they leave.

Owns: these duties, for a path. Leaves to others: whose cgroup it is (hierarchy).
"""

from __future__ import annotations

import os
from contextlib import suppress

from . import files


def processes(path: str) -> list[int]:
    """Give the process ids in it and beneath, as this process sees them; none when it is gone."""
    try:
        found = [int(line) for line in files.read(f"{path}/cgroup.procs").split()]
        for child in _children(path):
            found += processes(child)
    except OSError:
        return []  # it has gone, and its processes with it
    return found


def is_populated(path: str) -> bool:
    """Does any process live in it or beneath? No, when it is gone."""
    try:
        return files.events(path).get("populated") == "1"
    except OSError:
        return False


def freeze(path: str, frozen: bool = True) -> None:
    """Stop (or go on with) all processes; returns when the kernel says so. TimeoutError after 10 seconds."""
    files.write(f"{path}/cgroup.freeze", "1" if frozen else "0")
    files.wait(path, lambda events: events.get("frozen") == ("1" if frozen else "0"), 10.0)


def kill(path: str) -> None:
    """Send SIGKILL to every process in it and beneath, at once. No error when it is gone."""
    files.write_if_there(f"{path}/cgroup.kill", "1")


def remove(path: str, timeout_seconds: float = 10.0) -> None:
    """Kill what still lives in it, remove it and what its processes made beneath. Idempotent.

    Waits for the kernel's word (cgroup.events), never sleeps; TimeoutError when a killed process doesn't go.
    """
    try:
        os.rmdir(path)  # the usual case
        return
    except FileNotFoundError:
        return
    except OSError:
        pass
    try:
        kill(path)
        files.wait(path, lambda events: events.get("populated") == "0", timeout_seconds)
        _remove_tree(path)
    except OSError as error:
        if error.errno not in files.GONE:  # removed by somebody else meanwhile
            raise


def _children(path: str) -> list[str]:
    return [entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]


def _remove_tree(path: str) -> None:
    for child in _children(path):
        _remove_tree(child)
    with suppress(FileNotFoundError):
        os.rmdir(path)
