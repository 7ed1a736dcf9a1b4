"""Handing a command to a spare worker, and how many there are."""

from __future__ import annotations

import _socket
import os
import select
from contextlib import suppress

import pytest

from minirun.warm import caller, spare
from tests.waiting import until


@pytest.fixture
def spares():
    made = spare.Spares(select.poll())
    yield made
    made.close()
    with suppress(ChildProcessError):
        while os.waitpid(-1, 0):
            pass


def ready(spares: spare.Spares) -> spare.Spare:
    """Give one whose worker waits."""
    (found,) = until("a spare worker", lambda: [one for one in map(spares.hear, [*spares.found]) if one])
    return found


def test_a_number_that_is_a_strangers_by_now_gets_no_command(spares):
    """As when it was killed, and waited for, and its memory is still there."""
    spares.want(0)
    ahead = ready(spares)
    ahead.worker = os.getppid()
    reader, writer = os.pipe()
    try:
        with pytest.raises(ChildProcessError):
            ahead.begin([reader], caller.facts_of(os.getpid()))
    finally:
        os.close(reader)
        os.close(writer)


def test_a_worker_that_waits_is_enough(spares):
    spares.want(1)
    first = ready(spares)
    spares.want(1)
    assert list(spares.found.values()) == [first]
    assert spares.take(may_wait=False) is first
    first.worker = 0  # it has a command
    spares.want(1)
    assert len(spares.found) == 2
    assert spares.take(may_wait=False) is None
    assert until("the second", lambda: spares.take(may_wait=True)) is not first
    spares.drop_surplus()
    assert list(spares.found.values()) == [first]


def test_one_that_is_about_to_be_ready_is_enough_for_one(spares):
    spares.want(0)
    spares.want(1)
    assert len(spares.found) == 1
    spares.want(2)
    assert len(spares.found) == 2


def test_no_crowd_has_more_than_so_many(spares, monkeypatch):
    monkeypatch.setattr(spare, "MOST", 2)
    for _ in range(4):
        spares.want(4)
    assert len(spares.found) == 2


def test_one_that_is_lost_is_dropped(spares):
    spares.want(1)
    lost = ready(spares)
    os.kill(lost.worker, 9)
    until("its end", lambda: spares.hear(lost.socket.fileno()) is None or lost.socket.fileno() < 0)
    until("its end", lambda: not spares.found or spares.hear(*spares.found))
    assert not spares.found
    assert spares.descriptors() == [spares.zygote.socket.fileno()]


def test_without_a_zygote_there_are_none(spares):
    os.kill(spares.zygote.pid, 9)
    until("its end", lambda: os.waitid(os.P_PID, spares.zygote.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        spares.want(1)
    assert not spares.found


def test_half_a_number_is_none():
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    theirs.send(b"123")
    assert not spare.Spare(ours).hear()
    ours.close()
    theirs.close()
