"""`minirun-oci delete`: remove what stopped containers left; with --force, running ones, and none is no error."""

from __future__ import annotations

from ...errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    from ...runtime import container

    force = invocation.parsed.flag("force")
    for name in invocation.ids():
        try:
            container.find(invocation.runtime(), name).delete(force=force)
        except NotFound:
            if not force:
                raise
    return 0
