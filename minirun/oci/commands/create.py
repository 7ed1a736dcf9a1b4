"""`minirun-oci create`: make a container of a bundle; its program waits for `start`."""

from __future__ import annotations

from ...runtime.create import CreateOptions, create

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    create(invocation.runtime(), invocation.id, invocation.bundle(), CreateOptions(**invocation.parsed.fields()))
    return 0
