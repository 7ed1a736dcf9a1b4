"""`minirun completion`: a shell's completion script, and, for these scripts, what fits next.

minirun completion bash|zsh|fish
minirun completion words -- WORD...       the words after the program's name, the last of which is to be completed
"""

from __future__ import annotations

import os

from ...errors import InvalidInput, MinirunError
from ...output import write
from ..shells import SCRIPTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ...engine.engine import Engine
    from ..invocation import Invocation

_STATES = {
    "containers": None,
    "running": ("running", "paused"),
    "stopped": ("created", "exited"),
    "paused": ("paused",),
}


def run(invocation: Invocation) -> int:
    shell, *words = invocation.parsed.arguments
    if shell == "words":
        write(_answer(invocation, words[1:] if words[:1] == ["--"] else words))
        return 0
    if shell not in SCRIPTS or words:
        raise InvalidInput(f"no completion for {' '.join((shell, *words))!r}: there are {', '.join(SCRIPTS)}")
    write(SCRIPTS[shell])
    return 0


def _answer(invocation: Invocation, words: Sequence[str]) -> str:
    from ..complete import complete

    found = complete(words or [""], _Names(invocation.replace(**_roots(words))))
    lines = [f"{word}\t{what}" if what else word for word, what in found.candidates]
    lines.append(":" + " files" * found.files + " goes-on" * found.goes_on)
    return "".join(line + "\n" for line in lines)


def _roots(words: Sequence[str]) -> dict[str, str]:
    """Give the data root that the line being typed names, if it does."""
    from ...errors import UsageError
    from ..options import GLOBAL
    from ..parse import parse

    try:
        options = parse(GLOBAL, words[:-1], options_stop=True)
    except UsageError:  # it isn't finished
        return {}
    given = {"root": options.text("root"), "run_root": options.text("run-root")}
    return {name: path for name, path in given.items() if path}


class _Names:
    """What there is on this host by name. A key press must not fail: what can't be looked up isn't offered."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation

    def __call__(self, kind: str, current: str) -> list[tuple[str, str]]:
        if kind == "signals":
            from ...signals import names

            return [(name, "") for name in names()]
        if kind == "environment":
            return [(name, "") for name in os.environ]
        if kind == "capabilities":
            from ...linux.flags import CAPABILITIES

            return [("ALL", ""), *((name.upper(), "") for name in CAPABILITIES)]
        from ...engine.layout import DATA_ROOT

        if os.geteuid() != 0 or not os.path.isdir(self._invocation.root or DATA_ROOT):
            return []  # no rights to look, nothing there: and nothing is made for a key press
        try:
            with self._invocation.engine() as engine:
                return list(_look(engine, kind, current))
        except (MinirunError, OSError):
            return []


def _look(engine: Engine, kind: str, current: str) -> Iterable[tuple[str, str]]:
    if kind == "volumes":
        return [(volume.name, "") for volume in engine.volumes() if not volume.is_anonymous]
    if kind == "images":
        return _with_ids(
            [
                (tag if ":" in current else tag.removesuffix(":latest"), "")
                for image in engine.images.list()
                for tag in image.tags
            ],
            [(image.id.removeprefix("sha256:")[:12], "") for image in engine.images.list()],
            current,
        )
    wanted = _STATES[kind]
    chosen = [each for each in engine.containers(all=True) if wanted is None or each.status in wanted]
    return _with_ids(
        [(each.name, f"{each.image_name}, {each.status}") for each in chosen],
        [(each.id[:12], f"{each.name}, {each.status}") for each in chosen],
        current,
    )


def _with_ids(named: list[tuple[str, str]], ids: list[tuple[str, str]], current: str) -> Iterator[tuple[str, str]]:
    """Give names, and ids once something was typed that no name begins with."""
    yield from named
    if current and not any(name.startswith(current) for name, _ in named):
        yield from ids
