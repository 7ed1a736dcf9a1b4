"""What happens while a container has the caller's streams: over a connection that plays a script."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from minirun.cli import foreground, terminal
from minirun.engine.config import ContainerConfig
from minirun.engine.session import Attachment
from minirun.monitor.connection import Detached, Signal
from minirun.monitor.exits import Exit

ENDED = Exit(status=3 << 8, oom_killed=False, time_ns=1)
ALL = Attachment(stdin=True, stdout=True, stderr=True)


class Connection:
    """Gives one event of the script for each call of `pump`; an exception in it is raised."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.said: list[Any] = []
        self.held: list[frozenset[int]] = []
        self.interrupts = 0  # so many calls of `hold` find a SIGINT that came before
        self.pumped: list[dict[str, Any]] = []

    def hold(self, signals: frozenset[int]) -> None:
        if self.interrupts:
            self.interrupts -= 1
            raise KeyboardInterrupt
        assert not self.said  # a change of the window's size after the look is one of the signals
        self.held.append(signals)

    def pump(self, *descriptors: int, **options: Any) -> Any:
        self.pumped.append({"descriptors": descriptors, **options})
        event = self.script.pop(0)
        if isinstance(event, BaseException):
            raise event
        return event

    def resize(self, rows: int, columns: int) -> None:
        self.said.append((rows, columns))


class Session:
    role = "owner"

    def __init__(self, *script: Any) -> None:
        self.connection = Connection(*script)
        self.signals: list[int] = []
        self.closed = False
        self.engine: Any = self
        self.container = self
        self.id = "id"
        self.name = "box"
        self.config = ContainerConfig(image="busybox", memory_bytes=64 << 20)
        self.detached = False

    def note_detached(self) -> None:
        self.detached = True

    def wait(self, reference: str) -> int:
        assert reference == "id"
        return 137

    def signal(self, number: int) -> None:
        self.signals.append(number)

    def finish(self, end: Exit) -> int:
        return end.exit_code

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def modes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Play the terminal: its modes are noted, its size is known."""
    noted: list[str] = []

    @contextmanager
    def raw(descriptor: int) -> Iterator[None]:
        noted.append("raw")
        yield
        noted.append("cooked")

    monkeypatch.setattr(terminal, "raw", raw)
    monkeypatch.setattr(terminal, "size", lambda: (24, 80))
    return noted


def follow(session: Any, attachment: Attachment = ALL, **options: Any) -> int:
    code = foreground.follow(session, attachment, **{"terminal": False, **options})
    assert session.closed
    return code


def test_the_code_is_the_containers(modes: list[str]) -> None:
    session = Session(ENDED)
    assert follow(session) == 3
    assert session.connection.pumped[0]["descriptors"] == (0, 1, 2)
    assert session.connection.pumped[0]["detach_keys"] == b""
    assert modes == []


def test_only_attached_streams_are_moved() -> None:
    session = Session(ENDED)
    follow(session, Attachment(stdout=True))
    assert session.connection.pumped[0]["descriptors"] == (-1, 1, -1)


def test_signals_are_passed_on() -> None:
    session = Session(Signal(number=signal.SIGINT), Signal(number=signal.SIGTERM), ENDED)
    assert follow(session) == 3
    assert session.signals == [signal.SIGINT, signal.SIGTERM]
    assert {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM} <= session.connection.held[0]
    assert not {signal.SIGCHLD, signal.SIGPIPE, signal.SIGWINCH} & session.connection.held[0]


def test_an_interrupt_before_signals_are_held_is_passed_on_too() -> None:
    session = Session(ENDED)
    session.connection.interrupts = 2
    assert follow(session) == 3
    assert session.signals == [signal.SIGINT, signal.SIGINT]
    assert len(session.connection.held) == 1


@pytest.mark.parametrize("interrupts", [0, 1])
def test_without_proxy_ctrl_c_ends_the_command_and_not_the_container(interrupts: int) -> None:
    session: Any = Session(Signal(number=signal.SIGINT), ENDED)
    session.connection.interrupts = interrupts
    with pytest.raises(KeyboardInterrupt):
        foreground.follow(session, ALL, terminal=False, proxy=False)
    assert session.closed
    assert session.signals == []


def test_without_proxy_other_signals_do_what_they_do_to_any_program() -> None:
    session = Session(ENDED)
    follow(session, proxy=False)
    assert session.connection.held == [{signal.SIGINT}]


def test_a_terminal_is_raw_and_its_size_follows(modes: list[str]) -> None:
    session = Session(Signal(number=signal.SIGWINCH), ENDED)
    assert follow(session, terminal=True, detach_keys="ctrl-x") == 3
    assert modes == ["raw", "cooked"]
    assert session.connection.said == [(24, 80), (24, 80)]
    assert session.connection.pumped[0]["detach_keys"] == b"\x18"
    assert session.signals == []


def test_detaching_leaves_the_container_alone(modes: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    session = Session(Detached())
    assert follow(session, terminal=True) == 0
    assert session.detached
    assert modes == ["raw", "cooked"]
    assert capfd.readouterr().err == ""


def test_where_it_is_a_failure_detaching_has_a_sentence_and_a_code(
    modes: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    session = Session(Detached())
    assert follow(session, terminal=True, detached_code=1) == 1
    assert session.detached
    assert modes == ["raw", "cooked"]
    assert capfd.readouterr().err == "read escape sequence\n"


def test_a_lost_monitor_leaves_the_code_to_the_engine() -> None:
    assert follow(Session(EOFError())) == 137


@pytest.mark.parametrize(
    "error", [BrokenPipeError(), OSError(errno.ENOSPC, "relay: no space left")], ids=["reader", "room"]
)
def test_output_that_goes_nowhere_is_the_callers_business(error: OSError) -> None:
    session: Any = Session(error)
    with pytest.raises(type(error)):
        foreground.follow(session, ALL, terminal=False)
    assert session.closed


def test_a_kill_for_lack_of_memory_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    session = Session(ENDED.replace(status=9, oom_killed=True))
    assert follow(session) == 137
    assert capfd.readouterr().err == (
        "minirun: container box: a process was killed by the kernel's OOM killer: its memory limit of 64MiB was reached\n"
    )
