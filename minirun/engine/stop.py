"""Ending a container: signals, the time given to react, and the kill.

Owns: `stop`, `restart`, `kill`, `send`. Leaves to others: names of signals (signals), recording the end (engine/life), whether
waiting is of any use (engine/deaf), the freezer (engine/pause).
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
        container.cgroup
    ):  # looked up while the pidfd pins the process: it is still the one we mean
        return descriptor
    os.close(descriptor)
    return None


def kill(engine: Engine, container: Container, signal: str) -> None:
    """Send a signal by name or number; raises Conflict when the container doesn't run."""
    number = signal_number(signal)
    if container.is_restarting:
        from .restarts import call_off

        current = call_off(engine, container)
        if current is not None and current.status == "exited":
            return  # there was no process, and there won't be one
        container = current or container
    if not container.is_running or not _send_noted(engine, container, number):
        raise Conflict(f"cannot kill container: {container.name}: container {container.id} is not running")
    if container.is_paused and _wakes(engine, container, number):
        from .pause import thaw

        thaw(engine, container)
    if number == _signal.SIGKILL:
        from .session import wait

        wait(engine, container)


def _wakes(engine: Engine, container: Container, number: int) -> bool:
    """Does this signal end a pause, as docker has it? With a stop signal of its own only that one and SIGKILL, else any."""
    own = _own_stop_signal(engine, container)
    return not own or number in (_signal.SIGKILL, signal_number(own))


def stop(engine: Engine, container: Container, timeout_seconds: float | None, signal: str = "") -> str:
    """Stop signal, patience, kill. A container that doesn't run is no error. `timeout_seconds` -1 waits for ever.

    `signal` takes the place of the container's own stop signal. Raises InvalidInput when there is no such signal. Gives why it
    was killed without patience, "" when it wasn't: no time-out is waited for that a signal can't make use of.
    """
    if not container.is_running and not container.is_restarting:
        return ""
    from .restarts import call_off
    from .session import wait

    reason = ""
    current: Container | None = container
    while current is not None:
        if current.is_restarting:
            current = call_off(engine, current)
        if current is None or not current.is_running:
            break
        reason = _end(engine, current, timeout_seconds, signal)
        wait(engine, current)
        current = engine.rows.get(container.id)
        if current is not None and not current.stopped_by_hand:
            break  # it was started by hand meanwhile
    engine.rows.note_alone(container, "stop")
    return reason


def restart(engine: Engine, container: Container, timeout_seconds: float | None, signal: str = "") -> str:
    """Stop a container if it runs, then start it, under its lock: nobody sees it at rest, and --rm doesn't remove it.

    Gives what `stop` gives.
    """
    from ..errors import NotFound
    from .session import Attachment
    from .start import start_locked

    reason = ""
    with engine.lock(container.id):
        current = engine.rows.get(container.id)
        if current is None or current.status == "removing":
            raise NotFound(f"No such container: {container.name}")
        if current.is_running:
            reason, current = end_locked(engine, current, timeout_seconds, signal)
            engine.rows.note_alone(current, "stop")
        try:
            start_locked(engine, current, Attachment()).detach()
        except MinirunError as error:
            raise type(error)(f"Cannot restart container {current.name}: {error}") from error
        engine.rows.note_alone(current, "restart")
    return reason


def end_locked(
    engine: Engine,
    container: Container,
    timeout_seconds: float | None,
    signal: str,
    *,
    by_hand: bool = True,
    status: str = "exited",
) -> tuple[str, Container]:
    """End a running container as `stop` does, for a caller that holds its lock; its policy has no say.

    Gives what `stop` gives, and the container, with this status (engine/life). Without `by_hand` it isn't remembered as one that
    was told to end.
    """
    reason = _end(engine, container, timeout_seconds, signal, locked=True, by_hand=by_hand)
    return reason, record_end(engine, container, status=status)


def record_end(engine: Engine, container: Container, *, status: str) -> Container:
    """Wait for the end of a container that was told to, and record it; for a caller that holds its lock. Its policy has no say."""
    from ..monitor import attach, exits
    from .life import record_exit

    run = engine.layout.run(container.id)
    end = None
    try:
        with attach.connect(run) as connection:
            end = connection.wait_exited()
    except (OSError, EOFError):
        pass  # it has ended already, or its monitor was killed
    return record_exit(engine, container, end or exits.read_exit(run), status=status)


