"""`minirun ps`: containers as a table, ids, JSON, or by a template."""

from __future__ import annotations

from ...output import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    from ..present import PS_TABLE, container_columns, short_id
    from ..table import show

    parsed = invocation.parsed
    filters: dict[str, list[str]] = {}
    for name, value in parsed.many("filter"):
        filters.setdefault(name, []).append(value)
    truncate = not parsed.flag("no-trunc")
    with invocation.engine() as engine:
        containers = engine.containers(
            all=parsed.flag("all"),
            limit=max(0, parsed.number("last") or 0),
            latest=parsed.flag("latest"),
            filters=filters,
        )
    if parsed.flag("quiet") and not parsed.text("format"):
        write("".join((short_id(container.id) if truncate else container.id) + "\n" for container in containers))
        return 0
    write(show(container_columns(truncate=truncate), containers, parsed.text("format"), PS_TABLE))
    return 0
