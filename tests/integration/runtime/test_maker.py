"""`minirun-spawn` before it has a plan: killed, and given up."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios

import pytest

from minirun.linux import flags
from minirun.linux.plan import Plan
from minirun.runtime.process import Maker, SpawnFailed, reap
from tests.waiting import until

CONNECTION_RESET = 104
NO_EXECUTABLE = 8  # ENOEXEC: of a plan with nothing in it


def has_read(maker: Maker) -> bool:
    """SIOCOUTQ: what the other end has not taken yet. unix(7)"""
    return struct.unpack("i", fcntl.ioctl(maker._socket, termios.TIOCOUTQ, bytes(4))) == (0,)


@pytest.mark.parametrize("moment", ["before its first message", "after it", "at the plan"])
def test_one_that_is_killed_before_its_plan_is_said_to_be(moment: str) -> None:
    with Maker(namespaces=flags.CLONE_NEWNET) as maker:
        if moment != "before its first message":
            until("it to read", lambda: has_read(maker))
        os.kill(maker._pid, signal.SIGKILL)
        if moment != "at the plan":
            os.waitid(os.P_PID, maker._pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(SpawnFailed) as failure:
            maker.make(Plan())
    reap()
    assert failure.value.errno == CONNECTION_RESET


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_what_is_typed_before_the_plan_is_its_owners_to_hear(number: signal.Signals) -> None:
    with Maker() as maker:
        until("it to read", lambda: has_read(maker))
        os.kill(maker._pid, number)
        with pytest.raises(SpawnFailed) as failure:
            maker.make(Plan())
    reap()
    assert failure.value.errno == NO_EXECUTABLE


def test_one_that_is_given_up_ends() -> None:
    maker = Maker(namespaces=flags.CLONE_NEWNET)
    with pytest.raises(ZeroDivisionError), maker:
        raise ZeroDivisionError
    with pytest.raises(ProcessLookupError):
        os.kill(maker._pid, 0)
    with Maker() as maker:
        pass
    reap()
    with pytest.raises(ProcessLookupError):
        os.kill(maker._pid, 0)
