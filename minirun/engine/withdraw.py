"""What `make uninstall` does before it removes the program: take from the host what the next reboot would take anyway.

    python -I -m minirun.engine.withdraw [ROOT RUN_ROOT OCI_ROOT]

Owns: this command line and `withdraw`. Leaves to others: images and stopped containers in the data root, which stay.
"""

from __future__ import annotations

import os
import sys

from ..errors import Conflict, MinirunError
from ..runtime.container import ROOT as OCI_ROOT
from ..runtime.state import ids, remove_shared
from .engine import Engine
from .layout import DATA_ROOT, RUN_ROOT


def withdraw(root: str, run_root: str, oci_root: str) -> None:
    """Remove bridge, rule set, cgroups and run root; raises Conflict, with nothing removed, while a container runs.

    So does one that an engine of others has made with minirun-oci, stopped or not: removing it takes the program, too.
    Another installation on the same data root makes them again when it starts a container.
    """
    import shutil

    theirs = ids(oci_root)
    if theirs:
        raise Conflict(
            "containers of minirun-oci are there, and nothing could end them afterwards: remove them with what made them "
            f"(podman rm -f, for one), or: minirun-oci delete --force {' '.join(theirs)}"
        )
    if os.path.isdir(root):
        with Engine(root, run_root) as engine:
            running = [container.name for container in engine.containers()]
            if running:
                raise Conflict(
                    f"containers run, and nothing could stop them afterwards: minirun stop {' '.join(running)}"
                )
            engine.hierarchy.destroy()
            engine.networks.destroy()
    if os.path.isdir(run_root):  # without a data root, too: who uses minirun-oci alone has a preloaded process
        shutil.rmtree(run_root)
    remove_shared(oci_root)


def main(arguments: list[str]) -> int:
    root, run_root, oci_root = arguments or (DATA_ROOT, RUN_ROOT, OCI_ROOT)
    try:
        withdraw(root, run_root, oci_root)
    except (MinirunError, OSError) as error:
        print(f"minirun: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
