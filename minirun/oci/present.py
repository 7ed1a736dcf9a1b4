"""How answers look: JSON with indentation, tables.

Owns: their form. Leaves to others: what is in them (runtime), columns of text (output).
"""

from __future__ import annotations

from ..jsontext import dumps
from ..output import align

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

_COLUMNS = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")
_MINIMUM = 12  # runc's tables are a bit wider than docker's


def pretty(value: Any, step: str = "  ", indent: str = "") -> str:
    """Give JSON with one member on each line, as Go's json.MarshalIndent lays it out."""
    inner = indent + step
    if isinstance(value, dict) and value:
        members = (f"{inner}{dumps(key)}: {pretty(item, step, inner)}" for key, item in value.items())
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    if isinstance(value, (list, tuple)) and value:
        items = (inner + pretty(item, step, inner) for item in value)
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    return dumps(value)


def container_table(states: Iterable[dict[str, Any]]) -> str:
    """Give the table of `list`."""
    return align([_COLUMNS, *([str(state[name.lower()]) for name in _COLUMNS] for state in states)], _MINIMUM)


def processes_of(listing: str, pids: Sequence[int]) -> str:
    """Give the heading of what ps(1) printed and the lines of these processes. Raises ValueError without a column PID."""
    heading, *lines = listing.splitlines()
    place = heading.split().index("PID")
    wanted = {str(pid) for pid in pids}
    kept = [line for line in lines if len(words := line.split(None, place + 1)) > place and words[place] in wanted]
    return "\n".join([heading, *kept]) + "\n"
