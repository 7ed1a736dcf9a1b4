"""When the preloaded process goes: what counts as having served somebody."""

from __future__ import annotations

import os
import select
import socket
import time

import pytest

from minirun.warm.server import IDLE_SECONDS, Command, Server
from minirun.warm.spare import Spare


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


@pytest.fixture
def serving():
    """A server with one command, whose worker was a spare one; and that one's memory."""
    server = object.__new__(Server)
    server.poll, server.spares, server.idle_since = select.poll(), None, time.monotonic()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command, spare = Command(ours), Spare(ours)
    command.worker, command.token, command.spare = 2, os.eventfd(0), spare
    spare.keeper = 3
    server.commands = {ours.fileno(): command}
    server.poll.register(ours.fileno())
    yield server, command, spare
    assert not server.commands
    theirs.close()


KILLED = 9
ORDERS = {
    "its end, then its memory is put back": lambda server, command, spare: (
        server._has_changed(command, KILLED),
        server._is_back(spare),
    ),
    "its memory is put back, then its end": lambda server, command, spare: (
        server._is_back(spare),
        server._has_changed(command, KILLED),
    ),
    "its end, then its keeper's": lambda server, command, spare: (
        server._has_changed(command, KILLED),
        server._has_ended(3, 0),
    ),
    "its keeper's end, then its own": lambda server, command, spare: (
        server._has_ended(3, 0),
        server._has_changed(command, KILLED),
    ),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_the_end_of_a_killed_worker_is_told_when_its_memory_is_free(serving, order):
    """Whatever is heard of first. Killed in its last moment, its memory is put back nevertheless."""
    server, command, spare = serving
    told = []
    server._tell = lambda _, *what: told.append(what)
    order(server, command, spare)
    assert told == [(5, KILLED)]


class Spares:
    """Those of a server, none of which can be made."""

    def __init__(self, has_been_of_use: bool) -> None:
        self.has_been_of_use = has_been_of_use
        self.zygote = self
        self.pid = 7
        self.spare = Spare(socket.socket())

    def hear(self, _: int) -> Spare:
        return self.spare

    def close(self) -> None:
        self.spare.socket.close()


@pytest.mark.parametrize(
    ("status", "has_been_of_use", "is_wanted", "may_be"),
    [(1 << 8, False, False, False), (KILLED, False, False, True), (KILLED, True, True, True)],
    ids=["it can't be one", "killed before", "killed"],
)
def test_a_zygote_that_can_not_be_is_not_tried_over_and_over(status, has_been_of_use, is_wanted, may_be):
    server = object.__new__(Server)
    server.is_spare_wanted, server.commands = False, {}
    server.spares = Spares(has_been_of_use)
    server._has_ended(7, status)
    assert (server.spares, server.is_spare_wanted, server.may_have_spares) == (None, is_wanted, may_be)


def test_a_keeper_that_can_not_be_is_not_tried_over_and_over():
    """Where no process is left, the next command asks again; one that is lost later is made up for at once."""
    server = object.__new__(Server)
    server.is_spare_wanted = False
    server.spares = spares = Spares(True)
    server._hear_spare(0)
    assert not server.is_spare_wanted
    spares.spare.was_ready = True
    server._hear_spare(0)
    assert server.is_spare_wanted
    spares.close()
