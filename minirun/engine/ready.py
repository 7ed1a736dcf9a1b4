"""Waiting until a container serves: a port that answers, a line in its log, a health check that is content.

Owns: what counts as ready, and the sentence when it doesn't come to that. Leaves to others: everything looked at.

Each waits at most its time-out, and no longer than the container lives: what has ended won't get ready any more. One look is
always taken after the end, for what was written in the last moment.
"""

from __future__ import annotations

import time

from ..errors import InvalidInput, NotFound, NotReady
from ..monitor import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .container import Container
    from .engine import Engine

    T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 0.1
CONNECT_SECONDS = 1.0
THIS_HOST = "127.0.0.1"


def address_of(engine: Engine, container: Container) -> str:
    """Give the address at which this host reaches a container. Raises NotFound when there is none."""
    mode, _, lender = container.config.network.partition(":")
    if mode == "container":
        return address_of(engine, engine.container(lender))
    if mode == "host":
        return THIS_HOST
    address = container.address4 or container.address6
    if not address:
        raise NotFound(f"container {container.name} has no address: it doesn't run, or has no network")
    return address


def wait_for_port(engine: Engine, reference: str, port: int, timeout_seconds: float) -> None:
    """Wait until something accepts TCP connections at a port of the container, by its own address."""
    import socket

    address = address_of(engine, engine.container(reference))

    def look() -> bool:
        try:
            socket.create_connection((address, port), timeout=CONNECT_SECONDS).close()
        except OSError:  # refused, unreachable: not yet
            return False
        return True

    _until(engine, reference, f"port {port} answered", timeout_seconds, look)


def wait_for_log(engine: Engine, reference: str, pattern: str, timeout_seconds: float) -> str:
    """Wait for a line of the log that the regular expression is found in, and give it without its newline."""
    import re

    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise InvalidInput(f"invalid pattern {pattern!r}: {error}") from error

    def look() -> str | None:
        streams: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        for entry in engine.logs(reference):
            streams[entry.stream].append(entry.data)
        for parts in streams.values():
            for line in b"".join(parts).decode(errors="replace").splitlines():
                if wanted.search(line):
                    return line
        return None

    return _until(engine, reference, f"a line with {pattern!r} was written", timeout_seconds, look)


def wait_until_healthy(engine: Engine, reference: str, timeout_seconds: float) -> None:
    """Wait until the container's health check has passed."""

    def look() -> bool:
        health = engine.inspect(reference, "container")["State"].get("Health")
        if health is None:
            raise InvalidInput(f"container {engine.container(reference).name} has no health check")
        if health["Status"] == "unhealthy":
            raise NotReady(f"container {engine.container(reference).name} is unhealthy")
        return bool(health["Status"] == "healthy")

    _until(engine, reference, "its health check passed", timeout_seconds, look)


def _until(engine: Engine, reference: str, what: str, timeout_seconds: float, look: Callable[[], T | None]) -> T:
    """Look until there is something. Raises NotReady."""
    end = time.monotonic() + timeout_seconds
    pause = FIRST_PAUSE_SECONDS
    while True:
        runs = exits.is_running(engine.layout.run(engine.container(reference).id))  # before we look
        found = look()
        if found:
            return found
        if not runs and (ended := _ended(engine, reference)):
            raise NotReady(f"{ended} before {what}{_last_words(engine, reference)}")
        if time.monotonic() > end:
            name = engine.container(reference).name
            raise NotReady(
                f"container {name}: {timeout_seconds:g} s went by before {what}{_last_words(engine, reference)}"
            )
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)


def _ended(engine: Engine, reference: str) -> str:
    """Say that a container has ended; "" for one that its policy starts again, or has started again by now."""
    from .life import settle

    container = settle(engine, engine.container(reference).id)
    if container is None or container.status == "removing":
        return f"container {reference[:12]} was removed"
    if container.status not in ("created", "exited"):
        return ""
    return f"container {container.name} ended with exit code {container.exit_code}"


def _last_words(engine: Engine, reference: str) -> str:
    try:
        entries = list(engine.logs(reference, tail=1))
    except NotFound:
        return ""
    return f"; its last line is {entries[-1].data.decode(errors='replace').strip()!r}" if entries else ""
