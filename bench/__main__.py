"""`python -m bench [GROUP...] [--rounds N] [--save FILE]`: run the groups, print one table.

Owns: the command line and the run's own namespaces: whatever any program mounts, plugs in or starts ends with this process.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from minirun.engine.layout import Layout
from minirun.runtime.cgroups.hierarchy import Hierarchy

from . import commands, crowd, images, library, memory, oci, output, warm
from .measure import BenchError, rest
from .peers import peers
from .report import Row, render, save
from .setting import Setting

CHECKOUT = Path(__file__).resolve().parent.parent
GROUPS: dict[str, Callable[[Setting], list[Row]]] = {
    "commands": commands.rows,
    "crowd": crowd.rows,
    "images": images.rows,
    "library": library.rows,
    "memory": memory.rows,
    "output": output.rows,
    "oci": oci.rows,
    "warm": warm.rows,
}
BUSY = 0.5  # load per CPU from which figures mean little
INSIDE = "MINIRUN_BENCH_INSIDE"


def main() -> int:
    """Run what the command line asks for; 1 when a target was missed or a group failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="minirun beside its peers, in one run.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of: {' '.join(GROUPS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=15, help="rounds per comparison (default 15)")
    parser.add_argument("--save", type=Path, help="write the rows as JSON")
    options = parser.parse_args()
    unknown = set(options.groups) - set(GROUPS)
    if unknown:
        parser.error(f"there is no group {' '.join(sorted(unknown))}; there are: {' '.join(GROUPS)}")
    os.environ["MINIRUN_WARM"] = "0"  # but for the group that is about it
    if INSIDE not in os.environ:
        _enter_namespaces()

    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    if busy > BUSY:
        print(
            f"bench: this machine is busy (load {busy:.1f} per CPU): believe the ratios, not the figures",
            file=sys.stderr,
        )

    directory = Path(tempfile.mkdtemp(prefix="minirun-bench-", dir="/var/tmp"))
    try:
        return _measure(directory, options.groups or list(GROUPS), options.rounds, options.save)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _enter_namespaces() -> None:
    """Start this program again in mount, network and pid namespaces of its own, with loopback up.

    The shell stays, as the first process: it waits for the orphans, and with it the kernel kills all the others.
    """
    script = 'ip link set lo up; "$@"; exit $?'
    words = ["unshare", "--mount", "--net", "--pid", "--mount-proc", "--propagation", "private"]
    words += ["--fork", "--kill-child", "sh", "-c", script, "sh"]
    os.environ[INSIDE] = "1"
    os.execvp(words[0], [*words, sys.executable, "-m", "bench", *sys.argv[1:]])


def _measure(directory: Path, groups: list[str], rounds: int, target: Path | None) -> int:
    fixture = CHECKOUT / "rootfs-fixtures" / "fixture.py"
    archive = Path(subprocess.check_output([fixture, "archive", "busybox"], text=True).strip())
    rows: list[Row] = []
    failed = False
    with _run_directories(directory), peers(directory, archive) as found, contextlib.ExitStack() as stack:
        setting = Setting(directory, found, archive, rounds)
        words = " ".join(setting.minirun.words)
        subprocess.run([fixture, "import", "busybox", "--minirun", words], check=True, stdout=subprocess.DEVNULL)
        stack.callback(_remove_all, setting)
        for group in groups:
            rest()
            print(f"measuring: {group} ...", file=sys.stderr, flush=True)
            try:
                rows += GROUPS[group](setting)
            except (BenchError, subprocess.CalledProcessError) as error:
                print(f"bench: {group}: {error}", file=sys.stderr)
                failed = True
    print(render(rows))
    for name, why in found.missing.items():
        print(f"without {name}: {why}")
    for note in setting.notes:
        print(note)
    if target is not None:
        save(rows, target)
    return 1 if failed or any(not met for row in rows for _, met in row.targets) else 0


@contextlib.contextmanager
def _run_directories(directory: Path) -> Iterator[None]:
    """Give each program its run-time directory in memory, as /run is on every real host; images stay on the disk."""
    runtimes = ("runc", "crun", "oci/minirun", "oci/runc", "oci/crun", "warm/oci")
    parts = ("minirun/run", "docker/exec", "podman/run", *(f"{runtime}/state" for runtime in runtimes))
    places = [directory / part for part in parts]
    with contextlib.ExitStack() as undo:
        for place in places:
            place.mkdir(parents=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", place], check=True)
            undo.callback(_unmount, place)
        yield


def _unmount(place: Path) -> None:
    subprocess.run(["umount", "--lazy", place], check=False)


def _remove_all(setting: Setting) -> None:
    """Remove the containers that a group left when it failed; docker's end with its daemon."""
    for program in setting.programs:
        listed = subprocess.run([*program.words, "ps", "-aq"], capture_output=True, text=True, check=False)
        if listed.stdout.split():
            subprocess.run(program.remove(*listed.stdout.split()), stdout=subprocess.DEVNULL, check=False)
    for root in (setting.root, setting.memory_root):
        Hierarchy.detect(f"minirun-{Layout(root=str(root)).tag()}").destroy()


if __name__ == "__main__":
    sys.exit(main())
