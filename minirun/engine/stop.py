"""Ending a container: signals, the time given to react, and the kill.

Owns: `stop`, `restart`, `kill`, `send`. Leaves to others: names of signals (signals), recording the end (engine/life).
"""

from __future__ import annotations

import _signal

from .. import signals
from ..errors import Conflict, InvalidInput, MinirunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .container import Container
    from .engine import Engine

STOP_TIMEOUT_SECONDS = 10


def signal_number(text: str) -> int:
    """Read a signal as users write it: 9, KILL, SIGKILL, rtmin+3. Raises InvalidInput in docker's words."""
    number = signals.number_of(text)
    if number is None:
        raise InvalidInput(f"Invalid signal: {text}")
    return number


def send(engine: Engine, container: Container, number: int, *, pid: int = 0) -> bool:
    """Send a signal to the first process of a container, or to `pid`, a further one of it; gives False when it has ended.

    The process is held by a pidfd and known by its start time, or by its cgroup: a number that was used again is never hit.
    """
    from ..linux import syscalls
    from ..monitor import exits

    started = exits.read_started(engine.layout.run(container.id))
    if started is None:
        return False
    if pid in (0, started.pid):
        descriptor = syscalls.pidfd_open_verified(started.pid, started.start_time)
    else:
        descriptor = _pidfd_of_member(engine, container, pid)
    if descriptor is None:
        return False
    import os

    try:
        syscalls.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    except OSError as error:
        raise MinirunError(f"send signal {number} to container {container.name}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _pidfd_of_member(engine: Engine, container: Container, pid: int) -> int | None:
    import os

    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    if pid in engine.hierarchy.processes(
        container.id
    ):  # looked up while the pidfd pins the process: it is still the one we mean
        return descriptor
    os.close(descriptor)
    return None


def kill(engine: Engine, container: Container, signal: str) -> None:
    """Send a signal by name or number; raises Conflict when the container doesn't run."""
    number = signal_number(signal)
    if not container.is_running or not send(engine, container, number):
        raise Conflict(f"cannot kill container: {container.name}: container {container.id} is not running")
    if number == _signal.SIGKILL:
        from .session import wait

        wait(engine, container)


def stop(engine: Engine, container: Container, timeout_seconds: float | None, signal: str = "") -> None:
    """Stop signal, patience, kill. A container that doesn't run is no error. `timeout_seconds` -1 waits for ever.

    `signal` takes the place of the container's own stop signal. Raises InvalidInput when there is no such signal.
    """
    if not container.is_running:
        return
    _end(engine, container, timeout_seconds, signal)
    from .session import wait

    wait(engine, container)


def restart(engine: Engine, container: Container, timeout_seconds: float | None, signal: str = "") -> None:
    """Stop a container if it runs, then start it, under its lock: nobody sees it at rest, and --rm doesn't remove it."""
    from ..errors import NotFound
    from ..monitor import attach, exits
    from .life import record_exit
    from .session import Attachment
    from .start import start_locked

    with engine.lock(container.id):
        current = engine.rows.get(container.id)
        if current is None or current.status == "removing":
            raise NotFound(f"No such container: {container.name}")
        if current.is_running:
            _end(engine, current, timeout_seconds, signal)
            run = engine.layout.run(container.id)
            end = None
            try:
                with attach.connect(run) as connection:
                    end = connection.wait_exited()
            except (OSError, EOFError):
                pass  # it has ended already, or its monitor was killed
            current = record_exit(engine, current, end or exits.read_exit(run))
        start_locked(engine, current, Attachment()).detach()


def _end(engine: Engine, container: Container, timeout_seconds: float | None, signal: str) -> None:
    """Signal, patience, kill."""
    if timeout_seconds is None:
        configured = container.config.stop_timeout_seconds
        timeout_seconds = STOP_TIMEOUT_SECONDS if configured is None else configured
    number = signal_number(signal) if signal else _stop_signal(engine, container)
    if send(engine, container, number) and not ends_within(engine, container, timeout_seconds):
        engine.hierarchy.kill(container.id)


def _stop_signal(engine: Engine, container: Container) -> int:
    from ..errors import NotFound
    from .spec import stop_signal_of

    try:
        return signal_number(stop_signal_of(container.config, engine.images.resolve(container.image_id)))
    except NotFound:  # the image was removed by force
        return signal_number(container.config.stop_signal or "TERM")


def ends_within(engine: Engine, container: Container, seconds: float) -> bool:
    """Wait on the first process's pidfd, which becomes readable when it ends; pidfd_open(2)."""
    import os
    import select

    from ..linux import syscalls
    from ..monitor import exits

    started = exits.read_started(engine.layout.run(container.id))
    descriptor = syscalls.pidfd_open_verified(started.pid, started.start_time) if started else None
    if descriptor is None:
        return True
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(None if seconds < 0 else seconds * 1000))
    finally:
        os.close(descriptor)
