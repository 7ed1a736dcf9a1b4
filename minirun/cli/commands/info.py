"""`minirun info`: what this host offers and what is missing."""

from __future__ import annotations

from ..describe import say_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    with invocation.engine() as engine:
        facts = engine.info()
    say_object(facts, invocation.parsed.text("format"), lambda shown: "".join(line + "\n" for line in lines(shown)))
    return 0


def lines(facts: dict[str, Any], indent: str = "") -> list[str]:
    """Give a nested object as indented lines: `Name: value`."""
    shown: list[str] = []
    for name, value in facts.items():
        if isinstance(value, dict):
            shown += [f"{indent}{name}:", *lines(value, indent + " ")]
        elif isinstance(value, (list, tuple)):
            shown.append(f"{indent}{name}: {' '.join(map(str, value))}".rstrip())
        elif isinstance(value, bool):
            shown.append(f"{indent}{name}: {str(value).lower()}")
        else:
            shown.append(f"{indent}{name}: {value}".rstrip())
    return shown
