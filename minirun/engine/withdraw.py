"""What `make uninstall` does before it removes the program: take from the host what the next reboot would take anyway.

    python -I -m minirun.engine.withdraw [ROOT RUN_ROOT]

Owns: this command line and `withdraw`. Leaves to others: images and stopped containers in the data root, which stay.
"""

from __future__ import annotations

import os
import sys

from ..errors import Conflict, MinirunError
from .engine import Engine
from .layout import DATA_ROOT, RUN_ROOT


def withdraw(root: str, run_root: str) -> None:
    """Remove bridge, rule set, cgroups and run root; raises Conflict, with nothing removed, while a container runs.

    Another installation on the same data root makes them again when it starts a container.
    """
    import shutil

    if not os.path.isdir(root):
        return
    with Engine(root, run_root) as engine:
        running = [container.name for container in engine.containers()]
        if running:
            raise Conflict(f"these containers run, and nothing could stop them afterwards: {' '.join(running)}")
        engine.hierarchy.destroy()
        engine.networks.destroy()
    shutil.rmtree(run_root)


def main(arguments: list[str]) -> int:
    root, run_root = arguments or (DATA_ROOT, RUN_ROOT)
    try:
        withdraw(root, run_root)
    except (MinirunError, OSError) as error:
        print(f"minirun: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
