"""The OCI runtime: `run` of a bundle, and each verb of a container's life, beside runc and crun.

Owns: these rows and their targets. Leaves to others: timing (measure), the peers' bundles (peers).
Each runtime gets a bundle of its own, made the same way, and a container id of its own: the cgroup is named after it.
Floor is what the interpreter needs to do nothing.
"""

from __future__ import annotations

import contextlib
import statistics
from pathlib import Path

from .measure import Subject
from .peers import make_bundle
from .report import Row
from .setting import Setting

VERBS = ("create", "state", "start", "kill", "delete")


def rows(setting: Setting) -> list[Row]:
    """Measure `run`, then the verbs one after the other in each round; no container outlives it, whatever fails."""
    programs = _programs(setting)
    with contextlib.ExitStack() as undo:
        for program in programs:
            undo.callback(_act, program, "delete")
        seconds = _rounds(setting, programs)
    return [_row(verb, values) for verb, values in seconds.items()]


def _rounds(setting: Setting, programs: list[_Runtime]) -> dict[str, dict[str, list[float]]]:
    """Give the times of each program, by verb."""
    floor = Subject("floor", [setting.python, "-I", "-c", "pass"])
    seconds: dict[str, dict[str, list[float]]] = {verb: {} for verb in ("run", *VERBS)}
    for number in range(setting.rounds + 1):
        turned = [*programs[number % len(programs) :], *programs[: number % len(programs)]]
        for verb in seconds:
            measured = [(floor.name, floor.run())]
            measured += [(program.name, _act(program, verb)) for program in turned]
            for name, value in measured if number > 0 else ():  # the first round warms caches
                seconds[verb].setdefault(name, []).append(value)
    return seconds


def _row(verb: str, seconds: dict[str, list[float]]) -> Row:
    medians = {name: statistics.median(values) * 1000 for name, values in seconds.items()}
    return Row(f"minirun-oci {verb}", "ms", medians).above_floor(25 if verb == "run" else 20)


class _Runtime:
    """A runtime with a bundle that ends by itself and one that waits to be killed."""

    def __init__(
        self, name: str, container: str, words: list[str], bundles: tuple[Path, Path], like: Subject | None
    ) -> None:
        self.name = name
        self.container = container
        self.words = words
        self.short, self.long = bundles
        self.launcher = like.launcher if like else None


def _programs(setting: Setting) -> list[_Runtime]:
    place = setting.directory / "oci"
    ours = str(Path(setting.python).parent / "minirun-oci")
    wanted: list[tuple[str, list[str], Subject | None]] = [
        ("minirun", [ours, "--root", str(place / "minirun" / "state")], None)
    ]
    wanted += [
        (peer.name, [peer.name, "--root", str(place / peer.name / "state")], peer) for peer in setting.peers.runtimes
    ]
    found = []
    for name, words, like in wanted:
        bundles = [make_bundle(place / name / kind, setting.archive, command) for kind, command in _COMMANDS.items()]
        found.append(_Runtime(name, f"{setting.directory.name}-{name}", words, (bundles[0], bundles[1]), like))
    return found


_COMMANDS = {"short": ["true"], "long": ["sleep", "1000"]}


def _act(runtime: _Runtime, verb: str) -> float:
    """Do one verb to the runtime's container and give its time."""
    container = runtime.container
    arguments = {
        "run": ["run", "--bundle", str(runtime.short), container],
        "create": ["create", "--bundle", str(runtime.long), container],
        "kill": ["kill", container, "KILL"],
        "delete": ["delete", "--force", container],
    }.get(verb, [verb, container])
    return Subject(runtime.name, [*runtime.words, *arguments], launcher=runtime.launcher).run()
