"""`minirun cp`: files and directories between a container and the host, or as a tar archive through a pipe."""

from __future__ import annotations

import os

from ...engine.copy_paths import on_host, split_argument
from ...errors import InvalidInput
from ...output import warn, write_all
from ...units import human_size
from ..input import archive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    source, destination = invocation.parsed.arguments
    if not source:
        raise InvalidInput("source can not be empty")
    if not destination:
        raise InvalidInput("destination can not be empty")
    from_container, from_path = split_argument(source)
    to_container, to_path = split_argument(destination)
    if from_container and to_container:
        raise InvalidInput("copying between containers is not supported")
    if from_container:
        return _out(invocation, from_container, from_path, to_path)
    if to_container:
        return _in(invocation, from_path, to_container, to_path)
    raise InvalidInput("must specify at least one container source")


def _out(invocation: Invocation, container: str, path: str, destination: str) -> int:
    follow = invocation.parsed.flag("follow-link")
    with invocation.engine() as engine:
        if destination == "-":
            for piece in engine.archive(container, path, follow=follow):
                write_all(1, piece)
            return 0
        size = engine.copy_from(container, path, destination, follow=follow)
    _say_done(invocation, size, on_host(destination))
    return 0


def _in(invocation: Invocation, source: str, container: str, path: str) -> int:
    parsed = invocation.parsed
    with invocation.engine() as engine:
        if source == "-":
            with archive("-", "requires an archive: tar -c FILE | minirun cp - CONTAINER:DIRECTORY") as stream:
                engine.extract(container, path, stream, archive=parsed.flag("archive"))
            return 0
        size = engine.copy_to(
            container, source, path, archive=parsed.flag("archive"), follow=parsed.flag("follow-link")
        )
    _say_done(invocation, size, f"{container}:{path}")
    return 0


def _say_done(invocation: Invocation, size: int, where: str) -> None:
    """As docker: to standard error, and only for somebody who looks on."""
    if not invocation.parsed.flag("quiet", default=not os.isatty(1)):
        warn(f"Successfully copied {human_size(size)} to {where}")
