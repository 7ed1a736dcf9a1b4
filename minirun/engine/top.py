"""The processes of a container, as the host's ps(1) shows them, or as /proc does where the host has no ps.

Owns: `top`, docker's rules for what ps printed. Leaves to others: which processes belong to the container (runtime/cgroups), /proc
without ps (engine/processes), columns on a screen (cli/). No program of the container takes part.
"""

from __future__ import annotations

import subprocess

from ..errors import Conflict, InvalidInput, MinirunError
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .container import Container
    from .engine import Engine

DEFAULT = ("-ef",)


class Processes(Record):
    """A table: headings, and a row for each process (more with threads), each as long as the headings."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def top(engine: Engine, container: Container, arguments: Sequence[str] = ()) -> Processes:
    """Give the processes of a running container; `arguments` are ps's own, -ef unless given.

    Raises Conflict when it doesn't run, InvalidInput for arguments that hide the process ids, MinirunError for what ps refuses.
    """
    container.refuse_restarting()
    if not container.is_running:
        raise Conflict(f"container {container.id} is not running")
    arguments = tuple(arguments) or DEFAULT
    _check(arguments)
    listing = _ps(arguments)
    engine.rows.note_alone(container, "top")
    pids = engine.hierarchy.processes(container.cgroup)
    if listing is not None:
        return _of(listing, pids)
    if arguments != DEFAULT:
        raise MinirunError(
            "this host has no ps, and without it there are the usual columns only: leave the options out"
        )
    from .processes import of_proc

    titles, rows = of_proc(pids)
    return Processes(titles=titles, rows=rows)


def _check(arguments: Sequence[str]) -> None:
    """Refuse another column under the heading PID: the process ids would be read from it."""
    for word in " ".join(arguments).split():
        name, equals, heading = word.rpartition("=")
        if equals and heading.startswith("PID") and name.rpartition(",")[2] != "pid":
            raise InvalidInput(f'specifying "{name}={heading}" is not allowed')


def _ps(arguments: Sequence[str]) -> str | None:
    """Give what ps prints, None when this host has none."""
    try:
        done = subprocess.run(["ps", *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except (FileNotFoundError, PermissionError):
        return None
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "surrogateescape").strip().splitlines()
        raise MinirunError(f"ps: {lines[0] if lines else f'it ended with {done.returncode}'}")
    return done.stdout.decode("utf-8", "surrogateescape")


def _of(listing: str, pids: Sequence[int]) -> Processes:
    """Give the lines of these processes, and those of their threads, which follow and have "-" for a process id."""
    heading, *lines = listing.splitlines() or [""]
    titles = tuple(heading.split())
    if "PID" not in titles:
        raise InvalidInput("Couldn't find PID field in ps output")
    place, last = titles.index("PID"), len(titles) - 1
    wanted = {str(pid) for pid in pids}
    rows = []
    is_ours = False
    for line in lines:
        words = line.split()
        if len(words) <= place:
            continue
        if words[place] != "-":
            is_ours = words[place] in wanted
        if is_ours:
            rows.append((*words[:last], " ".join(words[last:])))
    return Processes(titles=titles, rows=tuple(rows))
