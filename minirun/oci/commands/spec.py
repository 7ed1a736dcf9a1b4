"""`minirun-oci spec`: write a config.json to begin with; never over one that is there."""

from __future__ import annotations

import os

from ...errors import Conflict
from ...files import write_new
from ..default_spec import default_spec
from ..present import pretty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    name = invocation.parsed.text("file", "config.json")
    document = default_spec(invocation.program, rootless=invocation.parsed.flag("rootless"))
    try:
        path = os.path.join(invocation.parsed.text("bundle", "."), name)
        write_new(path, pretty(document, "\t").encode() + b"\n", 0o666 & ~_umask())
    except FileExistsError as error:
        raise Conflict(f"File {name} exists. Remove it first") from error
    return 0


def _umask() -> int:
    """Give this process's, which can only be read by setting it. umask(2)."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
