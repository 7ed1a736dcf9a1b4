"""What a command is given: its words, parsed, and the way to the engine.

Owns: `Invocation`, the demand for root, and the way in which commands that take many names go on after an error.
"""

from __future__ import annotations

import os

from ..errors import MinirunError
from ..output import warn
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..command_line import Command, Parsed
    from ..engine.engine import Engine


class Invocation(Record):
    """One call of the command line."""

    command: Command
    spelling: str  # as the user wrote it: `container ls`
    parsed: Parsed
    root: str | None = None
    run_root: str | None = None
    debug: bool = False

    def engine(self) -> Engine:
        """Open the engine; raises MinirunError for a user who isn't root."""
        if os.geteuid() != 0:
            raise MinirunError(
                f"minirun needs root for its namespaces, mounts and cgroups; try: sudo minirun {self.spelling} ..."
            )
        from ..engine.engine import Engine

        return Engine(self.root, self.run_root, until_exit=True)

    def each(self, names: Iterable[str], act: Callable[[str], object]) -> int:
        """Do something for each name; an error is said and the next name has its turn. Gives 1 when there was one,
        else 0."""
        failed = 0
        for name in names:
            try:
                act(name)
            except MinirunError as error:
                if self.debug:
                    raise
                warn(f"Error: {error}")
                failed = 1
        return failed
