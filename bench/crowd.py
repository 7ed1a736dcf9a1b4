"""What a question costs with many containers alive: `ps`, `stats --no-stream`, `inspect`.

Owns: these rows; the target is that the cost of one more container doesn't grow with the crowd.
Leaves to others: `ps -a` with containers at rest (commands), timing (measure).
"""

from __future__ import annotations

from minirun import ContainerConfig, Engine

from .measure import Subject, compare
from .report import Row
from .setting import Setting

SIZES = (1, 100, 300)
GROWTH = 1.5  # how much more the last 200 may cost than the 99 before, each
NOISE_MS = 0.05  # each: medians of a cold command differ by 5 ms from run to run, which the first 99 share


def rows(setting: Setting) -> list[Row]:
    """Let the crowd grow, and ask at each size."""
    questions = {
        "ps": ["ps"],
        "inspect of one": ["inspect", "crowd0"],
        "inspect of all": ["inspect"],
        "stats --no-stream": ["stats", "--no-stream"],
    }
    asked: dict[str, list[dict[str, float]]] = {question: [] for question in questions}
    alive: list[str] = []
    with Engine(str(setting.root), str(setting.run_root)) as engine:
        try:
            for size in SIZES:
                while len(alive) < size:
                    name = f"crowd{len(alive)}"
                    config = ContainerConfig(image="busybox", command=("sleep", "3600"), network="none", name=name)
                    alive.append(name)
                    engine.create(config)
                    engine.start(name).detach()
                for question, words in questions.items():
                    names = alive if question == "inspect of all" else []
                    asked[question].append(_measured(setting, [*words, *names]))
        finally:
            for name in alive:
                engine.remove(name, force=True)
    return [row for question, values in asked.items() for row in _rows_of(question, values)]


def _measured(setting: Setting, words: list[str]) -> dict[str, float]:
    floor = Subject("floor", [setting.python, "-I", "-c", "pass"])
    ours = Subject("minirun", [*setting.minirun.words, *words])
    compare([floor, ours], setting.rounds)
    return {subject.name: subject.median_ms for subject in (floor, ours)}


def _rows_of(question: str, values: list[dict[str, float]]) -> list[Row]:
    few, some, many = (value["minirun"] for value in values)
    first = max((some - few) / (SIZES[1] - SIZES[0]), NOISE_MS)
    then = (many - some) / (SIZES[2] - SIZES[1])
    found = [Row(f"{question}, {size} running", "ms", value) for size, value in zip(SIZES, values, strict=True)]
    last = found[-1]
    last.targets.append((f"{then * 1000:.0f} us for each more, after {first * 1000:.0f}", then <= GROWTH * first))
    return [found[0], last]
