"""`minirun-oci ps`: processes of a container, as ps(1) of the host shows them; never as a program of the container does."""

from __future__ import annotations

import subprocess

from ...errors import InvalidInput, MinirunError
from ...output import say, write
from ..present import processes_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    pids = list(invocation.container().processes())
    if invocation.parsed.text("format") == "json":
        from ...jsontext import dumps

        say(dumps(pids))
        return 0
    words = ["ps", *(invocation.parsed.arguments[1:] or ("-ef",))]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise MinirunError("ps: this host has no such program; --format json does without") from error
    if done.returncode:
        raise MinirunError(f"ps: {os_text(done.stderr)}")
    try:
        write(processes_of(os_text(done.stdout), pids))
    except ValueError as error:
        raise InvalidInput(f"'{' '.join(words)}' shows no column PID, by which processes are known") from error
    return 0


def os_text(data: bytes) -> str:
    """Give text of a program, whatever its bytes, without the last newline."""
    return data.decode("utf-8", "surrogateescape").rstrip("\n")
