"""The programs that minirun is compared with: each set up with the same root file system, in directories of its own.

Owns: starting and ending a private dockerd, podman's and runc's and crun's flags, bundles. Leaves to others: what is measured.

A peer that isn't installed or doesn't work on this host is left out and said so: a table with a hole is better than none.
The whole benchmark runs in its own mount and network namespaces (see __main__), so bridges, rules and mounts of all end with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .measure import BenchError, Launcher, Subject

# podman 4.3 asks for limits that a caller without CAP_SYS_RESOURCE can't give; and a common runtime makes the comparison fair.
PODMAN_LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]

# crun refuses a host where version 1 hierarchies are mounted beside version 2: give it a view with version 2 alone.
PURE_CGROUP2 = (
    'mountpoint -q /sys/fs/cgroup && umount -R -l /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"'
)


class Program:
    """A command line in docker's manner: how it is called, and what it calls the image."""

    def __init__(
        self,
        name: str,
        words: list[str],
        *,
        image: str = "busybox",
        run_options: Sequence[str] = (),
        time_out: bool = False,
    ) -> None:
        self.name = name
        self.words = words
        self.image = image
        self.run_options = list(run_options)
        self.remove_words = [*words, "rm", "-f", *(["-t", "0"] if time_out else [])]

    def run(self, *options: str, command: Sequence[str]) -> list[str]:
        """Give the words of `run OPTIONS IMAGE COMMAND`."""
        return [*self.words, "run", *self.run_options, *options, self.image, *command]

    def exec(self, container: str, *command: str) -> list[str]:
        """Give the words of `exec CONTAINER COMMAND`."""
        return [*self.words, "exec", container, *command]

    def remove(self, *containers: str) -> list[str]:
        """Give the words of `rm -f`; nobody is asked politely, that would take ten seconds."""
        return [*self.remove_words, *containers]


class Peers:
    """The peers that work here; `missing` says why the others don't."""

    def __init__(self) -> None:
        self.programs: list[Program] = []  # docker, podman
        self.runtimes: list[Subject] = []  # runc, crun: one command that runs a bundle
        self.daemon_pids: list[int] = []
        self.missing: dict[str, str] = {}


@contextlib.contextmanager
def peers(directory: Path, archive: Path) -> Iterator[Peers]:
    """Set up every peer that works with the image `busybox` made of `archive`; take all down at the end."""
    found = Peers()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_no_cgroups_left())
        for name, set_up in (("docker", _docker), ("podman", _podman), ("runc", _runc), ("crun", _crun)):
            place = directory / name
            place.mkdir(exist_ok=True)  # its run-time directory is there already
            if shutil.which(name) is None:
                found.missing[name] = "not installed"
                continue
            try:
                set_up(stack, found, place, archive)
            except (BenchError, OSError) as error:
                found.missing[name] = str(error).strip().splitlines()[-1]
        yield found


@contextlib.contextmanager
def _no_cgroups_left() -> Iterator[None]:
    """Remove the empty cgroups that docker and podman leave at the top of every hierarchy, unless they were there before."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup" in line]
    tops = [Path(mount, name) for mount in mounts for name in ("docker", "libpod_parent")]
    before = {top for top in tops if top.exists()}
    yield
    for top in set(tops) - before:
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


@contextlib.contextmanager
def private_docker(
    place: Path, enter: Sequence[str] = (), options: Sequence[str] = ()
) -> Iterator[tuple[list[str], list[int]]]:
    """Run a dockerd with everything of its own below `place`; gives the client's words, and its and containerd's pids.

    `enter` starts it in other namespaces, `options` are dockerd's. Raises BenchError when it doesn't come up within a minute.
    """
    socket = f"unix://{place}/docker.sock"
    words = [*enter, "dockerd", "--data-root", f"{place}/data", "--exec-root", f"{place}/exec", "-H", socket, *options]
    client = ["docker", "-H", socket]
    with (place / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(
            [*words, "--pidfile", f"{place}/pid"],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while subprocess.run([*client, "version"], capture_output=True, check=False).returncode != 0:
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise BenchError("dockerd did not start: " + (place / "dockerd.log").read_text()[-300:])
            time.sleep(0.2)
        yield client, [daemon.pid, *_children(daemon.pid)]
    finally:
        _end(daemon)


def _docker(stack: contextlib.ExitStack, found: Peers, place: Path, archive: Path) -> None:
    words, pids = stack.enter_context(private_docker(place))
    _run(*words, "import", str(archive), "busybox")
    _run(*words, "run", "--rm", "busybox", "true")
    found.daemon_pids = pids
    found.programs.append(Program("docker", words))


def _podman(_stack: contextlib.ExitStack, found: Peers, place: Path, archive: Path) -> None:
    words = ["podman", "--root", f"{place}/data", "--runroot", f"{place}/run", "--tmpdir", str(place / "temporary")]
    words += ["--runtime", "runc", "--cgroup-manager", "cgroupfs"]
    _run(*words, "import", str(archive), "localhost/busybox")
    _run(*words, "run", "--rm", *PODMAN_LIMITS, "localhost/busybox", "true")
    found.programs.append(Program("podman", words, image="localhost/busybox", run_options=PODMAN_LIMITS, time_out=True))


def _runc(_stack: contextlib.ExitStack, found: Peers, place: Path, archive: Path) -> None:
    bundle = make_bundle(place, archive, ["true"])
    words = ["runc", "--root", f"{place}/state", "run", "--bundle", str(bundle), f"{place.parent.name}-{place.name}"]
    _run(*words)
    found.runtimes.append(Subject("runc", words))


def _crun(stack: contextlib.ExitStack, found: Peers, place: Path, archive: Path) -> None:
    bundle = make_bundle(place, archive, ["true"])
    words = ["crun", "--root", f"{place}/state", "run", "--bundle", str(bundle), f"{place.parent.name}-{place.name}"]
    enter = (
        [] if Path("/sys/fs/cgroup/cgroup.controllers").exists() else ["unshare", "-m", "sh", "-c", PURE_CGROUP2, "sh"]
    )
    launcher = Launcher(enter)
    stack.callback(launcher.close)
    launcher.run(words)
    found.runtimes.append(Subject("crun", words, launcher=launcher))


def make_bundle(place: Path, archive: Path, command: list[str]) -> Path:
    """Make an OCI bundle that runs `command`: runc's own default configuration, without a terminal."""
    bundle = place / "bundle"
    (bundle / "rootfs").mkdir(parents=True)
    _run("tar", "-xf", str(archive), "-C", str(bundle / "rootfs"))
    _run("runc", "spec", "--bundle", str(bundle))
    config = json.loads((bundle / "config.json").read_text())
    config["process"].update(terminal=False, args=command)
    # The device list: crun raises its memory-lock limit to load it as a BPF program, which needs CAP_SYS_RESOURCE.
    del config["linux"]["resources"]
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(words[:1])} {' '.join(words[-3:])}: {done.stderr.strip()[-300:]}")
    return done.stdout


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _end(daemon: subprocess.Popen[bytes]) -> None:
    """Ask the daemon to end, with its containerd; kill its session when it doesn't."""
    daemon.terminate()
    try:
        daemon.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()
