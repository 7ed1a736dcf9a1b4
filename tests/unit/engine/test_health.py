"""How image and user are merged into one health check, and what the monitor is told."""

from __future__ import annotations

from typing import Any

import pytest

from minirun.engine import health
from minirun.engine.config import ContainerConfig
from minirun.errors import InvalidInput
from minirun.images.configuration import is_healthcheck
from minirun.units import go_duration

SECOND = 10**9


class Image:
    """As much of an image as is read."""

    def __init__(self, **config: Any) -> None:
        self.config = config


CHECKED = Image(Healthcheck={"Test": ["CMD", "check", "it"], "Interval": 7 * SECOND, "Retries": 2})


def test_the_image_says_what_the_user_does_not() -> None:
    config = health.resolve(ContainerConfig(image="x", health_timeout_ns=SECOND, health_retries=5), CHECKED)
    assert config.health_command == ("CMD", "check", "it")
    assert (config.health_interval_ns, config.health_timeout_ns, config.health_retries) == (7 * SECOND, SECOND, 5)
    assert config.has_health_check
    assert health.healthcheck_json(config) == {
        "Test": ["CMD", "check", "it"],
        "Interval": 7 * SECOND,
        "Timeout": SECOND,
        "Retries": 5,
    }


def test_a_command_of_the_users_is_run_by_the_images_shell() -> None:
    asked = ContainerConfig(image="x", health_command=("CMD-SHELL", "a && b"))
    config = health.resolve(asked, CHECKED)
    assert health.command_of(config, CHECKED) == ("/bin/sh", "-c", "a && b")
    assert health.command_of(config, Image(Shell=["/bin/ash", "-ec"])) == ("/bin/ash", "-ec", "a && b")
    assert health.command_of(health.resolve(ContainerConfig(image="x"), CHECKED), CHECKED) == ("check", "it")


@pytest.mark.parametrize(
    ("image", "asked"),
    [
        (CHECKED, {"no_healthcheck": True}),
        (Image(Healthcheck={"Test": ["NONE"]}), {}),
        (Image(), {"health_interval_ns": SECOND}),
        (Image(Healthcheck={"Test": None}), {}),
    ],
)
def test_none_is_none(image: Image, asked: dict[str, Any]) -> None:
    assert not health.resolve(ContainerConfig(image="x", **asked), image).has_health_check


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"health_interval_ns": 999_999}, "Interval in Healthcheck cannot be less than 1ms"),
        ({"health_start_period_ns": 1}, "StartPeriod in Healthcheck cannot be less than 1ms"),
        ({"health_retries": -1}, "Retries in Healthcheck cannot be negative"),
        ({"health_command": ("SHELL", "x")}, "Unknown healthcheck type 'SHELL'"),
        ({"restart_on_unhealthy": True}, "needs a health check"),
    ],
)
def test_what_no_check_can_be_says_why(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        health.resolve(ContainerConfig(image="x", **asked), Image())


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"Test": "CMD true"},
        {"Test": ["CMD", 1]},
        {"Test": ["CMD", "a\0b"]},
        {"Interval": "1s"},
        {"Interval": -1},
        {"Retries": True},
        {"Timeout": 2**63},
    ],
)
def test_an_image_that_says_nonsense_is_refused(value: Any) -> None:
    assert not is_healthcheck(value)


def test_what_images_say_is_accepted() -> None:
    assert is_healthcheck({"Test": ["CMD-SHELL", "true"], "Interval": 1, "Retries": 3, "StartInterval": 0, "More": []})
    assert is_healthcheck({"Test": None})


@pytest.mark.parametrize(
    ("length_ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1500, "1.5µs"),
        (500_000_000, "500ms"),
        (1_500_000, "1.5ms"),
        (SECOND, "1s"),
        (90 * SECOND + 1, "1m30.000000001s"),
        (7200 * SECOND, "2h0m0s"),
    ],
)
def test_lengths_of_time_are_said_as_go_says_them(length_ns: int, text: str) -> None:
    assert go_duration(length_ns) == text
