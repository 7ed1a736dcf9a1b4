"""What containers use: processor, memory, network, block devices, processes.

Owns: `stats`: two looks and the difference, which containers are looked at. Leaves to others: the numbers of a cgroup
(runtime/cgroups/stats), how they are said (cli/).

None stands for what this host doesn't count: its cgroup v2 tree has no such controller. Processor, network and processes are
always there: every cgroup counts its time, /proc/PID/net/dev its packets, and processes can be counted one by one.
"""

from __future__ import annotations

import os
import time

from ..errors import NotFound
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..runtime.cgroups.stats import Counters
    from .container import Container
    from .engine import Engine

_OWN_NETWORK = ("none", "host")


class Usage(Record):
    """What one container uses; zeros when it is at rest, None for what nobody counts here."""

    container: Container
    reference: str  # by which it was asked for: docker's field Container
    cpu_percent: float = 0.0  # of one processor: more than 100 with several
    memory_bytes: int | None = 0  # without what the kernel would give back at once
    memory_limit_bytes: int | None = 0  # the host's memory when there is no limit
    received_bytes: int = 0
    sent_bytes: int = 0
    read_bytes: int | None = 0
    written_bytes: int | None = 0
    processes: int = 0

    @property
    def memory_percent(self) -> float | None:
        if self.memory_bytes is None or self.memory_limit_bytes is None:
            return None
        return self.memory_bytes * 100 / self.memory_limit_bytes if self.memory_limit_bytes else 0.0


def stats(
    engine: Engine, references: Sequence[str], *, everything: bool, interval_seconds: float
) -> Iterator[list[Usage]]:
    """See Engine.stats."""
    for reference in references:
        engine.rows.find(reference)
    return _rounds(engine, references, everything, interval_seconds)


def _rounds(engine: Engine, references: Sequence[str], everything: bool, interval: float) -> Iterator[list[Usage]]:
    before = {container.id: _look(engine, container) for _, container in _chosen(engine, references, everything)}
    while True:
        if before or not references:
            time.sleep(interval)
        now: dict[str, tuple[int, Counters] | None] = {}
        found = []
        for reference, container in _chosen(engine, references, everything):
            looked = now[container.id] = _look(engine, container)
            found.append(_usage(reference, container, before.get(container.id), looked))
        if references and not now:
            return  # all that were asked for have been removed
        yield found
        before = now


def _chosen(engine: Engine, references: Sequence[str], everything: bool) -> Iterator[tuple[str, Container]]:
    if not references:
        for container in engine.containers(all=everything):
            yield container.id, container
    for reference in references:
        try:
            yield reference, engine.rows.find(reference)
        except NotFound:  # removed meanwhile
            continue


def _look(engine: Engine, container: Container) -> tuple[int, Counters] | None:
    """Give the time and the counters, None when it is at rest or ends at this moment."""
    from ..runtime.cgroups.stats import counters

    if not container.is_running:
        return None
    try:
        return time.monotonic_ns(), counters(engine.hierarchy.path(container.cgroup))
    except OSError:
        return None


def _usage(
    reference: str, container: Container, before: tuple[int, Counters] | None, now: tuple[int, Counters] | None
) -> Usage:
    usage = Usage(container=container, reference=reference)
    if now is None:
        return usage
    time_ns, counted = now
    received, sent = (0, 0) if container.config.network in _OWN_NETWORK else _network(container.pid)
    limit = counted.memory_limit_bytes
    if counted.memory_bytes is not None:
        host = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        limit = host if limit is None else min(limit, host)
    share = 0.0
    if before is not None and time_ns > before[0]:
        share = max(counted.cpu_ns - before[1].cpu_ns, 0) * 100 / (time_ns - before[0])
    return usage.replace(
        cpu_percent=share,
        memory_bytes=counted.memory_bytes,
        memory_limit_bytes=limit,
        received_bytes=received,
        sent_bytes=sent,
        read_bytes=counted.read_bytes,
        written_bytes=counted.written_bytes,
        processes=counted.processes,
    )


def _network(pid: int) -> tuple[int, int]:
    """Give the bytes that came and went by all interfaces but the loopback one. proc_pid_net(5), net/dev."""
    received = sent = 0
    try:
        with open(f"/proc/{pid}/net/dev", encoding="ascii") as file:
            for line in file:
                name, colon, numbers = line.partition(":")
                if colon and name.strip() != "lo":
                    fields = numbers.split()
                    received, sent = received + int(fields[0]), sent + int(fields[8])
    except OSError:  # it ends at this moment
        return 0, 0
    return received, sent
