"""`hooks`: programs of the host at points of the container's life.

Owns: config.md, "POSIX-platform Hooks". Leaves to others: running them (runtime/hooks, native/).
"""

from __future__ import annotations

from ..spec import Hook, Hooks
from .process import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reader import Section

_TIMEOUT_MAX = (1 << 31) // 1000  # the kernel's timeouts are milliseconds in an int; 24 days


def hooks(section: Section) -> Hooks:
    """Read the six kinds."""
    return Hooks(
        prestart=_array(section, "prestart"),
        create_runtime=_array(section, "createRuntime"),
        create_container=_array(section, "createContainer"),
        start_container=_array(section, "startContainer"),
        poststart=_array(section, "poststart"),
        poststop=_array(section, "poststop"),
    )


def _array(section: Section, kind: str) -> tuple[Hook, ...]:
    return tuple(_hook(item) for item in section.sections(kind))


def _hook(item: Section) -> Hook:
    """Read one. `args` is the whole vector, the program's name for itself included; without it that is the path."""
    path = item.absolute_path("path")
    return Hook(
        path=path,
        arguments=item.texts("args") or (path,),
        environment=environment(item) if item.has("env") else None,
        timeout_seconds=item.number("timeout", 1, _TIMEOUT_MAX),
    )
