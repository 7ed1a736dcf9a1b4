"""One object shown as text, as JSON, or by a template: what `version` and `info` have in common.

Owns: this choice. Leaves to others: the object, its text.
"""

from __future__ import annotations

import json

from ..output import say, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def say_object(item: dict[str, Any], template: str, text: Callable[[dict[str, Any]], str], *, kind: str) -> None:
    """Say `item` as --format asks for it; `kind` is what docker's types call it (cli/template/typed)."""
    if not template:
        write(text(item))
    elif template == "json":
        say(json.dumps(item, ensure_ascii=False, separators=(",", ":")))
    else:
        from .template import compile_for_one
        from .template.typed import typed

        say(compile_for_one(template).render(typed(item, kind)))
