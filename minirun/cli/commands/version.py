"""`minirun version`: what is installed, without a need for root."""

from __future__ import annotations

from ..about import client, server
from ..describe import say_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    facts = {"Client": client(), "Server": server()}
    say_object(facts, invocation.parsed.text("format"), lambda shown: _text(shown["Client"]), kind="version")
    return 0


def _text(facts: dict[str, Any]) -> str:
    return (
        "minirun:\n"
        f" Version:           {facts['Version']}\n"
        f" API version:       {facts['ApiVersion']}\n"
        f" Python version:    {facts['PythonVersion']}\n"
        f" OS/Arch:           {facts['Os']}/{facts['Arch']}\n"
        f" Kernel version:    {facts['KernelVersion']}\n"
    )
