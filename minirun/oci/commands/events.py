"""`minirun-oci events`: statistics of a container, one line of JSON at each interval, and a line when it runs out of memory.

The kernel tells of changes of memory.events and cgroup.events by poll(2); between them nothing is done. It ends with the
container. Documentation/admin-guide/cgroup-v2.rst, "Memory Interface Files", "Core Interface Files".
"""

from __future__ import annotations

import os
import select
import time

from ...errors import Conflict, NotFound
from ...jsontext import dumps
from ...output import say
from ...units import LONGEST_POLL_MS, SECOND_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...runtime.container import Container
    from ..invocation import Invocation

_INTERVAL_NS = 5 * SECOND_NS
_FILES = ("memory.events", "cgroup.events")


def run(invocation: Invocation) -> int:
    container = invocation.container()
    if container.status == "stopped":
        raise Conflict(f"container with id {invocation.id} is not running")
    if invocation.parsed.flag("stats"):
        _say("stats", invocation.id, container.stats())
        return 0
    _follow(invocation, container, invocation.parsed.number("interval") or _INTERVAL_NS)
    return 0


def _say(kind: str, container_id: str, data: dict[str, Any] | None = None) -> None:
    say(dumps({"type": kind, "id": container_id} | ({} if data is None else {"data": data})))


def _follow(invocation: Invocation, container: Container, interval_ns: int) -> None:
    """Print until the container has ended. Blocks."""
    process = container.pidfd()
    if process is None:
        return
    changes = Changes(container.cgroup.path, process)
    kills = container.cgroup.oom_kills()
    due = time.monotonic_ns() + interval_ns
    try:
        while True:
            changes.wait(max(0, due - time.monotonic_ns()))
            if not _is_alive(invocation):
                return
            if (now := container.cgroup.oom_kills()) > kills:
                kills = now
                _say("oom", invocation.id)
            if time.monotonic_ns() >= due:
                _say("stats", invocation.id, container.stats())
                due = time.monotonic_ns() + interval_ns
    except (Conflict, NotFound):  # it has ended since we looked
        return
    finally:
        changes.close()


def _is_alive(invocation: Invocation) -> bool:
    try:
        return invocation.container().status != "stopped"
    except NotFound:
        return False


class Changes:
    """Waits for a change of a cgroup's events, and for the end of a process (a pidfd, which is closed with the rest).

    Without such files (no cgroup, no controller) only for the time to pass. That a cgroup is empty is told before its last
    process counts as ended, and that it is gone isn't told at all.
    """

    def __init__(self, directory: str, process: int = -1) -> None:
        self._poll = select.poll()
        self._process = process
        if process >= 0:
            self._poll.register(process, select.POLLIN)
        self._descriptors: list[int] = []
        for name in _FILES if directory else ():
            try:
                descriptor = os.open(f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            self._descriptors.append(descriptor)
            self._poll.register(descriptor, select.POLLPRI)
        self._read()

    def wait(self, timeout_ns: int) -> None:
        if self._poll.poll(min(timeout_ns // 1_000_000 + 1, LONGEST_POLL_MS)):
            self._read()

    def _read(self) -> None:
        """Only what was read can change. A file of a cgroup that is gone tells so for ever, so it is asked no more."""
        for descriptor in tuple(self._descriptors):
            try:
                os.pread(descriptor, 4096, 0)
            except OSError:  # ENODEV
                self._forget(descriptor)

    def _forget(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        self._descriptors.remove(descriptor)
        os.close(descriptor)

    def close(self) -> None:
        for descriptor in tuple(self._descriptors):
            self._forget(descriptor)
        if self._process >= 0:
            os.close(self._process)
