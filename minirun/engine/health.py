"""Health checks: what is checked, as image and user ask for it, how it is told to the monitor, and what it has found.

Owns: the rules that both are merged by, docker's default times, the check's plan, reading results, the restart of an unhealthy one.
Leaves to others: running the check and counting failures (native/monitor_health.c), which takes nothing of Python.

A check is a further process in the container, compiled once, at its start. Its results lie in the file `health` of the container's
directory, as docker's State.Health; they stay when the container has ended, and are an unhealthy one's then, as docker's are.
"""

from __future__ import annotations

import time

from ..errors import InvalidInput
from ..jsontext import loads
from ..units import SECOND_NS, go_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..linux.plan import Operation
    from ..runtime.spec import Spec
    from .config import ContainerConfig
    from .container import Container
    from .engine import Engine
    from .spec import Image

    Json = dict[str, Any]

# name of the field: name in docker's JSON, what 0 stands for
TIMES = {
    "health_interval_ns": ("Interval", 30 * SECOND_NS),
    "health_timeout_ns": ("Timeout", 30 * SECOND_NS),
    "health_start_period_ns": ("StartPeriod", 0),
    "health_start_interval_ns": ("StartInterval", 5 * SECOND_NS),
}
RETRIES = 3
SHORTEST_NS = 1_000_000
SHELL = ("/bin/sh", "-c")
LIMIT_BYTES = 1 << 20  # of the file: five results of 4 KiB, each byte of which may be written as six


def resolve(config: ContainerConfig, image: Image) -> ContainerConfig:
    """Fill in what the image says and the user doesn't. Raises InvalidInput in docker's words."""
    found = {} if config.no_healthcheck else image.config.get("Healthcheck") or {}
    values: dict[str, Any] = {}
    if not config.health_command:
        values["health_command"] = ("NONE",) if config.no_healthcheck else tuple(found.get("Test") or ())
    for field, (name, _) in TIMES.items():
        values[field] = getattr(config, field) or found.get(name) or 0
    values["health_retries"] = config.health_retries or found.get("Retries") or 0
    config = config.replace(**values)
    _check(config)
    return config


def _check(config: ContainerConfig) -> None:
    for field, (name, _) in TIMES.items():
        if getattr(config, field) and getattr(config, field) < SHORTEST_NS:
            raise InvalidInput(f"{name} in Healthcheck cannot be less than 1ms")
    if config.health_retries < 0:
        raise InvalidInput("Retries in Healthcheck cannot be negative")
    if config.health_command and config.health_command[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidInput(f"Unknown healthcheck type '{config.health_command[0]}' (expected 'CMD')")
    if config.restart_on_unhealthy and not config.has_health_check:
        raise InvalidInput("--restart-on-unhealthy needs a health check: give one with --health-cmd")


def command_of(config: ContainerConfig, image: Image) -> tuple[str, ...]:
    """Give what is executed: CMD as it is, CMD-SHELL by the image's shell."""
    kind, *words = config.health_command
    return tuple(words) if kind == "CMD" else (*(image.config.get("Shell") or SHELL), *words)


def operation(engine: Engine, container: Container, spec: Spec, cgroup: str) -> Operation:
    """Give the monitor's operation for a container that is about to start; `spec` is that of the check (spec.build_exec)."""
    from ..linux import plan
    from ..runtime.compile import Target, compile_exec

    config = container.config
    target = Target(
        pid=0, start_time=0, cgroup=cgroup, monitored=False, keyring=container.id,
        cache_directory=f"{engine.layout.root}/seccomp",
    )  # fmt: skip
    times = {field.removeprefix("health_"): getattr(config, field) or usual for field, (_, usual) in TIMES.items()}
    return plan.health(
        compile_exec(spec, target).encode(),
        **times,
        retries=config.health_retries or RETRIES,
        late=f"Health check exceeded timeout ({go_duration(times['timeout_ns'])})",
        path=engine.layout.health(container.id),
    )


def of_container(engine: Engine, container: Container) -> Json | None:
    """Give what is known of a container's health, as docker's State.Health; None for one that isn't checked, or hasn't ever run.

    Before its first check it is said to be starting; at rest and while it is paused, when nobody asks it, to be unhealthy.
    """
    if not container.config.has_health_check or not container.started_ns:
        return None
    from ..files import read_bytes

    data = read_bytes(engine.layout.health(container.id), LIMIT_BYTES)
    health: Json = loads(data.decode()) if data else {"Status": "starting", "FailingStreak": 0, "Log": []}
    if container.status != "running":
        health["Status"] = "unhealthy"
    return health


def status(engine: Engine, container: Container) -> str:
    """Give starting, healthy, unhealthy, or none for a container that isn't checked."""
    health = of_container(engine, container)
    return health["Status"] if health else "none"


def healthcheck_json(config: ContainerConfig) -> Json | None:
    """Give what was asked for: Config.Healthcheck."""
    times = {name: getattr(config, field) for field, (name, _) in TIMES.items()}
    given: Json = {"Test": list(config.health_command), **times, "Retries": config.health_retries}
    return {name: value for name, value in given.items() if value} or None


def changed(engine: Engine, container_id: str, word: str) -> None:
    """Take note that a container's health is another one; start it again if that was asked for. For the monitor's hook."""
    container = engine.rows.get(container_id)
    if container is None or not container.is_running:
        return
    engine.rows.note_alone(container, f"health_status: {word}")
    if word == "unhealthy" and container.config.restart_on_unhealthy:
        _start_again(engine, container)


def _start_again(engine: Engine, container: Container) -> None:
    """End an unhealthy container as `stop` does and start it, as its policy would: counted, and not after a stop by hand."""
    from .session import Attachment
    from .start import start_locked
    from .stop import end_locked

    with engine.lock(container.id):
        current = engine.rows.get(container.id)
        if current is None or not current.is_running or current.started_ns != container.started_ns:
            return
        if current.stopped_by_hand or status(engine, current) != "unhealthy":
            return
        _, ended = end_locked(engine, current, None, "", by_hand=False, status="restarting")
        changes = {"restart_count": ended.restart_count + 1, "restart_at_ns": time.time_ns()}
        engine.rows.update(ended.id, **changes)
        start_locked(engine, ended.replace(**changes), Attachment(), by_hand=False).detach()
