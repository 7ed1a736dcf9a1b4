"""`minirun system warm`: the preloaded process that serves commands: start it, stop it, say whether there is one."""

from __future__ import annotations

import os
import sys

from ...errors import MinirunError, UsageError
from ...output import say, warn
from ...units import human_size
from ...warm import control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    action = invocation.parsed.arguments[0]
    if action not in ("start", "stop", "status"):
        raise UsageError(f"'minirun system warm' takes start, stop or status, not {action!r}")
    if os.geteuid() != 0:
        raise MinirunError(f"the preloaded process is root's; try: sudo minirun system warm {action}")
    path = control.socket_path()
    if action == "stop":
        say("stopped" if control.stop(path) else "not running")
        return 0
    state = control.start(path) if action == "start" else control.find(path)
    if state is None:
        say("not running")
        return 1
    say(f"running: process {state.pid}, {human_size(state.memory_bytes, 3)} resident, listens at {path}")
    if state.home != control.home_of(sys.executable):
        warn(
            f"it serves the installation in {state.home}, and commands of this one run cold: "
            f"{control.VARIABLE}=/PATH in their environment gives them a process of their own"
        )
    return 0
