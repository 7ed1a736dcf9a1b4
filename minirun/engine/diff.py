"""`diff`: what a container changed about its image.

Owns: which directories are compared, and what minirun itself put there. Leaves to others: the comparison (storage/diff).
"""

from __future__ import annotations

import os
import sys

from ..errors import MinirunError, NotFound
from ..light import contextmanager
from ..storage.diff import Comparison

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..storage.diff import Change
    from .container import Container
    from .engine import Engine

# What every start makes to mount on, where the image hasn't got it. Docker has these in a layer of their own below the container's.
PLACES = frozenset(
    (
        *("proc", "sys", "dev", "dev/pts", "dev/shm", "dev/mqueue", "dev/console"),
        *("etc", "etc/hosts", "etc/hostname", "etc/resolv.conf"),
    )
)

# Three calls for each directory of a path, and a path of 4,096 bytes names 2,048. Calls of Python in Python need no stack of C's.
RECURSION_LIMIT = 10_000


def diff(engine: Engine, container: Container) -> list[Change]:
    """Give every path that was added, changed or deleted. Raises MinirunError. Blocks."""
    with upper_of(engine, container) as upper:
        return compare(engine, container, upper)[0]


@contextmanager
def upper_of(engine: Engine, container: Container) -> Iterator[int]:
    """Open the directory that holds what a container changed."""
    try:
        upper = os.open(f"{engine.layout.container(container.id)}/upper", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"No such container: {container.name}: it was removed just now") from error
    except OSError as error:
        raise MinirunError(f"open the changes of container {container.name}: {error.strerror}") from error
    try:
        yield upper
    finally:
        os.close(upper)


def compare(engine: Engine, container: Container, upper: int) -> tuple[list[Change], list[str]]:
    """Give the changes, and the paths of the upper that minirun made and nobody changed since."""
    from .view import layers

    with layers(engine, container) as lower:
        comparison = Comparison(upper, lower, PLACES)
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(max(before, RECURSION_LIMIT))
        try:
            return comparison.changes(), comparison.untouched
        except OSError as error:
            what = f" {error.filename}" if error.filename else ""
            raise MinirunError(f"compare container {container.name} with its image{what}: {error.strerror}") from error
        finally:
            sys.setrecursionlimit(before)
