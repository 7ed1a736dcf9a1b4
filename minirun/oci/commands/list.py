"""`minirun-oci list`: containers of this --root, which is not made when it isn't there."""

from __future__ import annotations

from ...errors import NotFound
from ...output import write
from ..present import container_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    states = _states(invocation)
    if invocation.parsed.flag("quiet"):
        write("".join(f"{state['id']}\n" for state in states))
    elif invocation.parsed.text("format") == "json":
        from ...jsontext import dumps

        write(dumps(states or None) + "\n")  # null for none: what runc's callers know
    else:
        write(container_table(states))
    return 0


def _states(invocation: Invocation) -> list[dict[str, Any]]:
    from ...runtime import container

    states = []
    for found in container.listing(invocation.runtime()):
        try:
            states.append(found.state())
        except NotFound:  # deleted meanwhile
            continue
    return states
