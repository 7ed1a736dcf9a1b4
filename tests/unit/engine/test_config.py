"""What a user asks for, as the store keeps it: what isn't as by default, and all of that."""

from __future__ import annotations

import json
from typing import Any

from minirun.engine import config
from minirun.engine.config import ContainerConfig
from minirun.record import Record


def other_than(name: str, value: Any) -> Any:
    """Give a value of a field's kind that isn't its default."""
    kind = config._NESTED.get(name)
    if kind is not None:
        return (kind(**{field: kind._defaults.get(field, "1") for field in kind._fields}),)
    if name == "image":
        return "busybox"
    if isinstance(value, bool):
        return not value
    if isinstance(value, int) or name == "stop_timeout_seconds":
        return 7
    if isinstance(value, str):
        return value + "x"
    return {"a": "b"} if isinstance(value, dict) else ("a", "b")


def test_each_field_comes_back_as_it_was() -> None:
    values = {name: other_than(name, ContainerConfig._defaults.get(name)) for name in ContainerConfig._fields}
    asked = ContainerConfig(**values)
    kept = asked.given()
    assert set(kept) == set(ContainerConfig._fields)
    assert ContainerConfig.from_json(json.loads(json.dumps(kept))) == asked


def test_defaults_are_not_kept() -> None:
    asked = ContainerConfig(image="busybox", entrypoint=())
    assert asked.given() == {"image": "busybox", "entrypoint": []}
    assert ContainerConfig.from_json(asked.given()) == asked


def test_what_an_earlier_version_wrote_in_full_is_read() -> None:
    asked = ContainerConfig(image="busybox", labels={"a": "b"}, command=("true",))
    assert ContainerConfig.from_json(asked.as_json()) == asked


def test_nested_values_are_records() -> None:
    assert all(issubclass(kind, Record) for kind in config._NESTED.values())
