"""Container engines of others, each private to a test session, with minirun-oci as their runtime.

Owns: starting and ending them, the image that they run. Leaves to others: what is asked of them (a file per engine).
An engine's mounts end with a mount namespace of its own; its daemon is ended by its own process id.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.peers import private_docker
from tests import missing

RUNTIME = Path(sys.executable).parent / "minirun-oci"
# podman asks for limits that a caller without CAP_SYS_RESOURCE can't give, and for one that a hybrid host can't enforce; and
# `rm -f` would wait ten seconds for a first process that TERM doesn't end.
PODMAN_RUN = [
    "--ulimit",
    "nofile=1024:1024",
    "--ulimit",
    "nproc=1024:1024",
    "--pids-limit",
    "-1",
    "--stop-timeout",
    "0",
]


@pytest.fixture(scope="module", autouse=True)
def no_preloaded_process() -> Iterator[None]:
    """podman gives a runtime an environment of its own, so ours, which says that none is to be left, doesn't reach it."""
    from minirun.warm import control

    was_there = os.geteuid() != 0 or control.find(control.SOCKET) is not None
    yield
    if not was_there:
        control.stop(control.SOCKET)


class Engine:
    """A command line in docker's manner: call it and get the finished process, its output as text."""

    def __init__(self, words: list[str], image: str, run_options: list[str]) -> None:
        self.words = words
        self.image = image
        self.run_options = run_options

    def __call__(self, *arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.words, *arguments], input=stdin, capture_output=True, text=True, timeout=120, check=False
        )
        missing.note_if_said(done.stderr)
        assert not check or done.returncode == 0, done.stderr
        return done

    def run(self, *arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """`run --rm` without a network; the last arguments, from the first "--" on, are the command."""
        place = arguments.index("--")
        options, command = arguments[:place], arguments[place + 1 :]
        words = ["run", "--rm", "--network", "none", *self.run_options, *options, self.image, *command]
        return self(*words, check=check, stdin=stdin)

    @contextlib.contextmanager
    def container(self, name: str, *options: str, command: tuple[str, ...] = ("sleep", "1000")) -> Iterator[str]:
        """A container in the background, removed at the end."""
        try:
            self("run", "-d", "--name", name, "--network", "none", *self.run_options, *options, self.image, *command)
            yield name
        finally:
            self("rm", "-f", name)


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="minirun-engines-", dir="/var/tmp"))
    # podman 4 cleans up after a container with uid maps from a mount namespace beside the host's, and believes its storage
    # unmounted then: true only where mounts are shared, as systemd has them. Else `rm` meets the mounts, with any runtime.
    subprocess.run(["mount", "--bind", path, path], check=True)
    subprocess.run(["mount", "--make-shared", path], check=True)
    yield path
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):  # podman leaves its storage mounted
        target = Path(line.split()[1])
        if target.is_relative_to(path):
            subprocess.run(["umount", "--lazy", target], check=True)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """What the engines have removed is gone from the runtime too: from its own root, docker's and containerd's."""
    before = _containers()
    yield
    assert not _containers() - before


def _containers() -> set[Path]:
    roots = [
        Path("/run/minirun-oci"),
        *Path("/run").glob("docker/runtime-*/moby"),
        *Path("/run").glob("containerd/runc/*"),
    ]
    found = {path for root in roots if root.is_dir() for path in root.iterdir()}
    return {path for path in found if (path / "state.json").exists() and (path / "config.json").exists()}


@pytest.fixture(scope="session")
def archive(fixture_archive: Callable[[str], Path]) -> Path:
    """The root file system that all of them run."""
    return fixture_archive("busybox")


@pytest.fixture(scope="session")
def podman(place: Path, archive: Path) -> Engine:
    words = ["podman", "--root", f"{place}/podman/data", "--runroot", f"{place}/podman/run"]
    words += ["--tmpdir", f"{place}/podman/tmp", "--cgroup-manager", "cgroupfs", "--runtime", str(RUNTIME)]
    engine = Engine(words, "localhost/busybox", PODMAN_RUN)
    engine("import", str(archive), "localhost/busybox")
    return engine


@pytest.fixture(scope="session")
def docker(place: Path, archive: Path) -> Iterator[Engine]:
    (place / "docker").mkdir()
    options = ["--add-runtime", f"minirun={RUNTIME}", "--iptables=false", "--ip6tables=false", "--bridge=none"]
    enter = ["unshare", "--mount", "--propagation", "private"]
    with private_docker(place / "docker", enter=enter, options=options) as (words, _):
        engine = Engine(words, "busybox", ["--runtime", "minirun"])
        engine("import", str(archive), "busybox")
        yield engine


@pytest.fixture(scope="session")
def rootfs(place: Path, archive: Path) -> Path:
    """The same root file system, unpacked."""
    target = place / "rootfs"
    target.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", target], check=True)
    return target


@pytest.fixture(scope="session")
def ctr(place: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """containerd's own client, with a containerd for it."""
    top = place / "containerd"
    top.mkdir()
    (top / "config.toml").write_text(
        f'version = 2\nroot = "{top}/root"\nstate = "{top}/state"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{top}/socket"\n'
    )
    with (top / "log").open("wb") as log:
        words = ["unshare", "--mount", "--propagation", "private", "containerd", "-c", str(top / "config.toml")]
        daemon = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def call(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        words = ["ctr", "-a", f"{top}/socket", *arguments]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        missing.note_if_said(done.stderr)
        assert not check or done.returncode == 0, done.stderr
        return done

    try:
        deadline = time.monotonic() + 30
        while call("version", check=False).returncode != 0:
            assert daemon.poll() is None, (top / "log").read_text()[-500:]
            assert time.monotonic() < deadline, "containerd didn't come up"
        yield call
    finally:
        daemon.terminate()
        daemon.wait(30)
