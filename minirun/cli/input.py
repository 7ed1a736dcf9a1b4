"""Archives that a command reads: a file by name, or standard input for `-`.

Owns: opening them, and refusing a terminal as an archive. Leaves to others: what is in them (images/archive).
"""

from __future__ import annotations

import io
import os

from ..errors import InvalidInput
from ..light import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


@contextmanager
def archive(source: str, advice: str) -> Iterator[BinaryIO]:
    """Open an archive for reading; raises InvalidInput when that fails, with `advice` when it would be a terminal."""
    if source == "-":
        if os.isatty(0):
            raise InvalidInput(f"standard input is a terminal; {advice}")
        yield io.FileIO(0, "rb", closefd=False)
        return
    try:
        file = io.FileIO(source, "rb")
    except OSError as error:
        raise InvalidInput(f"open {source}: {(error.strerror or '').lower()}") from error
    with file:
        yield file
