"""`minirun-oci` as an engine calls it: a root and a bundle of the test's own, and after each test nothing left of either.

Owns: the command, bundles, the count of what a container leaves (process, mount, cgroup, file). Leaves to others: what is asserted.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests import hosts
from tests.waiting import until

PROGRAM = str(Path(sys.executable).parent / "minirun-oci")
_NAMESPACES = ("pid", "ipc", "uts", "mount")
_PROC = {"destination": "/proc", "type": "proc", "source": "proc"}
_DEV = {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]}
_PTS = {
    "destination": "/dev/pts",
    "type": "devpts",
    "source": "devpts",
    "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
}
_CAPABILITIES = ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID", "CAP_SETGID", "CAP_DAC_OVERRIDE", "CAP_FOWNER"]


def merged(base: Any, changes: Any) -> Any:
    """Give `base` with `changes`: objects are merged, all else is replaced; None takes a member away."""
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    result = {**base}
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(base.get(key), value)
    return result


class Oci:
    """A root of containers and one bundle."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.root = top / "state"
        self.bundle = top / "bundle"
        self.rootfs = self.bundle / "rootfs"
        self.ids: list[str] = []
        self.started: list[subprocess.Popen[bytes]] = []
        self._make_rootfs()

    def _make_rootfs(self) -> None:
        for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "data"):
            (self.rootfs / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", self.rootfs / "bin/busybox")
        listed = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True)
        for name in listed.stdout.split():
            with suppress(FileExistsError):
                (self.rootfs / "bin" / name).symlink_to("busybox")

    def config(self, *command: str, namespaces: tuple[str, ...] = _NAMESPACES, **changes: Any) -> dict[str, Any]:
        """Write config.json for a command; `changes` are merged into a small default."""
        base: dict[str, Any] = {
            "ociVersion": "1.2.0",
            "process": {
                "args": list(command),
                "cwd": "/",
                "env": ["PATH=/bin"],
                "user": {"uid": 0, "gid": 0},
                "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), _CAPABILITIES),
            },
            "root": {"path": "rootfs"},
            "mounts": [_PROC, _DEV, _PTS],
            "linux": {"namespaces": [{"type": kind} for kind in namespaces]},
        }
        document: dict[str, Any] = merged(copy.deepcopy(base), changes)
        (self.bundle / "config.json").write_text(json.dumps(document))
        return document

    def words(self, *words: str) -> list[str]:
        """Give the command line of a verb; create and run get the bundle. Who manages cgroups is a global option."""
        options = [word for word in words if word.startswith("--cgroup-manager")]
        verb, *rest = [word for word in words if word not in options]
        bundle = ("--bundle", str(self.bundle)) if verb in ("create", "run") else ()
        return [PROGRAM, "--root", str(self.root), *options, verb, *bundle, *rest]

    def __call__(self, *words: str, check: bool = True, timeout: float = 60, **options: Any) -> Any:
        """Run a verb; with `check`, a code other than 0 fails the test with what was said.

        A container's first process holds the streams that it was created with: they are files, so that nobody waits for
        it to end.
        """
        if {"create", "run"} & set(words[:2]):
            self.ids.append(words[-1])
        options.setdefault("stdin", subprocess.DEVNULL)
        with (self.top / "stdout").open("w+b") as stdout, (self.top / "stderr").open("w+b") as stderr:
            done = subprocess.run(
                self.words(*words), stdout=stdout, stderr=stderr, timeout=timeout, check=False, **options
            )
            stdout.seek(0)
            stderr.seek(0)
            out, err = stdout.read().decode(errors="replace"), stderr.read().decode(errors="replace")
        text = subprocess.CompletedProcess[str](done.args, done.returncode, out, err)
        assert "defect of minirun" not in err, err
        assert "Traceback" not in err, err
        if check and done.returncode != 0:
            pytest.fail(f"minirun-oci {' '.join(words)} ended with {done.returncode}:\n{err}{out}", pytrace=False)
        return text

    def start_process(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a verb and go on; what the test doesn't wait for is killed after it."""
        if {"create", "run"} & set(words[:2]):
            self.ids.append(words[-1])
        self.started.append(subprocess.Popen(self.words(*words), **options))
        return self.started[-1]

    def state(self, container_id: str) -> dict[str, Any]:
        """Give what `state` prints."""
        found: dict[str, Any] = json.loads(self("state", container_id).stdout)
        return found

    def wait_until(self, container_id: str, status: str) -> None:
        """Wait until a container has that status."""
        until(f"{container_id} to be {status}", lambda: self.state(container_id)["status"] == status)

    # ---- what is left

    def containers(self) -> list[str]:
        """Give the directories beneath the root that are a container's."""
        return sorted(name for name in os.listdir(self.root) if name != ".shared") if self.root.exists() else []

    def processes(self) -> list[str]:
        """Give the processes that have our directory in their mount table, or are on their way there."""
        found = []
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes()
                mine = str(self.top) in Path(f"/proc/{pid}/mountinfo").read_text(errors="replace")
                held = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
                if int(pid) != os.getpid() and (mine or any(link.startswith(str(self.top)) for link in held)):
                    found.append(f"{pid} {words!r}")
        return found

    def mounts(self) -> list[str]:
        """Give the host's mounts beneath our directory."""
        return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.top) in line]

    def cgroups(self) -> list[str]:
        """Give the cgroups that our ids have by default."""
        return [str(path) for name in set(self.ids) if (path := hosts.cgroup_mount() / name).exists()]

    def left(self) -> list[str]:
        """Give everything that there is of our containers."""
        return [*self.containers(), *self.processes(), *self.mounts(), *self.cgroups()]

    def assert_nothing_is_left(self) -> None:
        """Fail with what is left after a deadline: mounts and processes of a killed namespace go by themselves."""
        with suppress(AssertionError):
            until("nothing to be left", lambda: not self.left(), seconds=5)
        assert self.left() == []


@pytest.fixture
def oci(tmp_path: Path) -> Iterator[Oci]:
    """The command with a bundle of busybox; containers that a test leaves are deleted, and then nothing may be left."""
    runtime = Oci(tmp_path)
    yield runtime
    for process in runtime.started:
        process.kill()
        process.wait()
    for container_id in runtime.containers():
        runtime("delete", "--force", container_id)
    runtime.assert_nothing_is_left()


@pytest.fixture
def container(oci: Oci) -> str:
    """A running container that sleeps; its id."""
    name = f"oci-{os.getpid()}"
    oci.config("sleep", "1000")
    oci("run", "--detach", name)
    return name


@pytest.fixture
def orphans() -> Iterator[None]:
    """This process adopts what the commands leave, as an engine does, and so learns how it ended."""
    from minirun.linux import syscalls

    syscalls.set_subreaper(True)
    yield
    syscalls.set_subreaper(False)
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def kill(pid: int) -> None:
    """Kill a process that may have ended already."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
