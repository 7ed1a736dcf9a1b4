"""Following events: how long is waited."""

from __future__ import annotations

import os
import time

from minirun.engine import events


def test_an_end_may_be_further_away_than_poll_can_wait():
    reader, writer = os.pipe()
    os.write(writer, b"x")
    try:
        assert events._wait(reader, len(events.LOOK_AGAIN_MS), time.time_ns() + 10**18)
    finally:
        os.close(reader)
        os.close(writer)
