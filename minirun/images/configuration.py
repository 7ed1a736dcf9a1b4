"""The configuration of an image: the document whose digest is the image's id.

Owns: reading it strictly, writing that of an import. Leaves to others: what its settings mean for a container (engine/spec).

Sources: image-spec config.md; docker's image JSON is the same for all that is read here.
"""

from __future__ import annotations

import json

from ..errors import Corrupt, NotSupported
from ..record import Record
from .manifest import LAYERS_MAX, read_json
from .reference import is_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .manifest import Platform


class Configuration(Record):
    """What is kept of the document in the database."""

    config: dict[str, Any]
    architecture: str
    os: str
    created: str
    created_ns: int
    diff_ids: tuple[str, ...]


def read(data: bytes, what: str) -> Configuration:
    """Read a configuration. Raises Corrupt, NotSupported (another operating system, too many layers)."""
    document = read_json(data, what)
    if not isinstance(document, dict):
        raise Corrupt(f"{what} is no JSON object")
    system = _string(document.get("os") or "linux", f"{what}: os")
    if system != "linux":
        raise NotSupported(f"{what} is for {ascii(system)[1:-1]}: only Linux images can run here")
    created = _string(document.get("created") or "", f"{what}: created")
    return Configuration(
        config=_settings(document.get("config"), what),
        architecture=_string(document.get("architecture") or "", f"{what}: architecture"),
        os=system,
        created=created,
        created_ns=nanoseconds(created),
        diff_ids=_diff_ids(document.get("rootfs"), what),
    )


def write(*, config: dict[str, Any], platform: Platform, created_ns: int, diff_id: str, comment: str) -> bytes:
    """Give the configuration of an image with one layer that was imported."""
    created = timestamp(created_ns)
    document: dict[str, Any] = {"created": created, "architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        document["variant"] = platform.variant
    document["config"] = config
    document["rootfs"] = {"type": "layers", "diff_ids": [diff_id]}
    document["history"] = [{"created": created, "comment": comment}]
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def timestamp(time_ns: int) -> str:
    """Give a time as Go writes it: RFC 3339 in UTC with nanoseconds."""
    import time

    seconds, fraction = divmod(time_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:09d}Z"


def nanoseconds(text: str) -> int:
    """Read an RFC 3339 time; 0 when it is none (an image isn't refused for its date)."""
    from datetime import UTC, datetime

    main, dot, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))] if dot else ""
    zone = rest[len(digits) :] if dot else ""
    try:
        moment = datetime.fromisoformat(main + zone)
    except ValueError:
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    total = (since.days * 86400 + since.seconds) * 1_000_000_000 + int(digits[:9].ljust(9, "0") or "0")
    return total if 0 < total < 2**63 else 0


def _settings(config: Any, what: str) -> dict[str, Any]:
    """Check the "config" object: a start relies on the types, and no string may hold a NUL (execve(2) ends there)."""
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise Corrupt(f"{what}: config is no object")
    for key, is_good in SETTINGS.items():
        value = config.get(key)
        if value is not None and not is_good(value):
            raise Corrupt(f"{what}: malformed {key} in config")
    return config


def _diff_ids(rootfs: Any, what: str) -> tuple[str, ...]:
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if diff_ids is None and isinstance(rootfs, dict):
        diff_ids = []
    if not isinstance(diff_ids, list) or not all(isinstance(each, str) and is_digest(each) for each in diff_ids):
        raise Corrupt(f"{what}: rootfs has no list of diff_ids")
    if len(diff_ids) > LAYERS_MAX:
        raise NotSupported(f"{what} has {len(diff_ids)} layers: at most {LAYERS_MAX} can be stacked; flatten the image")
    return tuple(diff_ids)


def _string(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise Corrupt(f"{what} is no string")
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(_is_text(each) for each in value)


def _is_set(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_text(key) for key in value)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_text(key) and _is_text(each) for key, each in value.items())


def is_healthcheck(value: Any) -> bool:
    """Is this docker's HealthConfig: a list of words, and numbers that are no times before now?"""
    numbers = ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
    return (
        isinstance(value, dict)
        and (value.get("Test") is None or _is_list(value["Test"]))
        and all(type(value.get(name) or 0) is int and 0 <= (value.get(name) or 0) < 2**63 for name in numbers)
    )


SETTINGS: dict[str, Callable[[Any], bool]] = {
    "User": _is_text,
    "WorkingDir": _is_text,
    "StopSignal": _is_text,
    "Hostname": _is_text,
    "Env": _is_list,
    "Cmd": _is_list,
    "Entrypoint": _is_list,
    "Shell": _is_list,
    "ExposedPorts": _is_set,
    "Volumes": _is_set,
    "Labels": _is_mapping,
    "Healthcheck": is_healthcheck,
}
