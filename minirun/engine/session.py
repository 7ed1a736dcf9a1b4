"""A session: somebody connected to a container that starts, runs or ends; and what its end means for the store.

Owns: `Session` with its three roles, `join` (attach) and `wait`. Leaves to others: bytes and descriptors (monitor/).

    owner   started the container; when it ends, records the exit and acknowledges, so that the monitor needn't run the
            exit hook. An owner that goes away leaves that to the hook.
    guest   attached or waits; records the exit too if it happens to be first (engine/life does it once).
    exec    a further process: its end changes no row.
"""

from __future__ import annotations

from ..errors import Conflict, MinirunError
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from ..linux.plan import Plan
    from ..monitor.exits import Exit
    from ..monitor.launch import Connection
    from .container import Container
    from .engine import Engine


class Attachment(Record):
    """Which streams of the container the caller wants to hold; `trace` asks for the time of each operation of the start.

    `window` is the size of the caller's terminal in rows and columns, for a container that is given one: (0, 0) when unknown.
    `inherit` hands the caller's own descriptors 0, 1, 2 to a further process (exec), without relay: only what the container may
    hold on to and change the mode of, pipes and the null device, never a terminal or a file.
    """

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    trace: bool = False
    window: tuple[int, int] = (0, 0)
    inherit: bool = False


class Session:
    """A connection to a container's monitor together with the container's record. Close it, or use it as a context manager."""

    def __init__(
        self,
        engine: Engine,
        container: Container,
        connection: Connection,
        role: str,
        pid: int = 0,
        plan: Plan | None = None,
    ) -> None:
        self.engine = engine
        self.container = container
        self.connection = connection
        self.role = role
        self.pid = pid
        self.exec_id = ""  # of a further process: what its events are told apart by
        self.remark = ""  # what of the request this host withholds, though the container runs: a sentence for the user
        self.plan = plan  # what was started, for those who print it (--trace)

    def wait(self) -> int:
        """Block until the container (or the further process) has ended, finish, and give its exit code.

        MinirunError when the monitor of a further process was killed: how that ended nobody knows.
        """
        try:
            end = self.connection.wait_exited()
        except EOFError as error:
            return self.finish_unheard(error)
        return self.finish(end)

    def finish(self, end: Exit) -> int:
        """Record the end, remove the container if it was started with --rm, acknowledge; gives the exit code."""
        if self.role == "exec":
            from .exec import note_end

            note_end(self.engine, self.container, self.exec_id, end.exit_code)
            self.connection.acknowledge()
            self.close()
            return end.exit_code
        from .life import end_run, settle_locked

        with self.engine.lock(self.container.id):
            current = self.engine.rows.get(self.container.id)
            if current is not None and current.is_running and current.started_ns == self.container.started_ns:
                end_run(self.engine, current, end)  # what we were told counts, should the record have been lost
            else:
                settle_locked(self.engine, self.container.id)
        if self.role == "owner":
            self.connection.acknowledge()
        self.close()
        return end.exit_code

    def finish_unheard(self, error: EOFError) -> int:
        """Give the exit code when the monitor was killed: the store has the container's. MinirunError for a further process."""
        if self.role == "exec":
            raise MinirunError("the connection to the process was lost; its container was killed, it seems") from error
        return wait(self.engine, self.container)

    def signal(self, number: int) -> None:
        """Send a signal to the process of this session; one that has ended is no error. To a container it is one by hand."""
        from .stop import send

        if self.role != "exec":
            self.engine.rows.note_stop(self.container, "kill", signal=str(int(number)))
        send(self.engine, self.container, number, pid=self.pid)

    def detach(self) -> None:
        """Leave; the container goes on and its monitor takes care of the end."""
        self.close()

    def note_detached(self) -> None:
        """Record that the user left by the detach keys."""
        if self.role == "exec":
            self.engine.rows.note_alone(self.container, "exec_detach", execID=self.exec_id)
        else:
            self.engine.rows.note_alone(self.container, "detach")

    def close(self) -> None:
        """Close the connection. Safe to repeat."""
        self.connection.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def join(engine: Engine, container: Container, attachment: Attachment) -> Session:
    """Connect to a running container's streams; raises Conflict in docker's words when it doesn't run."""
    from ..monitor import attach

    if container.is_restarting:
        raise Conflict("You cannot attach to a restarting container, wait until it is running")
    if not container.is_running:
        raise Conflict("You cannot attach to a stopped container, start it first")
    if container.is_paused:
        raise Conflict("You cannot attach to a paused container, unpause it first")
    try:
        connection = attach.connect(engine.layout.run(container.id))
    except OSError as error:
        raise Conflict(f"attach to container {container.name}: it ended just now ({error.strerror})") from error
    session = Session(engine, container, connection, "guest", container.pid)
    try:
        if attachment.stdin or attachment.stdout or attachment.stderr:
            connection.attach(attachment.stdin, attachment.stdout, attachment.stderr)
            engine.rows.note_alone(container, "attach")
    except BaseException:
        session.close()
        raise
    return session


def wait(engine: Engine, container: Container) -> int:
    """Block until the container's present or next run has ended; gives its exit code at once when there is none to come."""
    from ..monitor import attach, exits
    from .life import settle
    from .stop import ends_within

    while container.is_running or container.is_restarting or container.status == "starting":
        if container.is_restarting:
            from .restarts import wait_until_started

            current = wait_until_started(engine, container)
            if current is None:
                return 0
            container = current
            continue
        try:
            connection = attach.connect(engine.layout.run(container.id))
        except OSError:
            pass  # it ended between our look and now
        else:
            try:
                with Session(engine, container, connection, "guest", container.pid) as session:
                    return session.finish(connection.wait_exited())
            except (OSError, EOFError):
                # the monitor was killed: settle says what is known. Or it has no room for one more client.
                if exits.is_running(engine.layout.run(container.id)):
                    ends_within(engine, container, -1)
        settled = settle(engine, container.id)
        if settled is None:
            return 0  # somebody removed it before we could look
        if container.is_running and settled.started_ns != container.started_ns:
            break  # it ended and was started again: that run isn't the one we wait for
        was_running, container = container.is_running, settled
        if was_running and not settled.is_running:
            break
    return container.exit_code
