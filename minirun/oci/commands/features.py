"""`minirun-oci features`: what this runtime supports, on whatever host."""

from __future__ import annotations

from ...output import say
from ...runtime.features import features
from ..present import pretty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    say(pretty(features(), "    "))
    return 0
