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


def isolation(text: str) -> str:
    """Read a kind of isolation: Windows has several, Linux the default. Raises InvalidInput."""
    if text not in ("", "default"):
        raise InvalidInput(f"invalid isolation: \"{text}\" - linux only supports 'default'")
    return text


def runtime(text: str) -> str:
    """Read the name of a runtime: minirun's own, which takes the place of docker's default. Raises InvalidInput."""
    if text not in ("", "minirun", "runc"):
        raise InvalidInput(
            f"unknown or invalid runtime name: {text}: there is minirun's own, which answers to runc too"
        )
    return text


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
