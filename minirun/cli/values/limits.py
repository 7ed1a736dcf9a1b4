"""Limits and knobs with a grammar of their own: `--ulimit`, `--sysctl`, `--cpuset-cpus`, `--log-opt`, `--device-read-bps`.

Owns: these grammars. Leaves to others: what the host can enforce (runtime/cgroups) and what the kernel allows.
"""

from __future__ import annotations

from ...engine.config import DeviceRate, DeviceWeight, Ulimit
from ...errors import InvalidInput
from ...units import parse_size, whole_number
from .scalars import integer

_CPU_MAX = (1 << 31) - 1  # what the host has is seen at the start
_ULIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice"),
    *("nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack"),
)
# The kernel keeps these for each IPC or network namespace; any other would change the host (docker run, "Configure
# namespaced kernel parameters").
_SYSCTLS = frozenset(
    f"kernel.{name}" for name in ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"]
)
_SYSCTL_PREFIXES = ("net.", "fs.mqueue.")
_SYSCTL_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")


def ulimit(text: str) -> tuple[Ulimit, ...]:
    """Read `name=soft[:hard]`; -1 means unlimited. Raises InvalidInput."""
    name, equals, limits = text.partition("=")
    if not equals:
        raise InvalidInput(f"invalid ulimit argument: {text}")
    if name not in _ULIMITS:
        raise InvalidInput(f"invalid ulimit type: {name}")
    first, colon, second = limits.partition(":")
    soft = _limit(first, text)
    hard = _limit(second, text) if colon else soft
    if hard != -1 and (soft == -1 or soft > hard):
        shown = "unlimited" if soft == -1 else soft
        raise InvalidInput(f"ulimit soft limit must be less than or equal to hard limit: {shown} > {hard}")
    return (Ulimit(name=name, soft=soft, hard=hard),)


def _limit(text: str, whole: str) -> int:
    if text == "-1":
        return -1
    number = whole_number(text, (1 << 63) - 1)
    if number is None:
        raise InvalidInput(f"invalid ulimit argument: {whole}: '{text}' is not a number")
    return number


def sysctl(text: str) -> tuple[tuple[str, str], ...]:
    """Read `name=value` of a knob that belongs to a namespace. Raises InvalidInput."""
    name, equals, value = text.partition("=")
    allowed = name in _SYSCTLS or name.startswith(_SYSCTL_PREFIXES)
    # A name becomes a path below /proc/sys: a slash or an empty part could lead out of the allowed directory.
    if not equals or not allowed or not _SYSCTL_LETTERS.issuperset(name) or ".." in name or name.endswith("."):
        raise InvalidInput(f"sysctl '{text}' is not allowed")
    return ((name, value),)


def cpu_set(text: str) -> str:
    """Check a list of CPUs such as `0-3,7`; an empty one sets no limit."""
    return _set(text, "cpus")


def memory_nodes(text: str) -> str:
    """Check a list of memory nodes; an empty one sets no limit."""
    return _set(text, "mems")


def _set(text: str, what: str) -> str:
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        low = whole_number(first, _CPU_MAX)
        high = whole_number(last, _CPU_MAX) if dash else low
        if low is None or high is None or low > high:
            raise InvalidInput(f"Invalid value {text} for cpuset {what}")
    return text


def processes(text: str) -> int:
    """Read how many processes there may be; nothing and less stands for no limit, -1."""
    number = integer(text)
    return number if number > 0 else -1


def log_driver(text: str) -> str:
    """Read where output goes: lines of JSON in a file, or nowhere. `local` is docker's file that no other program reads."""
    if text not in ("json-file", "local", "none", ""):
        raise InvalidInput(f"logger: no log driver named '{text}' is registered; there are json-file, local and none")
    return text or "json-file"


_LOG_TEXTS = ("env", "env-regex", "labels", "labels-regex", "tag")


def log_option(text: str) -> tuple[tuple[str, int | str], ...]:
    """Read `max-size=10m`, `max-file=3` and the others: the field and its value. Sizes here count in thousands, as docker's do."""
    key, equals, value = text.partition("=")
    if key == "max-size" and equals:
        if value == "-1":
            return (("log_max_bytes", 0),)
        size = parse_size(value, base=1000)
        if size < 1:
            raise InvalidInput(f"max-size must be a positive number: '{value}'")
        return (("log_max_bytes", size),)
    if key == "max-file" and equals:
        files = whole_number(value, 1000)
        if not files:
            raise InvalidInput("max-file cannot be less than 1 or more than 1000")
        return (("log_max_files", files),)
    if key == "compress" and equals:
        return _log_compression(value)
    if key == "mode" and equals:
        if value not in ("", "blocking", "non-blocking"):
            raise InvalidInput(f"logger: logging mode not supported: {value}")
        return (("log_mode", value),)
    if key == "max-buffer-size" and equals:
        try:
            parse_size(value)
        except InvalidInput as error:
            raise InvalidInput(f"error parsing option max-buffer-size: {error}") from error
        return (("log_buffer", value),)
    if key in _LOG_TEXTS and equals:
        return ((f"log_{key.replace('-', '_')}", value),)
    known = ", ".join(("compress", "max-buffer-size", "max-file", "max-size", "mode", *_LOG_TEXTS))
    raise InvalidInput(f"unknown log opt '{key}' for json-file log driver: there are {known}")


def _log_compression(value: str) -> tuple[tuple[str, int | str], ...]:
    from ...command_line import boolean

    try:
        wanted = boolean(value)
    except InvalidInput as error:
        raise InvalidInput(f"log option compress: '{value}' is neither true nor false") from error
    if wanted:
        raise InvalidInput(
            "log option compress: old files of a log stay as they are here; max-size and max-file bound them"
        )
    return ()


def bytes_rate(text: str) -> tuple[DeviceRate, ...]:
    """Read `path:size`, in bytes a second. Raises InvalidInput."""
    path, rate = _path_and_rate(text)
    try:
        return (DeviceRate(path=path, rate=parse_size(rate)),)
    except InvalidInput as error:
        raise InvalidInput(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. "
            "Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        ) from error


def operations_rate(text: str) -> tuple[DeviceRate, ...]:
    """Read `path:number`, in operations a second. Raises InvalidInput."""
    path, rate = _path_and_rate(text)
    number = whole_number(rate, (1 << 63) - 1)
    if number is None:
        raise InvalidInput(
            f"invalid rate for device: {text}. The correct format is <device-path>:<number>. "
            "Number must be a positive integer"
        )
    return (DeviceRate(path=path, rate=number),)


def device_weight(text: str) -> tuple[DeviceWeight, ...]:
    """Read `path:weight`, 10 to 1000. Raises InvalidInput."""
    path, weight = _path_and_rate(text)
    number = whole_number(weight, 1000)
    if number is None or 0 < number < 10:
        raise InvalidInput(f"invalid weight for device: {text}")
    return (DeviceWeight(path=path, weight=number),) if number else ()


def _path_and_rate(text: str) -> tuple[str, str]:
    path, colon, rate = text.partition(":")
    if not colon or not path or not rate:
        raise InvalidInput(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise InvalidInput(f"bad format for device path: {text}")
    return path, rate
