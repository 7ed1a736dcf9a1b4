"""Waiting in the foreground: who gets the signals that come."""

from __future__ import annotations

import os
import signal

import pytest

from minirun.runtime.foreground import Foreground


def test_a_number_that_is_free_again_gets_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the moment on in which the process was waited for, it may be another one's."""
    sent: list[tuple[int, int]] = []
    wait = os.waitpid

    def wait_and_hear(pid: int, options: int) -> tuple[int, int]:
        result = wait(pid, options)
        signal.raise_signal(signal.SIGUSR1)
        return result

    monkeypatch.setattr(os, "waitpid", wait_and_hear)
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    with Foreground() as foreground:
        assert foreground.wait(os.posix_spawn("/bin/true", ["true"], {})) == 0
    assert sent == []
