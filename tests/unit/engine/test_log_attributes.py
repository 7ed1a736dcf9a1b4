"""What records of a log say of their container."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minirun.engine.config import ContainerConfig
from minirun.engine.container import Container
from minirun.engine.log_attributes import check, text_of
from minirun.errors import InvalidInput

IMAGE = {"Env": ["A=image", "PATH=/bin", "Z=z"], "Labels": {"of": "image", "kept": "1"}}


def attributes(**fields: Any) -> dict[str, str]:
    config = ContainerConfig(image="busybox", environment=("A=1", "B"), labels={"of": "mine", "é": 'a "b"'}, **fields)
    container = Container(
        id="ab" * 32,
        name="box",
        image_id="sha256:" + "c" * 64,
        image_name="busybox",
        config=config,
        arguments=("a", "b"),
    )
    text = text_of(container, IMAGE)
    assert not text or (text.startswith('"attrs":{') and text.endswith("},"))
    found: dict[str, str] = json.loads("{" + text.removesuffix(",") + "}").get("attrs", {})
    return found


def test_labels_and_variables_are_chosen_by_name_or_pattern() -> None:
    assert attributes(log_env="A,B,nope,PATH", log_labels="of") == {"A": "1", "PATH": "/bin", "of": "mine"}
    assert attributes(log_env_regex="^[AZ]", log_labels_regex="^(k|é)") == {
        "A": "1",
        "Z": "z",
        "kept": "1",
        "é": 'a "b"',
    }
    assert attributes(log_env="nope") == attributes() == {}


def test_a_tag_is_filled_in() -> None:
    tag = "{{.Name}}/{{ .ID }} {{.ImageName}} {{.ImageID}} {{.Command}}"
    assert attributes(log_tag=tag) == {"tag": "box/abababababab busybox sha256:ccccc a b"}
    assert attributes(log_tag="plain") == {"tag": "plain"}


@pytest.mark.parametrize(
    "fields", [{"log_tag": "{{.Nope}}"}, {"log_tag": "{{"}, {"log_tag": "}}"}, {"log_env_regex": "("}]
)
def test_what_can_not_be_read_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="log option"):
        check(ContainerConfig(image="x", **fields))


def test_more_than_a_record_can_hold_is_refused() -> None:
    with pytest.raises(InvalidInput, match="longer than 131072 bytes"):
        attributes(log_tag="x" * 131072)
