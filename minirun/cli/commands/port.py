"""`minirun port`: which host ports lead into a container."""

from __future__ import annotations

from ...errors import NotFound
from ...output import write
from ..present import EVERY_ADDRESS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...engine.container import Container
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    name, *wanted = invocation.parsed.arguments
    with invocation.engine() as engine:
        container = engine.container(name)
    found = sorted(_targets(container))
    if not wanted:
        write("".join(f"{port}/{protocol} -> {target}\n" for port, protocol, target in found))
        return 0
    number, _, protocol = wanted[0].partition("/")
    key = (number, protocol or "tcp")
    lines = [target for port, kind, target in found if (str(port), kind) == key]
    if not lines:
        raise NotFound(f"No public port '{wanted[0]}' published for {name}")
    write("".join(f"{line}\n" for line in lines))
    return 0


def _targets(container: Container) -> Iterator[tuple[int, str, str]]:
    """Give (container's port, protocol, address and port of the host) for each; one for every address is one of each family."""
    every = EVERY_ADDRESS[: 2 if container.address6 else 1]
    for mapping in container.ports if container.is_running else ():
        for address in (mapping.host_address,) if mapping.host_address else every:
            shown = f"[{address}]" if ":" in address else address
            yield mapping.container_port, mapping.protocol, f"{shown}:{mapping.host_port}"
