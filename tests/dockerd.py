"""A docker daemon of a test's own: everything of it lies below one directory, and it touches neither links nor rules of the host.

Owns: starting, waiting, ending, the mounts that it leaves, doing the same with two. Leaves to others: what is asked of it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

Side = TypeVar("Side")
Result = TypeVar("Result")


class Docker:
    """dockerd on a root of its own, without networks; call it with a docker command's words to get the output."""

    def __init__(self, top: Path) -> None:
        self.socket = f"unix://{top}/docker.sock"
        self.top = top
        words = [
            *("dockerd", "--data-root", f"{top}/data", "--exec-root", f"{top}/exec", "-p", f"{top}/pid"),
            *("-H", self.socket, "--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false"),
            *("--ip-masq=false", "--storage-driver", "vfs", "--log-level", "error"),
        ]
        self.log = (top / "log").open("wb")
        self.process = subprocess.Popen(words, stdout=self.log, stderr=subprocess.STDOUT)

    def wait(self) -> None:
        """Wait until it answers; the test fails with the end of its log when it doesn't."""
        deadline = time.monotonic() + 60
        while subprocess.run(self.words("version"), capture_output=True, check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"dockerd didn't start: {(self.top / 'log').read_text()[-2000:]}", pytrace=False)
            time.sleep(0.1)

    def words(self, *arguments: str) -> list[str]:
        """Give the command line of its client."""
        return ["docker", "-H", self.socket, *arguments]

    def __call__(self, *arguments: str) -> str:
        """Run the client; a code other than 0 fails the test with what it said."""
        done = subprocess.run(self.words(*arguments), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.fail(f"docker {' '.join(arguments)}: {done.stderr}", pytrace=False)
        return done.stdout

    def end(self) -> None:
        """Ask it to end, kill it when it doesn't."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@contextlib.contextmanager
def private_docker(top: Path, *, in_memory: bool = True) -> Iterator[Docker]:
    """Run a daemon below `top`, which is gone afterwards, and so are the empty cgroups that it makes.

    It copies all of an image for each container and layer, and waits for the disk each time: small images are kept `in_memory`.
    """
    cgroups = {path for path in _docker_cgroups() if path.exists()}
    if in_memory:
        (top / "data").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=710", "tmpfs", top / "data"], check=True)
    daemon = Docker(top)
    try:
        daemon.wait()
        yield daemon
    finally:
        daemon.end()
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if str(top) in line:
                subprocess.run(["umount", "-l", line.split()[1]], check=False, capture_output=True)
        shutil.rmtree(top, ignore_errors=True)
        for path in _docker_cgroups():
            if path not in cgroups:
                with contextlib.suppress(OSError):
                    os.rmdir(path)


def at_once(act: Callable[[Side], Result], sides: Iterable[Side]) -> list[Result]:
    """Let docker and minirun do the same at the same time: neither has to wait for the other."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(act, sides))


def _docker_cgroups() -> list[Path]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [Path(line.split()[1], "docker") for line in lines if line.split()[2] in ("cgroup", "cgroup2")]
