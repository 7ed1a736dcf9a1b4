"""An engine that remembers what it was asked for, so that commands can be tried without root or a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minirun.engine.config import ContainerConfig
from minirun.engine.container import Container
from minirun.errors import Conflict, NotFound

ID = "0123456789abcdef" * 4


def container(**changes: Any) -> Container:
    plain = Container(
        id=ID,
        name="box",
        image_id="sha256:" + "f" * 64,
        image_name="busybox",
        config=ContainerConfig(image="busybox"),
        arguments=("sh",),
        status="running",
        created_ns=1,
        started_ns=1,
    )
    return plain.replace(**changes)


class Session:
    """A session whose container has ended with code 3."""

    role = "owner"
    remark = ""

    def __init__(self, engine: Engine, started: Container) -> None:
        self.engine = engine
        self.container = started
        self.connection = self

    def detach(self) -> None:
        self.engine.calls.append(("detach",))

    close = detach

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self) -> int:
        return self.finish(self.wait_exited())

    def wait_exited(self) -> int:
        return 3

    def finish(self, end: int) -> int:
        return end


class Engine:
    """Every verb is noted in `calls`; a container named `missing` isn't there."""

    def __init__(self, *containers: Container) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.held = containers or (container(),)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.calls.append(("closed",))

    def _find(self, reference: str) -> Container:
        for held in self.held:
            if reference in (held.name, held.id, held.id[:12]):
                return held
        raise NotFound(f"No such container: {reference}")

    def container(self, reference: str) -> Container:
        return self._find(reference)

    def containers(self, **options: Any) -> list[Container]:
        self.calls.append(("containers", options))
        return list(self.held)

    def image_names(self) -> set[tuple[str, str]]:
        return {(held.image_id, "busybox:latest") for held in self.held}

    def create(self, config: ContainerConfig) -> Container:
        self.calls.append(("create", config))
        if config.image == "missing":
            raise NotFound("No such image: missing:latest")
        return container(config=config)

    def start(self, reference: str, attachment: Any = None) -> Session:
        self.calls.append(("start", reference, attachment))
        found = self._find(reference)
        if found.error:
            raise Conflict(found.error)
        return Session(self, found)

    def exec(self, reference: str, config: Any, attachment: Any = None) -> Session:
        self.calls.append(("exec", reference, config, attachment))
        return Session(self, self._find(reference))

    def remove(self, reference: str, *, force: bool = False, volumes: bool = False) -> None:
        self.calls.append(("remove", reference, force, volumes))
        self._find(reference)

    def stop(self, reference: str, timeout_seconds: float | None = None, signal: str = "") -> None:
        self.calls.append(("stop", reference, timeout_seconds, signal))
        self._find(reference)

    def restart(self, reference: str, timeout_seconds: float | None = None, signal: str = "") -> None:
        self.calls.append(("restart", reference, timeout_seconds, signal))
        self._find(reference)

    def kill(self, reference: str, signal: str = "KILL") -> None:
        self.calls.append(("kill", reference, signal))
        self._find(reference)

    def wait(self, reference: str) -> int:
        self._find(reference)
        return 3

    def explain(self, config: ContainerConfig) -> list[str]:
        return ["child  mount proc on /proc", "child  exec"]

    def logs(self, reference: str, **options: Any) -> Iterator[Any]:
        self.calls.append(("logs", reference, options))
        self._find(reference)
        yield Entry("stdout", b"one\xff\n")
        yield Entry("stderr", b"half ")
        yield Entry("stderr", b"done\n")

    def inspect(self, reference: str, kind: str = "", *, size: bool = False) -> dict[str, Any]:
        self.calls.append(("inspect", reference, kind))
        found = self._find(reference)
        return {"Id": found.id, "Name": f"/{found.name}", "State": {"Pid": 7}}

    def info(self) -> dict[str, Any]:
        return {
            "Containers": 1,
            "ContainersRunning": 1,
            "KernelVersion": "6.1",
            "MemTotal": 1 << 30,
            "Cgroup": {"Version": 2, "Controllers": ["cpu", "memory"]},
            "IPv6": True,
        }


class Entry:
    """A piece of a log."""

    def __init__(self, stream: str, data: bytes) -> None:
        self.stream = stream
        self.data = data
        self.time_ns = 1767323045_120000000
