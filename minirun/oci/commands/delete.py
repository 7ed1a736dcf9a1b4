"""`minirun-oci delete`: remove what stopped containers left; with --force, running ones, and none is no error."""

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
            find(invocation.runtime(), name).delete(force=force)
        except NotFound:
            if not force:
                raise
    return 0
