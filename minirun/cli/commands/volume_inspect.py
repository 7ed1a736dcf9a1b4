"""`minirun volume inspect`: everything about volumes, as JSON or by a template."""

from __future__ import annotations

from .inspect import show_objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    return show_objects(invocation, "volume")
