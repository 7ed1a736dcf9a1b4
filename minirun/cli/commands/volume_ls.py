"""`minirun volume ls`: volumes as a table, names, JSON, or by a template."""

from __future__ import annotations

from ...output import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..invocation import Invocation
    from ..table import Columns

TABLE = ("Driver", "Name")
RAW = (("name", "Name"), ("driver", "Driver"))


def run(invocation: Invocation) -> int:
    from ..preferences import text_preference
    from ..table import show

    parsed = invocation.parsed
    filters: dict[str, list[str]] = {}
    for name, value in parsed.many("filter"):
        filters.setdefault(name, []).append(value)
    with invocation.engine() as engine:
        volumes, columns = engine.volumes(filters), _columns(engine.volume_store.data)
    if parsed.flag("quiet") and parsed.text("format") in ("", "raw"):
        before = "name: " if parsed.text("format") else ""
        write("".join(f"{before}{volume.name}\n" for volume in volumes))
        return 0
    write(show(columns, volumes, parsed.text("format") or text_preference("volumesFormat"), TABLE, RAW))
    return 0


def _columns(mountpoint: Callable[[str], str]) -> Columns:
    from ..table import Column

    def labels(volume: Any) -> str:
        return ",".join(f"{key}={value}" for key, value in sorted(volume.labels.items()))

    return {
        "Availability": Column(heading="AVAILABILITY", value=lambda volume: "N/A"),
        "Driver": Column(heading="DRIVER", value=lambda volume: "local"),
        "Group": Column(heading="GROUP", value=lambda volume: "N/A"),
        "Label": Column(heading="", value=lambda volume: lambda key: volume.labels.get(key, ""), in_json=False),
        "Labels": Column(heading="LABELS", value=labels),
        "Links": Column(heading="LINKS", value=lambda volume: "N/A"),
        "Mountpoint": Column(heading="MOUNTPOINT", value=lambda volume: mountpoint(volume.name)),
        "Name": Column(heading="VOLUME NAME", value=lambda volume: volume.name),
        "Scope": Column(heading="SCOPE", value=lambda volume: "local"),
        "Size": Column(heading="SIZE", value=lambda volume: "N/A"),
        "Status": Column(heading="STATUS", value=lambda volume: "N/A"),
    }
