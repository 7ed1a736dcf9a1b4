"""Handing a command to a spare worker, and how many there are."""

from __future__ import annotations

import _socket
import os
import select
from pathlib import Path

import pytest

from minirun.warm import caller, spare
from tests.waiting import until


def children() -> list[int]:
    """Give those processes of ours that a zygote's are, ended or not."""
    pids = map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
    names = ("minirun-zygote", "minirun-memory", "minirun-spare")
    return [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text().strip() in names]


@pytest.fixture
def spares():
    made = spare.Spares(select.poll())
    yield made
    made.close()
    while found := children():
        os.waitpid(found[0], 0)


def ready(spares: spare.Spares) -> spare.Spare:
    """Give one whose worker waits."""

    def hear() -> list[spare.Spare]:
        return [one for one in map(spares.hear, [*spares.found]) if one.worker]

    (found,) = until("a spare worker", hear)
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


def test_a_keeper_that_has_been_waited_for_is_not_killed(spares):
    """Its number may be a stranger's."""
    spares.want(0)
    ahead = ready(spares)
    os.kill(ahead.keeper, 9)
    os.waitpid(ahead.keeper, 0)
    assert spares.has_ended(ahead.keeper)
    assert (ahead.keeper, ahead.worker, spares.found) == (0, 0, {})
    ahead.kill()
    assert not spares.has_ended(os.getppid())


def test_a_worker_that_waits_is_enough(spares, monkeypatch):
    spares.want(0)
    first = ready(spares)
    spares.want(1)
    assert list(spares.found.values()) == [first] == spares.ready()
    first.worker = 0  # it has a command
    spares.want(1)
    assert len(spares.found) == 2
    assert spares.ready() == []
    descriptor = until("the second", lambda: max(spares.soon(), 0))
    second = spares.hear(descriptor)
    assert spares.ready() == [second] != [first]
    first.worker = os.getpid()  # it waits again
    assert spares.drop_surplus() > 0
    assert len(spares.found) == 2
    monkeypatch.setattr(spare, "SURPLUS_SECONDS", 0)
    assert spares.drop_surplus() == 0
    assert spares.ready() == [first]
    assert spares.drop_surplus() == 0


def test_one_that_is_about_to_be_ready_is_enough_for_one(spares, monkeypatch):
    spares.want(0)
    spares.want(1)
    assert len(spares.found) == 1
    spares.want(2)
    assert len(spares.found) == 2
    monkeypatch.setattr(spare, "LOST_SECONDS", 0)  # or was stopped meanwhile
    assert spares.soon() == -1
    spares.want(1)
    assert len(spares.found) == 3


def test_no_crowd_has_more_than_so_many(spares, monkeypatch):
    monkeypatch.setattr(spare, "MOST", 2)
    for _ in range(4):
        spares.want(4)
    assert len(spares.found) == 2


def test_one_that_is_lost_is_dropped(spares):
    spares.want(0)
    lost = ready(spares)
    os.kill(lost.worker, 9)
    descriptor = lost.socket.fileno()
    until("its end", lambda: descriptor not in spares.found or (spares.hear(descriptor) and False))
    assert not spares.found
    assert lost.was_ready
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
