"""`minirun events`: what every process on this host did, as it happens or from the past."""

from __future__ import annotations

from ...output import write
from ...units import SECOND_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...engine.events import Event
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    filters: dict[str, list[str]] = {}
    for name, value in parsed.many("filter"):
        filters.setdefault(name, []).append(value)
    show = _shower(parsed.text("format"))
    with invocation.engine() as engine:
        since, until = parsed.number("since"), parsed.number("until")
        for event in engine.events(since_ns=since, until_ns=until, filters=filters):
            write(show(event) + "\n")
    return 0


def _shower(template: str) -> Callable[[Event], str]:
    """Give what makes a line of an event: docker's, JSON, or a template's."""
    if not template:
        return _line
    from ...engine.events import as_docker

    if template == "json":
        import json

        return lambda event: json.dumps(as_docker(event), ensure_ascii=False, separators=(",", ":"))
    from ..template import compile_for_one
    from ..template.typed import Map, Struct

    parsed = compile_for_one(template.replace("\\t", "\t").replace("\\n", "\n"))

    def render(event: Event) -> str:
        shown = Struct(as_docker(event))
        shown["Actor"] = Struct(shown["Actor"] | {"Attributes": Map(shown["Actor"]["Attributes"])})
        shown.absent = {"ID": event.actor, "Status": event.action, "From": event.attributes.get("image", "")}
        shown.absent |= {"Scope": "local", "Time": shown["time"], "TimeNano": shown["timeNano"]}
        return parsed.render(shown)

    return render


def _line(event: Event) -> str:
    about = ", ".join(f"{key}={value}" for key, value in sorted(event.attributes.items()))
    line = f"{_local_time(event.time_ns)} {event.kind} {event.action} {event.actor}"
    return f"{line} ({about})" if about else line


def _local_time(time_ns: int) -> str:
    """Give an instant in the local zone with all nine digits; a zone without offset is Z."""
    from time import localtime, strftime

    seconds, rest = divmod(time_ns, SECOND_NS)
    moment = localtime(seconds)
    zone = strftime("%z", moment)
    shown = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return strftime("%Y-%m-%dT%H:%M:%S", moment) + f".{rest:09d}{shown}"
