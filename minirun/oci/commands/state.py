"""`minirun-oci state`: print a container's state, the specification's fields and runc's."""

from __future__ import annotations

from ...output import say
from ..present import pretty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    say(pretty(invocation.container().state()))
    return 0
