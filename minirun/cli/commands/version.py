"""`minirun version`: what is installed, without a need for root."""

from __future__ import annotations

import os
import platform

from ... import __version__
from ..describe import say_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    host = os.uname()
    facts = {
        "Version": __version__,
        "PythonVersion": platform.python_version(),
        "Os": "linux",
        "Arch": ARCHITECTURES.get(host.machine, host.machine),
        "KernelVersion": host.release,
    }
    # Docker has a client and a server; here both are the same thing, and templates written for either find their field.
    say_object({"Client": facts, "Server": facts}, invocation.parsed.text("format"), lambda _: _text(facts))
    return 0


ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}  # uname(2) to Go's names


def _text(facts: dict[str, str]) -> str:
    return (
        "minirun:\n"
        f" Version:           {facts['Version']}\n"
        f" Python version:    {facts['PythonVersion']}\n"
        f" OS/Arch:           {facts['Os']}/{facts['Arch']}\n"
        f" Kernel version:    {facts['KernelVersion']}\n"
    )
