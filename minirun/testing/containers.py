"""The containers of a test: started, waited for, removed whatever happens.

Owns: `Minirun` (what the fixture gives), the label by which the containers of a killed test run are found. Leaves to others: pytest
(testing/plugin), starting and waiting (engine/).
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from ..engine.config import ContainerConfig, PortMapping
from ..linux import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Any, Self

    from ..engine.capture import Completed
    from ..engine.engine import Engine
    from ..engine.running import Running
    from ..storage.volumes import Volume

OWNER = (
    "minirun.pytest.owner"  # "PID START_TIME" of the test run: together they name a process for ever, proc_pid_stat(5)
)


class Minirun:
    """Containers for as long as this is open. Use it as a context manager, or take the fixture `minirun`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.started: list[Running] = []
        self._undo = ExitStack()

    def start(
        self,
        image: str,
        *command: str,
        ports: Iterable[int | PortMapping] = (),
        environment: Mapping[str, str] | Iterable[str] = (),
        wait_for_port: int = 0,
        wait_for_log: str = "",
        wait_until_healthy: bool = False,
        timeout_seconds: float = 60.0,
        **fields: Any,
    ) -> Running:
        """Start a container, pulled when it isn't here, and wait until it is ready; it is removed after the test.

        `ports` of the container are published on 127.0.0.1, each at any free port (`Running.port` tells which). `fields` are
        those of ContainerConfig. Raises NotReady, what create and start raise, TypeError for a field that there isn't.
        """
        config = self._config(image, command, environment, fields)
        mappings = [
            port if isinstance(port, PortMapping) else PortMapping(container_port=port, host_address="127.0.0.1")
            for port in ports
        ]
        running = self._undo.enter_context(self.engine.running(config.replace(ports=tuple(mappings))))
        self.started.append(running)
        if wait_for_port:
            running.wait_for_port(wait_for_port, timeout_seconds=timeout_seconds)
        if wait_for_log:
            running.wait_for_log(wait_for_log, timeout_seconds=timeout_seconds)
        if wait_until_healthy:
            running.wait_until_healthy(timeout_seconds=timeout_seconds)
        return running

    def run(
        self,
        image: str,
        *command: str,
        stdin: bytes | None = None,
        environment: Mapping[str, str] | Iterable[str] = (),
        **fields: Any,
    ) -> Completed:
        """Run a container to its end, and give what it wrote. Blocks."""
        return self.engine.run(self._config(image, command, environment, fields), stdin=stdin)

    def volume(self) -> Volume:
        """Make a volume that is removed after the test, once the containers are."""
        return self._undo.enter_context(self.engine.temporary_volume({OWNER: own_mark()}))

    def _config(
        self,
        image: str,
        command: tuple[str, ...],
        environment: Mapping[str, str] | Iterable[str],
        fields: dict[str, Any],
    ) -> ContainerConfig:
        self.engine.pull_missing(image)
        variables = environment if not hasattr(environment, "items") else (f"{k}={v}" for k, v in environment.items())
        labels = {**fields.pop("labels", {}), OWNER: own_mark()}
        return ContainerConfig(image=image, command=command, environment=tuple(variables), labels=labels, **fields)

    def close(self) -> None:
        """Remove everything, the newest first. Safe to repeat."""
        self._undo.close()
        self.started.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def own_mark() -> str:
    """Give what names this process: no later one has the same number and start time."""
    pid = os.getpid()
    return f"{pid} {syscalls.process_start_time(pid)}"


def remove_orphans(engine: Engine) -> int:
    """Remove the containers and volumes of test runs that were killed; gives how many containers that were."""
    orphans = [
        each
        for each in engine.containers(all=True, filters={"label": [OWNER]})
        if not _lives(each.config.labels[OWNER])
    ]
    for container in orphans:
        engine.remove(container.id, force=True, volumes=True)
    for volume in engine.volumes({"label": [OWNER]}):
        if not _lives(volume.labels[OWNER]):
            engine.remove_volume(volume.name, force=True)
    return len(orphans)


def _lives(mark: str) -> bool:
    pid, _, start_time = mark.partition(" ")
    pidfd = syscalls.pidfd_open_verified(int(pid), int(start_time))
    if pidfd is None:
        return False
    os.close(pidfd)
    return True
