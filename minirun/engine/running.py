"""A container that was started for a while: what a program that uses a service wants of it.

Owns: `Running`, a handle. Leaves to others: its life (engine/scoped), all that it does (the engine's verbs, engine/ready).
"""

from __future__ import annotations

from ..errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .capture import Completed
    from .container import Container
    from .engine import Engine


class Running:
    """One container, by its id. Every other verb of the engine takes `id` too: `engine.pause(box.id)`."""

    def __init__(self, engine: Engine, container_id: str) -> None:
        self.engine = engine
        self.id = container_id

    def __repr__(self) -> str:
        return f"Running({self.id[:12]})"

    @property
    def container(self) -> Container:
        """The record as it is now; raises NotFound when the container was removed."""
        return self.engine.container(self.id)

    @property
    def name(self) -> str:
        return self.container.name

    @property
    def address(self) -> str:
        """The address at which this host reaches the container: IPv4, else IPv6, else (network host) this host's own.

        Raises NotFound for a container that has none: it doesn't run, or has no network.
        """
        from .ready import address_of

        return address_of(self.engine, self.container)

    def port(self, container_port: int, protocol: str = "tcp") -> tuple[str, int]:
        """Give address and port of the host that lead to a published port of the container; raises NotFound."""
        container = self.container
        for mapping in container.ports:
            if (mapping.container_port, mapping.protocol) == (container_port, protocol) and mapping.host_port:
                return mapping.host_address or "127.0.0.1", mapping.host_port
        raise NotFound(f"No public port '{container_port}/{protocol}' published for {container.name}")

    def execute(self, *command: str, stdin: bytes | None = None, **fields: Any) -> Completed:
        """Run a further process to its end; `fields` are those of ExecConfig (environment, user, working_directory). Blocks."""
        from .container import ExecConfig

        return self.engine.execute(self.id, ExecConfig(command=command, **fields), stdin=stdin)

    def output(self) -> Completed:
        """Give what the container has written so far, from its log; the exit code is 0 as long as it runs."""
        entries = list(self.engine.logs(self.id))
        from .capture import Completed

        return Completed(
            exit_code=self.container.exit_code,
            stdout=b"".join(entry.data for entry in entries if entry.stream == "stdout"),
            stderr=b"".join(entry.data for entry in entries if entry.stream == "stderr"),
        )

    def wait(self) -> int:
        """Block until the container has ended and give its exit code."""
        return self.engine.wait(self.id)

    def stop(self, timeout_seconds: float | None = None) -> int:
        """Stop the container and give its exit code. Blocks."""
        self.engine.stop(self.id, timeout_seconds)
        return self.engine.wait(self.id)

    def wait_for_port(self, port: int, *, timeout_seconds: float = 60.0) -> None:
        """Block until something accepts TCP connections at a port of the container. Raises NotReady, NotFound (no address)."""
        from .ready import wait_for_port

        wait_for_port(self.engine, self.id, port, timeout_seconds)

    def wait_for_log(self, pattern: str, *, timeout_seconds: float = 60.0) -> str:
        """Block until the container has written a line that the regular expression is found in, and give that line.

        Raises NotReady, InvalidInput (the pattern).
        """
        from .ready import wait_for_log

        return wait_for_log(self.engine, self.id, pattern, timeout_seconds)

    def wait_until_healthy(self, *, timeout_seconds: float = 60.0) -> None:
        """Block until the container's health check says that it is well. Raises NotReady, InvalidInput (it has no check)."""
        from .ready import wait_until_healthy

        wait_until_healthy(self.engine, self.id, timeout_seconds)
