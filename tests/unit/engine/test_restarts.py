"""Which end of a run is followed by another, and when."""

from __future__ import annotations

import time
from typing import Any

import pytest

from minirun.engine import restarts
from minirun.engine.config import ContainerConfig
from minirun.engine.container import Container
from minirun.errors import Conflict, InvalidInput

SECOND = 10**9


def container(policy: str, retries: int = 0, **changes: Any) -> Container:
    config = ContainerConfig(image="busybox", restart_policy=policy, restart_retries=retries)
    plain = Container(
        id="f" * 64, name="box", image_id="", image_name="busybox", config=config, status="running", started_ns=SECOND
    )
    return plain.replace(**changes)


@pytest.mark.parametrize(
    ("policy", "retries", "exit_code", "changes", "again"),
    [
        ("no", 0, 1, {}, False),
        ("always", 0, 0, {}, True),
        ("always", 0, 0, {"stopped_by_hand": True}, False),
        ("unless-stopped", 0, 137, {}, True),
        ("unless-stopped", 0, 137, {"stopped_by_hand": True}, False),
        ("on-failure", 0, 0, {}, False),
        ("on-failure", 0, 1, {"restart_count": 1000}, True),
        ("on-failure", 2, 1, {"restart_count": 1}, True),
        ("on-failure", 2, 1, {"restart_count": 2}, False),
        ("on-failure", 0, 1, {"stopped_by_hand": True}, False),
    ],
)
def test_a_policy_says_whether(policy: str, retries: int, exit_code: int, changes: dict[str, Any], again: bool) -> None:
    assert bool(restarts.after_exit(container(policy, retries, **changes), exit_code, 2 * SECOND)) == again


@pytest.mark.parametrize(
    ("before_ms", "seconds", "delay_ms"),
    [(0, 0, 100), (100, 0, 200), (100, 9.9, 200), (100, 10, 100), (25_600, 1, 51_200), (51_200, 1, 60_000), (60_000, 1, 60_000)],
)  # fmt: skip
def test_delays_double_up_to_a_minute_unless_it_ran_steadily(before_ms: int, seconds: float, delay_ms: int) -> None:
    looping = container("always", restart_count=3, restart_delay_ms=before_ms)
    before_ns = time.time_ns()
    changes = restarts.after_exit(looping, 1, SECOND + int(seconds * SECOND))
    assert changes["status"] == "restarting"
    assert changes["restart_count"] == 4
    assert changes["restart_delay_ms"] == delay_ms
    assert 0 <= changes["restart_at_ns"] - before_ns - delay_ms * 10**6 < SECOND


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"restart_policy": "sometimes"}, "invalid restart policy 'sometimes': use one of no, always"),
        ({"restart_policy": "no", "restart_retries": 1}, "cannot be used with restart policy 'no'"),
        ({"restart_policy": "on-failure", "restart_retries": -1}, "maximum retry count cannot be negative"),
        ({"restart_policy": "always", "auto_remove": True}, "can't create 'AutoRemove' container with restart policy"),
    ],
)
def test_what_no_policy_is_says_why(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        restarts.check(ContainerConfig(image="busybox", **changes))


def test_a_start_by_policy_is_still_a_restart_outside() -> None:
    starting = container("always", status="starting", restart_at_ns=SECOND)
    assert starting.state == "restarting"
    with pytest.raises(Conflict, match="is restarting, wait until the container is running"):
        starting.refuse_restarting()
    assert container("always", status="starting").state == "created"
