"""`minirun logout`: forget name and password of a registry."""

from __future__ import annotations

from ...output import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    from ...engine.login import log_out

    server, _ = log_out(invocation.parsed.arguments[0] if invocation.parsed.arguments else "")
    say(f"Removing login credentials for {server}")
    return 0
