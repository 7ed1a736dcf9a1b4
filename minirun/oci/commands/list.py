"""`minirun-oci list`: containers of this --root, which is not made when it isn't there."""

from __future__ import annotations

import os

from ...errors import NotFound
from ...output import write
from ...runtime.container import listing
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

        write(dumps(states or (None if invocation.program == "runc" else [])) + "\n")  # runc's null for none
    else:
        write(container_table(states))
    return 0


def _states(invocation: Invocation) -> list[dict[str, Any]]:
    """Give the states with their owners, which `state` doesn't look up."""
    states = []
    for found in listing(invocation.runtime()):
        try:
            states.append(found.state() | {"owner": _owner(found.directory.path)})
        except (NotFound, FileNotFoundError):  # deleted meanwhile
            continue
    return states


def _owner(path: str) -> str:
    import pwd

    uid = os.stat(path).st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
