"""`minirun-oci create`: make a container of a bundle; its program waits for `start`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    from ...runtime import container

    options = container.CreateOptions(**invocation.parsed.fields())
    container.create(invocation.runtime(), invocation.id, invocation.bundle(), options)
    return 0
