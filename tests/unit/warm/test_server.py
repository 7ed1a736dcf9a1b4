"""When the preloaded process goes: what counts as having served somebody."""

from __future__ import annotations

import os
import select
import socket
import time

import pytest

from minirun.warm.server import IDLE_SECONDS, Command, Server


def goes_after(seconds: float, worker: int, token: int) -> bool:
    """Let a server, idle for so long, see the end of a command, and say whether it goes."""
    server = object.__new__(Server)
    server.poll, server.spares = select.poll(), None
    server.idle_since = time.monotonic() - seconds
    ours, theirs = socket.socketpair()
    command = Command(ours)
    command.worker, command.token = worker, os.eventfd(token)
    server.commands = {ours.fileno(): command}
    server.poll.register(ours.fileno())
    os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
    server._reap()
    theirs.close()
    assert not server.commands
    return server._is_idle()


@pytest.fixture
def worker() -> int:
    return os.posix_spawn("/bin/true", ["true"], {})


def test_a_command_that_it_has_run_keeps_it_here(worker: int) -> None:
    assert not goes_after(IDLE_SECONDS + 1, worker, token=0)


@pytest.mark.parametrize(("seconds", "goes"), [(IDLE_SECONDS + 1, True), (IDLE_SECONDS - 1, False)])
def test_callers_that_it_refuses_let_it_go(worker: int, seconds: float, goes: bool) -> None:
    """Otherwise one whom nobody can use would stay for as long as somebody asks."""
    assert goes_after(seconds, worker, token=1) == goes


def test_asked_to_leave_in_the_middle_of_something_it_finishes_that_first() -> None:
    """A signal's handler that closed the listener under the loop's feet would end it together with its workers."""
    server = object.__new__(Server)
    server.listener = listener = socket.socket()
    server.is_asked_to_leave = False
    server._ask_to_leave(15, None)
    assert server.listener is listener
    assert server.is_asked_to_leave
    listener.close()
