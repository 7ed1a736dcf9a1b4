"""What a command of `minirun-oci` is given: its words, parsed, the log, and the way to the runtime.

Owns: `Invocation`, and what ids mean where several are allowed. Leaves to others: containers (runtime/container).
"""

from __future__ import annotations

from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..command_line import Parsed
    from ..runtime.bundle import Bundle
    from ..runtime.container import Container, Runtime
    from .log import Log


STAND_INS = ("runc", "crun")


class Invocation(Record):
    """One call of the command line. `program` is the name that it answers to; `settings` are fields of Runtime."""

    program: str
    parsed: Parsed
    settings: dict[str, Any]
    log: Log

    @property
    def stands_in(self) -> bool:
        """Say whether it was called by the name of a tool for which it stands in."""
        return self.program in STAND_INS

    @property
    def id(self) -> str:
        return self.parsed.arguments[0]

    def runtime(self) -> Runtime:
        """Give the runtime that the global options describe."""
        from ..runtime.container import Runtime

        return Runtime(**self.settings, warn=self.log.warning)

    def container(self) -> Container:
        """Give the container that is asked for; raises NotFound."""
        from ..runtime.container import find

        return find(self.runtime(), self.id)

    def bundle(self) -> Bundle:
        """Read the bundle that `create` and `run` are given."""
        from ..runtime.bundle import load

        return load(self.parsed.text("bundle", "."), self.parsed.text("config"), self.log.warning)

    def ids(self) -> tuple[str, ...]:
        """Give the ids that are asked for: as they are, or all that the regular expressions match."""
        if not self.parsed.flag("regex"):
            return self.parsed.arguments
        import re

        from ..errors import InvalidInput
        from ..runtime.container import listing

        try:
            patterns = [re.compile(text) for text in self.parsed.arguments]
        except re.error as error:
            raise InvalidInput(f"invalid regular expression: {error}") from error
        known = [str(found.state()["id"]) for found in listing(self.runtime())]
        return tuple(name for name in known if any(pattern.search(name) for pattern in patterns))
