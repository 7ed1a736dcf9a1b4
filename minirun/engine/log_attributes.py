"""What each record of a container's log says about the container: labels, variables and a tag, as docker's json-file driver has it.

Owns: the log options `labels`, `labels-regex`, `env`, `env-regex` and `tag`, and what they come to. Leaves to others: the records
(native/log.c), showing them (`logs --details`).
"""

from __future__ import annotations

import re

from ..errors import InvalidInput
from ..jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .config import ContainerConfig
    from .container import Container

_BYTES_MAX = 131072  # MR_LOG_ATTRIBUTES_MAX, native/log.h
_ACTION = re.compile(r"{{\s*(.*?)\s*}}")
# docker, "Customize log driver output".
_TAG: dict[str, Callable[[Container], str]] = {
    ".ID": lambda container: container.id[:12],
    ".FullID": lambda container: container.id,
    ".Name": lambda container: container.name,
    ".ImageID": lambda container: container.image_id[:12],
    ".ImageFullID": lambda container: container.image_id,
    ".ImageName": lambda container: container.image_name,
    ".DaemonName": lambda container: "docker",  # what rules of log collectors look for
    ".Command": lambda container: " ".join(container.arguments),
}


def check(config: ContainerConfig) -> None:
    """Raise InvalidInput for a regular expression or a tag that can't be read."""
    _pattern("labels-regex", config.log_labels_regex)
    _pattern("env-regex", config.log_env_regex)
    for name in _ACTION.findall(config.log_tag):
        if name not in _TAG:
            raise InvalidInput(f"log option tag: there is no {{{{{name}}}}}: there are {', '.join(_TAG)}")
    rest = _ACTION.sub("", config.log_tag)
    if "{{" in rest or "}}" in rest:
        raise InvalidInput(f"log option tag: {config.log_tag!r}: an action is not closed, or not opened")


def text_of(container: Container, image_config: Mapping[str, Any]) -> str:
    """Give the member of a JSON object that every record of this container's log gets, with a comma, "" for none.

    InvalidInput when it is longer than a record can be.
    """
    attributes = _attributes(container, image_config)
    if not attributes:
        return ""
    text = f'"attrs":{dumps(dict(sorted(attributes.items())))},'
    if len(text.encode("utf-8", "surrogatepass")) > _BYTES_MAX:
        raise InvalidInput(
            f"log options env and labels: what they add to each record is longer than {_BYTES_MAX} bytes"
        )
    return text


def _attributes(container: Container, image_config: Mapping[str, Any]) -> dict[str, str]:
    config = container.config
    labels = {**(image_config.get("Labels") or {}), **config.labels}
    variables = (text.partition("=") for text in (*(image_config.get("Env") or ()), *config.environment))
    environment = {name: value for name, equals, value in variables if equals}
    found = _chosen(labels, config.log_labels, _pattern("labels-regex", config.log_labels_regex))
    found |= _chosen(environment, config.log_env, _pattern("env-regex", config.log_env_regex))
    if config.log_tag:
        found["tag"] = _ACTION.sub(lambda action: _TAG[action[1]](container), config.log_tag)
    return found


def _chosen(values: Mapping[str, str], names: str, pattern: re.Pattern[str] | None) -> dict[str, str]:
    wanted = names.split(",")
    return {name: value for name, value in values.items() if name in wanted or (pattern and pattern.search(name))}


def _pattern(option: str, text: str) -> re.Pattern[str] | None:
    if not text:
        return None
    try:
        return re.compile(text)
    except re.error as error:
        raise InvalidInput(f"log option {option}: {text!r} is no regular expression: {error}") from error
