"""`minirun-oci delete`: remove what stopped containers left; with --force, running ones, and none is no error.

Called as `runc` or `crun` it also removes without --force what waits for its start, as they do and the specification does not.
"""

from __future__ import annotations

from ...errors import NotFound
from ...runtime.container import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    force = invocation.parsed.flag("force")
    for name in invocation.ids():
        try:
            find(invocation.runtime(), name).delete(force=force, waiting=invocation.stands_in)
        except NotFound:
            if not force:
                raise
    return 0
