"""`minirun manifest rm`: forget lists that were made here; what registries have stays."""

from __future__ import annotations

from ...errors import NotFound
from ...output import warn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    failed = False
    with invocation.engine() as engine:
        for name in parsed.arguments:
            try:
                engine.images.remove_list(name)
            except NotFound as error:
                warn(f"Error: {error}")
                failed = True
    return 1 if failed else 0
