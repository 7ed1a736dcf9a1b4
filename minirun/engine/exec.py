"""A further process in a running container.

Owns: `exec_`: in which surroundings, launched how; `running`: which there are. Leaves to others: what the process is (engine/spec),
joining the namespaces (native/enter.c). No row changes: a further process belongs to whoever asked for it.

    exec-ID   in the run directory of its container: a symbolic link, made and read in one system call, to "PID START_TIME".
              Only for `inspect`: one that nobody took away, since all who knew of it were killed, names a process that isn't there.
"""

from __future__ import annotations

import os

from ..errors import Conflict
from ..light import ExitStack, suppress
from ..linux import syscalls
from .session import Attachment, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..linux.plan import Plan
    from ..monitor.exits import Started
    from .container import Container, ExecConfig
    from .engine import Engine

_PREFIX = "exec-"


def exec_(engine: Engine, container: Container, config: ExecConfig, attachment: Attachment | None) -> Session:
    """Start `config.command` in a running container; gives a session of the role exec.

    Raises Conflict when the container doesn't run, CommandNotFound, CommandNotExecutable, StartFailed. Nothing is left
    behind on failure, and the container itself is not touched.
    """
    from ..monitor import exits
    from ..monitor.connection import LaunchFailed

    container.refuse_restarting()
    started = exits.read_started(engine.layout.run(container.id)) if container.is_running else None
    if started is None:
        raise Conflict(f"container {container.id} is not running")
    if container.is_paused:
        raise Conflict(f"container {container.name} is paused, unpause the container before exec")
    attachment = attachment or Attachment()
    with ExitStack() as undo:
        connection = engine.launcher.launch()  # it is born while we make its plan
        undo.callback(connection.close)
        exec_id = os.urandom(32).hex()
        plan = _compile(engine, container, started, config, attachment, exec_id)
        connection.give_plan(plan)
        relay = attachment.replace(stdin=False, stdout=False, stderr=False) if attachment.inherit else attachment
        connection.attach(relay.stdin, relay.stdout, relay.stderr, trace=relay.trace)
        words = (
            f"{config.command[0]} {' '.join(config.command[1:])}"  # as docker: a space is there without arguments too
        )
        engine.rows.note_alone(container, f"exec_create: {words}", f"exec_start: {words}", execID=exec_id)
        try:
            began = connection.wait_started()
        except LaunchFailed as failure:
            from ..runtime.failures import ended_meanwhile, explain_failure

            if ended_meanwhile(started.pid, started.start_time, failure.errno):
                raise Conflict(f"container {container.id} is not running: it ended meanwhile") from failure
            raise explain_failure(plan, failure.operation_index, failure.errno) from failure
        undo.pop_all()
    _remember(engine, container, exec_id, began.pid)
    session = Session(engine, container, connection, "exec", began.pid, plan)
    session.exec_id = exec_id
    return session


def _compile(
    engine: Engine, container: Container, started: Started, config: ExecConfig, attachment: Attachment, exec_id: str
) -> Plan:
    from ..runtime.compile import compile_exec
    from .spec import build_exec
    from .surroundings import of_container, target_of

    image = engine.images.resolve(container.image_id)
    spec = build_exec(container.config, image, config, of_container(engine, container))
    return compile_exec(spec, target_of(engine, container, started, config, attachment, exec_id))


def running(engine: Engine, container: Container) -> tuple[str, ...]:
    """Give the ids of the further processes of a container that haven't ended, the oldest first."""
    return tuple(exec_id for _, exec_id in sorted(_remembered(engine.layout.run(container.id))))


def _remembered(run_directory: str) -> Iterator[tuple[int, str]]:
    """Give start time and id of each whose process is there."""
    with suppress(OSError):  # the container ends, and its files go
        for name in os.listdir(run_directory):
            if name.startswith(_PREFIX):
                pid, start_time = map(int, os.readlink(f"{run_directory}/{name}").split())
                if syscalls.process_start_time(pid) == start_time:
                    yield start_time, name.removeprefix(_PREFIX)


def _remember(engine: Engine, container: Container, exec_id: str, pid: int) -> None:
    with suppress(OSError):  # no room, or the container has ended: a list is one shorter
        start_time = syscalls.process_start_time(pid)
        if start_time is not None:
            os.symlink(f"{pid} {start_time}", f"{engine.layout.run(container.id)}/{_PREFIX}{exec_id}")


def note_end(engine: Engine, container: Container, exec_id: str, exit_code: int) -> None:
    """Record that a further process has ended."""
    with suppress(OSError):
        os.unlink(f"{engine.layout.run(container.id)}/{_PREFIX}{exec_id}")
    engine.rows.note_alone(container, "exec_die", execID=exec_id, exitCode=str(exit_code))
