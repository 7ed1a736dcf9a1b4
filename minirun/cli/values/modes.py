"""Whose namespaces a container lives in: `--pid`, `--ipc`, `--uts`, `--cgroupns`.

Owns: these grammars, in docker's words. Leaves to others: whether a container exists (engine/borrow), what goes together
(engine/spec).
"""

from __future__ import annotations

from ...errors import InvalidInput


def pid(text: str) -> str:
    """Read a pid namespace: host, container:NAME, or nothing for one of its own."""
    if text in ("", "host") or (text.startswith("container:") and text != "container:"):
        return text
    raise InvalidInput("--pid: invalid PID mode")


def ipc(text: str) -> str:
    """Read an IPC namespace: host, private, shareable, none, container:NAME, or nothing."""
    if text in ("", "host", "private", "shareable", "none") or (text.startswith("container:") and text != "container:"):
        return text
    raise InvalidInput(f"Invalid IPC mode: {text}")


def uts(text: str) -> str:
    """Read a UTS namespace: host, or nothing for one of its own."""
    if text in ("", "host"):
        return text
    raise InvalidInput("--uts: invalid UTS mode")


def cgroupns(text: str) -> str:
    """Read a cgroup namespace: host, private, or nothing."""
    if text in ("", "host", "private"):
        return text
    raise InvalidInput("--cgroupns: invalid CGROUP mode")
