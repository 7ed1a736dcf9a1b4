"""A container in the foreground: run, start -a, attach and exec -t all end up here.

Owns: the order of things while the caller's streams are a container's: raw terminal, window size, signals passed on,
detaching, the exit code. Leaves to others: moving bytes (monitor's pump), what an end means for the store
(engine/session).

    pump gives   Exit      the container ended: record it, give its code
                 Detached  the detach keys were typed: leave, the container goes on. To docker's client that is what a user of
                           `run` and `start -a` wanted, and the end of `attach` and `exec` before their time: a sentence and code 1
                 Signal    a signal for us: the window changed, or it is for the container
    pump raises  EOFError  the monitor was killed; the engine knows how that ended
                 OSError   our output can't be written: nobody reads it any more, the disk is full. The command ends with that,
                           the container goes on, as docker's does
"""

from __future__ import annotations

from ..light import ExitStack
from ..monitor.connection import Detached, Signal
from ..output import warn
from . import terminal as tty
from .values.keys import to_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable

    from ..command_line import Parsed
    from ..engine.container import Container
    from ..engine.session import Attachment, Session
    from ..monitor.exits import Exit
else:
    import _signal  # the C module: `signal` itself makes an enum of every constant, which costs a millisecond

# Everything that asks a process to do something; not what the kernel sends about a process's own doings (CHLD, PIPE,
# SEGV) and not TSTP: ctrl-z shall stop the client, as it does for any program.
_PROXIED = frozenset(
    (
        _signal.SIGHUP,
        _signal.SIGINT,
        _signal.SIGQUIT,
        _signal.SIGTERM,
        _signal.SIGUSR1,
        _signal.SIGUSR2,
        _signal.SIGALRM,
        _signal.SIGCONT,
    )
)


def rejoin(
    container: Container,
    parsed: Parsed,
    *,
    interactive: bool,
    connect: Callable[[Attachment], Session],
    detached_code: int = 0,
) -> int:
    """Follow a container that was created earlier, with the terminal, stdin and detach keys that it was created with."""
    from ..engine.session import Attachment

    config = container.config
    interactive = interactive and config.interactive
    tty.require(interactive, config.terminal)
    window = tty.size() if config.terminal else (0, 0)
    attachment = Attachment(stdin=interactive, stdout=True, stderr=True, window=window)
    return follow(
        connect(attachment),
        attachment,
        terminal=config.terminal,
        detach_keys=parsed.text("detach-keys") or config.detach_keys,
        proxy=parsed.flag("sig-proxy", default=True),
        detached_code=detached_code,
    )


def follow(
    session: Session,
    attachment: Attachment,
    *,
    terminal: bool,
    detach_keys: str = "",
    proxy: bool = True,
    detached_code: int = 0,
) -> int:
    """Be the container's streams until it ends or the user detaches; gives the exit code, `detached_code` after detaching.

    Blocks. Where detaching is a failure, a line says why.
    """
    if terminal and not detach_keys:
        from .preferences import text_preference

        detach_keys = text_preference("detachKeys")
    signals = _PROXIED if proxy else frozenset((_signal.SIGINT,))
    with ExitStack() as undo:
        undo.callback(session.close)
        if terminal:
            signals |= {_signal.SIGWINCH}
            if attachment.stdin:
                undo.enter_context(tty.raw(0))
        _hold(session, signals, proxy)
        if terminal:
            _resize(session)  # not before: a change between the look and `hold` would go unnoticed
        try:
            end = _pump(session, attachment, to_bytes(detach_keys) if terminal else b"", proxy)
        except EOFError:
            return after_break(session)
        if isinstance(end, Detached):
            session.note_detached()
            code = detached_code
        else:
            code = session.finish(end)
    # The terminal is cooked again before we write to it.
    if isinstance(end, Detached):
        if detached_code:
            warn("read escape sequence")
    elif end.oom_killed:
        _say_out_of_memory(session)
    return code


def _pump(session: Session, attachment: Attachment, detach_keys: bytes, proxy: bool) -> Exit | Detached:
    """Move bytes, and pass signals on, until the container has ended or the user leaves. Raises what Connection.pump raises."""
    while True:
        event = session.connection.pump(
            0 if attachment.stdin else -1,
            1 if attachment.stdout else -1,
            2 if attachment.stderr else -1,
            detach_keys=detach_keys,
        )
        if not isinstance(event, Signal):
            return event
        _pass_on(session, event.number, proxy)


def _hold(session: Session, signals: frozenset[int], proxy: bool) -> None:
    """Take the signals into our hands: from now on none is missed, and none interrupts us."""
    while True:
        try:
            session.connection.hold(signals)
            return
        except KeyboardInterrupt:  # just before that
            _pass_on(session, _signal.SIGINT, proxy)


def _pass_on(session: Session, number: int, proxy: bool) -> None:
    if number == _signal.SIGWINCH:
        _resize(session)
    elif proxy:
        session.signal(number)
    else:  # ctrl-C is for this command. Held all the same: a handler would miss it while the pump isn't waiting
        raise KeyboardInterrupt


def _resize(session: Session) -> None:
    rows, columns = tty.size()
    if rows:
        session.connection.resize(rows, columns)


def after_break(session: Session) -> int:
    """Give the exit code of a container whose monitor went away: the store has it, or says 137."""
    if session.role == "exec":
        warn("Error: the connection to the process was lost; it may have been killed together with its container")
        return 137
    return session.engine.wait(session.container.id)


def _say_out_of_memory(session: Session) -> None:
    """Name the OOM killer: all that is left of it otherwise is a 137, which could be anybody's kill."""
    from ..units import binary_size

    limit = session.container.config.memory_bytes
    reached = f"its memory limit of {binary_size(limit)} was reached" if limit else "the host ran out of memory"
    warn(f"minirun: container {session.container.name}: a process was killed by the kernel's OOM killer: {reached}")
