"""Signals as people write them."""

from __future__ import annotations

import signal

import pytest

from minirun import signals


@pytest.mark.parametrize("text", ["15", "TERM", "SIGTERM", "term", "sigterm", " Term "])
def test_a_signal_has_many_spellings(text: str) -> None:
    assert signals.number_of(text) == 15


def test_every_signal_of_this_system_is_known() -> None:
    for number in signal.Signals:
        assert signals.number_of(number.name) == number


def test_real_time_signals_are_counted_from_either_end() -> None:
    assert signals.number_of("RTMIN+3") == signal.SIGRTMIN + 3
    assert signals.number_of("sigrtmax-1") == signal.SIGRTMAX - 1
    assert signals.number_of("RTMIN-1") is None
    assert signals.number_of("RTMAX+1") is None


@pytest.mark.parametrize(
    "text", ["", "FOO", "SIG", "0", "65", "-9", "9999999999999999999999", "TERM+1", "_DFL", "_IGN", "²"]
)
def test_what_is_no_signal_has_no_number(text: str) -> None:
    assert signals.number_of(text) is None
