"""A further process in a running container.

Owns: `exec_`: which process, in which surroundings, launched how. Leaves to others: joining the namespaces (native/enter.c).
"""

from __future__ import annotations

from ..errors import Conflict, StartFailed
from .session import Attachment, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .container import Container, ExecConfig
    from .engine import Engine


def exec_(engine: Engine, container: Container, config: ExecConfig, attachment: Attachment | None) -> Session:
    """Start `config.command` in a running container; gives a session of the role exec.

    Raises Conflict when the container doesn't run, CommandNotFound, CommandNotExecutable, StartFailed. Nothing is left
    behind on failure, and the container itself is not touched.
    """
    from ..monitor import exits
    from ..monitor.launch import LaunchFailed, launch
    from .failures import explain_failure
    from .spec import exec_process

    if container.status == "paused":
        raise Conflict(f"Container {container.id} is paused, unpause the container before exec")
    started = exits.read_started(engine.layout.run(container.id)) if container.is_running else None
    if started is None:
        raise Conflict(f"container {container.id} is not running")
    image = engine.images.resolve(container.image_id)
    process = exec_process(container, config, image)
    raise StartFailed("not wired yet")
