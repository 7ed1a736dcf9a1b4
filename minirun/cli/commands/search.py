"""`minirun search`: repositories of Docker Hub, or of another registry that has docker's search."""

from __future__ import annotations

from ...errors import InvalidInput
from ...output import write
from ..present import ellipsis
from ..table import Column, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...images.searching import Result
    from ..invocation import Invocation
    from ..table import Columns

TABLE = ("Name", "Description", "StarCount", "IsOfficial")
_DESCRIPTION_WIDTH = 45


def run(invocation: Invocation) -> int:
    from ...engine.bring import search

    parsed = invocation.parsed
    conditions = tuple(parsed.many("filter"))
    _check(conditions)
    limit = int(parsed.text("limit") or "0")
    if limit < 0:
        raise InvalidInput(f"limit {limit} is outside the range of [1, 100]")
    found = [each for each in search(parsed.arguments[0], limit) if _passes(each, conditions)]
    write(show(_columns(truncate=not parsed.flag("no-trunc")), found, parsed.text("format"), TABLE))
    return 0


def _columns(*, truncate: bool) -> Columns:
    def description(result: Result) -> str:
        return ellipsis(result.description, _DESCRIPTION_WIDTH) if truncate else result.description

    return {
        "Name": Column(heading="NAME", value=lambda result: result.name),
        "Description": Column(heading="DESCRIPTION", value=description),
        "StarCount": Column(heading="STARS", value=lambda result: str(result.stars)),
        "IsOfficial": Column(heading="OFFICIAL", value=lambda result: "[OK]" if result.is_official else ""),
        "IsAutomated": Column(heading="AUTOMATED", value=lambda result: "[OK]" if result.is_automated else ""),
    }


def _check(conditions: Iterable[tuple[str, str]]) -> None:
    for name, value in conditions:
        if name not in ("is-official", "is-automated", "stars"):
            raise InvalidInput(f"invalid filter '{name}'")
        known = value.isdecimal() if name == "stars" else value in ("true", "false", "1", "0")
        if not known:
            raise InvalidInput(f"invalid filter '{name}={value}'")


def _passes(result: Result, conditions: Iterable[tuple[str, str]]) -> bool:
    for name, value in conditions:
        if name == "stars":
            if result.stars < int(value):
                return False
        elif (result.is_official if name == "is-official" else result.is_automated) != (value in ("true", "1")):
            return False
    return True
