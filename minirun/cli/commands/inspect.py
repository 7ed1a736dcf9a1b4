"""`minirun inspect`: everything about containers, images and volumes, as JSON or by a template."""

from __future__ import annotations

import json

from ...errors import InvalidInput, MinirunError, NotFound
from ...output import warn, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    parsed = invocation.parsed
    noun = invocation.spelling.partition(" ")[0] if " " in invocation.spelling else ""
    return show_objects(invocation, noun or parsed.text("type"))


def show_objects(invocation: Invocation, kind: str) -> int:
    """Show what the arguments name; `kind` is "" for any."""
    parsed = invocation.parsed
    template = parsed.text("format")
    show = _formatter(template) if template not in ("", "json") else str
    found: list[Any] = []
    missing: list[str] = []
    with invocation.engine() as engine:
        for name in parsed.arguments:
            try:
                found.append(engine.inspect(name, kind, size=parsed.flag("size")))
            except (NotFound, InvalidInput) as error:
                if invocation.debug:
                    raise
                missing.append(str(error))
    if parsed.flag("size") and any("RootFS" in item for item in found):
        warn("WARNING: --size ignored for image")
    if template in ("", "json"):
        separators = (",", ":") if template else None
        write(json.dumps(found, indent=None if template else 4, ensure_ascii=False, separators=separators) + "\n")
    elif not _show_each(found, show, missing):
        write("\n")  # as docker says nothing of nothing
    for sentence in missing:
        warn(f"Error: {sentence}")
    return 1 if missing else 0


def _show_each(found: list[Any], show: Callable[[Any], str], missing: list[str]) -> int:
    """Show things by the template, up to the first that it doesn't fit; gives how many were shown."""
    for count, item in enumerate(found):
        try:
            write(show(item) + "\n")
        except MinirunError as error:
            missing.append(str(error))
            return count
    return len(found)


def _formatter(template: str) -> Callable[[Any], str]:
    from ..template import compile_for_one
    from ..template.typed import typed

    filled = compile_for_one(template)
    return lambda item: filled.render(typed(item))
