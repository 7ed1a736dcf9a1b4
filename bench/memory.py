"""What an idle container keeps resident besides its own process: private dirty memory of whatever watches it.

Owns: this row. Leaves to others: setting up programs. Shared pages and files are left out: they don't grow with containers.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from pathlib import Path

from .measure import quietly
from .report import Row
from .setting import Setting

CONTAINERS = 5
WATCHERS = {"minirun": "minirun-monitor", "docker": "containerd-shim", "podman": "conmon"}


def rows(setting: Setting) -> list[Row]:
    """Measure with a few idle containers of each program."""
    values = {}
    names = [f"idle{number}" for number in range(CONTAINERS)]
    for program in setting.programs:
        for container in names:
            quietly(program.run("-d", "--name", container, command=["sleep", "1000"]))
        time.sleep(1)  # let them settle: it is idle memory that is asked for
        pids = _watchers(setting, program.name)
        values[program.name] = statistics.median(_private_dirty_kib(pid) for pid in pids) * len(pids) / CONTAINERS
        if program is setting.minirun:
            setting.notes.append(f"processes per idle container of minirun: {len(pids) / CONTAINERS:g}")
        quietly(program.remove(*names))
    daemons = sum(_private_dirty_kib(pid) for pid in setting.peers.daemon_pids)
    if daemons:
        setting.notes.append(f"dockerd and containerd, private dirty whatever runs: {daemons / 1024:.0f} MiB")
    return [Row("resident per idle container", "KiB", values).at_most(200, "200 KiB")]


def _watchers(setting: Setting, program: str) -> list[int]:
    """Give the processes of that name that this run of the benchmark started: they have its directory in a word or a file."""
    name, mark = WATCHERS[program].encode(), os.fsencode(setting.directory)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_bytes()
            if line.split(b"\0")[0].rpartition(b"/")[2].startswith(name):
                files = [os.fsencode(os.readlink(link)) for link in (process / "fd").iterdir()]
                if any(mark in text for text in (line, *files)):
                    found.append(int(process.name))
    return found


def _private_dirty_kib(pid: int) -> int:
    """Read what proc_pid_smaps(5) sums up over all mappings."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1])
    return 0
