"""`minirun-oci delete`: remove what stopped containers left; with --force, running ones, and none is no error.

One that can't be deleted doesn't keep the others.
Called as `runc` or `crun` it also removes without --force what waits for its start, as they do and the specification does not.
"""

from __future__ import annotations

from ...errors import Corrupt, MinirunError, NotFound
from ...runtime.container import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    force = invocation.parsed.flag("force")
    failures: list[MinirunError] = []
    for name in invocation.ids():
        try:
            _delete(invocation, name, force=force)
        except MinirunError as error:
            if not (force and isinstance(error, NotFound)):
                failures.append(error)
    if len(failures) > 1:
        raise ExceptionGroup("delete", failures)
    if failures:
        raise failures[0]
    return 0


def _delete(invocation: Invocation, name: str, *, force: bool) -> None:
    runtime = invocation.runtime()
    try:
        container = find(runtime, name)
    except Corrupt:
        if not force:
            raise
        from ...runtime.container import remove_damaged

        remove_damaged(runtime, name)
    else:
        container.delete(force=force, waiting=invocation.stands_in)