def _end(
    engine: Engine,
    container: Container,
    timeout_seconds: float | None,
    signal: str,
    *,
    locked: bool = False,
    by_hand: bool = True,
) -> str:
    """Signal, patience, kill; `locked` says that the caller holds the container's lock. Gives why there was no patience, or ""."""
    patience = patience_of(container, timeout_seconds)
    reason = ask(engine, container, patience, signal, locked=locked, by_hand=by_hand)
    if not reason and not ends_within(engine, container, patience):
        kill_all(engine, container, by_hand=by_hand)
    return reason


def patience_of(container: Container, timeout_seconds: float | None) -> float:
    """Give how long a container has after its stop signal: as asked now, or for it, or 10 seconds; -1 is for ever."""
    if timeout_seconds is not None:
        return timeout_seconds
    configured = container.config.stop_timeout_seconds
    return STOP_TIMEOUT_SECONDS if configured is None else configured


def ask(engine: Engine, container: Container, patience: float, signal: str = "", *, locked: bool, by_hand: bool) -> str:
    """Send the stop signal, or `signal`. One that could not hear it in the time it has is killed at once: gives why, else ""."""
    number = signal_number(signal) if signal else _stop_signal(engine, container)
    if patience > 0:
        from .deaf import why_deaf

        reason = why_deaf(engine, container, number)
        if reason:
            kill_all(engine, container, by_hand=by_hand)
            return reason
    if _send_noted(engine, container, number, by_hand=by_hand):
        _let_go_on(engine, container, locked)
    return ""


def kill_all(engine: Engine, container: Container, *, by_hand: bool) -> None:
    """Send SIGKILL to every process of a container."""
    _note_signal(engine, container, _signal.SIGKILL, by_hand=by_hand)
    engine.hierarchy.kill(container.cgroup)


def _note_signal(engine: Engine, container: Container, number: int, *, by_hand: bool) -> None:
    note = engine.rows.note_stop if by_hand else engine.rows.note_alone
    note(container, "kill", signal=str(int(number)))


def _send_noted(engine: Engine, container: Container, number: int, *, by_hand: bool = True) -> bool:
    """As `send` to the first process, and record it. Whoever records the end that this brings does so after us, and knows it."""
    _note_signal(engine, container, number, by_hand=by_hand)
    return send(engine, container, number)


def _let_go_on(engine: Engine, container: Container, locked: bool) -> None:
    """A paused container hears a signal when it goes on."""
    current = engine.rows.get(container.id)
    if current is not None and current.is_paused:
        from .pause import thaw, thaw_locked

        (thaw_locked if locked else thaw)(engine, current)


def _stop_signal(engine: Engine, container: Container) -> int:
    return signal_number(_own_stop_signal(engine, container) or "TERM")


def _own_stop_signal(engine: Engine, container: Container) -> str:
    """Give the stop signal that the container or its image names, "" when neither does."""
    from ..errors import NotFound
    from .spec import stop_signal_of

    try:
        return stop_signal_of(container.config, engine.images.resolve(container.image_id))
    except NotFound:  # the image was removed by force
        return container.config.stop_signal


def ends_within(engine: Engine, container: Container, seconds: float) -> bool:
    """Wait on the first process's pidfd, which becomes readable when it ends; pidfd_open(2). Below 0 is for ever."""
    import os
    import select
    import time

    from ..linux import syscalls
    from ..monitor import exits
    from ..units import LONGEST_POLL_MS

    started = exits.read_started(engine.layout.run(container.id))
    descriptor = syscalls.pidfd_open_verified(started.pid, started.start_time) if started else None
    if descriptor is None:
        return True
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        deadline = time.monotonic() + seconds
        while seconds > LONGEST_POLL_MS / 1000:
            if poll.poll(LONGEST_POLL_MS):
                return True
            seconds = max(0.0, deadline - time.monotonic())
        return bool(poll.poll(None if seconds < 0 else seconds * 1000))
    finally:
        os.close(descriptor)
