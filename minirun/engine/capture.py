"""What a process writes, caught in memory: `run` and `execute` for programs that want the result and not the streams.

Owns: `Completed`, `run`, `execute`. Leaves to others: moving the bytes (monitor/connection), starting (engine/start, exec).
"""

from __future__ import annotations

import os

from ..errors import MinirunError
from ..light import ExitStack
from ..record import Record
from .session import Attachment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from .config import ContainerConfig
    from .container import ExecConfig
    from .engine import Engine
    from .session import Session


class Completed(Record):
    """How a process ended and what it wrote, byte for byte; one with a terminal writes all of it to `stdout`."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """`stdout` as text; what isn't UTF-8 shows as replacement characters."""
        return self.stdout.decode(errors="replace")

    def check(self) -> Self:
        """Give this back when the exit code is 0; raises MinirunError with the last line of `stderr` when it isn't."""
        if self.exit_code == 0:
            return self
        lines = self.stderr.decode(errors="replace").strip().splitlines()
        raise MinirunError(f"the process ended with exit code {self.exit_code}" + (f": {lines[-1]}" if lines else ""))


def run(engine: Engine, config: ContainerConfig, stdin: bytes | None) -> Completed:
    """Create a container, run it to its end, remove it. Blocks; whatever is raised, the container is gone. Raises as create
    and start do.
    """
    from .scoped import created

    if stdin is not None:
        config = config.replace(interactive=True)
    with created(engine, config) as container:
        return _capture(engine.start(container.id, _all_of(stdin)), stdin)


def execute(engine: Engine, reference: str, config: ExecConfig, stdin: bytes | None) -> Completed:
    """Run a further process in a running container to its end. Blocks; raises as exec does."""
    config = config.replace(interactive=stdin is not None, detach=False)
    return _capture(engine.exec(reference, config, _all_of(stdin)), stdin)


def _all_of(stdin: bytes | None) -> Attachment:
    return Attachment(stdin=stdin is not None, stdout=True, stderr=True)


def _capture(session: Session, stdin: bytes | None) -> Completed:
    """Be the session's streams until its process has ended. Files in memory don't fill up as pipes do, up to RLIMIT_FSIZE."""
    from ..monitor.exits import Exit

    with session, ExitStack() as undo:
        files = []
        for name, content in (("stdin", stdin or b""), ("stdout", b""), ("stderr", b"")):
            file = open(os.memfd_create(f"minirun-{name}", os.MFD_CLOEXEC), "w+b", buffering=0)  # noqa: SIM115  (the stack closes it)
            undo.enter_context(file)
            view = memoryview(content)
            while view:
                view = view[file.write(view) :]
            file.seek(0)
            files.append(file)
        given, out, err = files
        try:
            end = session.connection.pump(
                -1 if stdin is None else given.fileno(), out.fileno(), err.fileno(), detach_keys=b""
            )
        except OSError as error:
            raise MinirunError(f"{error.strerror}: not all of what was written is here") from error
        except EOFError as error:
            exit_code = session.finish_unheard(error)
        else:
            assert isinstance(end, Exit), "no keys and no signals were asked for"
            exit_code = session.finish(end)
        for file in (out, err):
            file.seek(0)
        return Completed(exit_code=exit_code, stdout=out.read(), stderr=err.read())
