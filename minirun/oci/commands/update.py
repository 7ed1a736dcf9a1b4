"""`minirun-oci update`: change the limits of a container, by a file or by options.

Options become the object that the file would hold, so both are read by the same rules (runtime/config/resources).
"""

from __future__ import annotations

import sys

from ...errors import NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..invocation import Invocation

_NOT_SUPPORTED = ("l3-cache-schema", "mem-bw-schema")
_GONE = ("kernel-memory", "kernel-memory-tcp")


def run(invocation: Invocation) -> int:
    from ...runtime.config import parse_resources

    container = invocation.container()
    container.update(parse_resources(_document(invocation)))
    return 0


def _document(invocation: Invocation) -> bytes:
    """Give `linux.resources` as JSON."""
    parsed = invocation.parsed
    file = parsed.text("resources")
    if file == "-":
        return sys.stdin.buffer.read()
    if file:
        with open(file, "rb") as stream:
            return stream.read()
    for name in _NOT_SUPPORTED:
        if name in parsed.values:
            raise NotSupported(f"--{name}: Intel RDT is not supported")
    for name in _GONE:
        if name in parsed.values:
            invocation.log.warning(f"--{name} is ignored: cgroup v2 counts this memory as any other")
    from ...jsontext import dumps

    document: dict[str, dict[str, Any]] = {}
    for place, value in parsed.fields().items():
        section, _, key = place.partition(".")
        document.setdefault(section, {})[key] = value
    return dumps(document).encode()
