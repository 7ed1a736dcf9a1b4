"""A real systemd, as process 1 of namespaces of its own, with the units that a test gives it and nothing else to do.

Owns: booting it, running programs beside it, its end. Leaves to others: the units, and when it is ready for what they want.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from minirun.runtime.cgroups import Hierarchy, members
from minirun.runtime.cgroups.hierarchy import make
from tests.waiting import until

SYSTEMD = "/usr/lib/systemd/systemd"
NAMESPACES = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup")
TARGET = "test.target"
# It reads the given units and nothing of this host's; what it writes at its start lands on file systems of its own.
BOOT = """
set -e
umount -R -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t proc proc /proc
cp -a "$1" /dev/shm/units.$$
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/units /run/none
cp -a /dev/shm/units.$$/. /run/units
rm -r /dev/shm/units.$$
cp -a /etc/passwd /etc/group /run/none
mount -t tmpfs tmpfs /etc
cp -a /run/none/. /etc
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
mount -t tmpfs tmpfs /var/log
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/run/units SYSTEMD_GENERATOR_PATH=/run/none \
    SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/run/none SYSTEMD_PROC_CMDLINE=systemd.unit=test.target SYSTEMD_LOG_TARGET=console \
    /usr/lib/systemd/systemd --system --unit=test.target
"""


class Systemd:
    """One that runs."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid = pid
        self.root = Path(f"/proc/{pid}/root")  # what it sees
        self._log = log

    def run(self, *words: str, namespaces: tuple[str, ...] = ("--all",)) -> str:
        """Run a program in its namespaces and give what it printed; a code other than 0 fails the test."""
        command = ["nsenter", "--target", str(self.pid), *namespaces, *words]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr + self._log.read_text()
        return done.stdout


@contextlib.contextmanager
def booted(directory: Path, units: Mapping[str, str]) -> Iterator[Systemd]:
    """Boot it with these units, of which `test.target` is what it starts."""
    assert os.path.exists(SYSTEMD), "apt-get install systemd dbus-daemon: make test does"
    folder, log = directory / "units", directory / "log"
    folder.mkdir()
    for name, text in units.items():
        (folder / name).write_text(text)
    devices = set(os.listdir("/dev"))
    cgroup = make(f"{Hierarchy.detect().mountpoint}/minirun-systemd-{os.getpid()}")
    own = Path(Hierarchy.detect().mountpoint, "cgroup.procs")
    new = ["unshare", *NAMESPACES, "--fork", "--kill-child", "--propagation", "private"]
    enter = ["sh", "-c", f'echo $$ >{cgroup}/cgroup.procs; exec "$@"', "sh"]
    words = [*enter, *new, "sh", "-c", BOOT, "sh", str(folder)]
    with (
        log.open("w") as output,
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as outer,
    ):
        try:
            pid = until(
                f"systemd is process 1; {log.read_text()}",
                lambda: [pid for pid in members.processes(cgroup) if _executable(pid) == SYSTEMD],
            )[0]
            # The root of systemd's tree may hold no process, it enables controllers there.
            own.write_text(str(outer.pid))
            until(log.read_text(), lambda: Path(f"/proc/{pid}/root/run/systemd/private").exists())
            yield Systemd(pid, log)
        finally:
            outer.kill()
            outer.wait()
            members.remove(cgroup)
            for path in Path("/dev").iterdir():  # it sees the host's, and puts there what it misses: /dev/core
                if path.is_symlink() and path.name not in devices:
                    path.unlink()


def _executable(pid: int) -> str:
    """Give the program of a process, "" when it has gone."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""
