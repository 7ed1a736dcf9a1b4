"""How fast a container's output gets through the watcher to /dev/null, with the log written and rotated on the way.

Owns: this row. Leaves to others: timing, peers.
"""

from __future__ import annotations

from pathlib import Path

from .measure import Subject, compare
from .report import Row
from .setting import Setting

MEGABYTES = 1000
ROUNDS = 3


def rows(setting: Setting) -> list[Row]:
    """Measure with text in lines of 100 bytes, the way logs look."""
    directory = setting.directory / "text"
    directory.mkdir()
    _write_text(directory / "file")
    subjects = []
    for program in setting.programs:
        options = ["--rm", "--network", "none", "-v", f"{directory}:/text:ro", "--log-opt", "max-size=16m"]
        if program.name == "podman":
            options += ["--log-driver", "k8s-file"]  # it can't rotate into several files
        else:
            options += ["--log-opt", "max-file=3"]
        subjects.append(Subject(program.name, program.run(*options, command=["cat", "/text/file"])))
    compare(subjects, ROUNDS)
    (directory / "file").unlink()
    speeds = {subject.name: MEGABYTES / (subject.median_ms / 1000) for subject in subjects}
    return [Row("output through the watcher, log rotation on", "MB/s", speeds).at_least(500, "500 MB/s")]


def _write_text(path: Path) -> None:
    line = (
        b'2026-01-01T00:00:00Z info a line of a log, as long as they are on average, with "quotes" in it ' + b"x" * 99
    )[:99]
    block = (line + b"\n") * 10_000
    with path.open("wb") as file:
        for _ in range(MEGABYTES):
            file.write(block)
