"""From parsed words to what the engine takes: the fields of the option table become a ContainerConfig or an ExecConfig.

Owns: this step, and the file that --cidfile names. Leaves to others: everything about single values (cli/values).
"""

from __future__ import annotations

import os

from ..engine.config import ContainerConfig
from ..errors import Conflict, InvalidInput
from ..light import contextmanager
from ..output import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..command_line import Parsed
    from ..engine.container import ExecConfig


def container_config(parsed: Parsed) -> ContainerConfig:
    """Build the request of `run` and `create`: the first argument is the image, the rest its command."""
    return ContainerConfig(image=parsed.arguments[0], command=parsed.arguments[1:], **parsed.fields())


def exec_config(parsed: Parsed) -> ExecConfig:
    """Build the request of `exec`: the first argument is the container, the rest the command."""
    from ..engine.container import ExecConfig

    return ExecConfig(command=parsed.arguments[1:], **parsed.fields())


@contextmanager
def cidfile(path: str) -> Iterator[Callable[[str], None]]:
    """Reserve a file for a container's id before there is a container; gives what writes it. "" means that none is
    wanted.

    An existing file is a Conflict: it may belong to another container. When no id was written the file is removed
    again.
    """
    if not path:
        yield lambda container_id: None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError as error:
        raise Conflict(
            f"container ID file found, make sure the other container isn't running or delete {path}"
        ) from error
    except OSError as error:
        raise InvalidInput(
            f"failed to create the container ID file: open {path}: {(error.strerror or '').lower()}"
        ) from error
    written = False

    def write_id(container_id: str) -> None:
        nonlocal written
        write_all(descriptor, container_id.encode())
        written = True

    try:
        yield write_id
    finally:
        os.close(descriptor)
        if not written:
            os.unlink(path)
