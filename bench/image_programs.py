"""minirun, docker and podman with nothing in their stores, and a registry, all in memory: the disk's own time is noise here.

Owns: the tmpfs, the daemons on it, the registry's life. Leaves to others: what is measured (images), archives.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from .measure import BenchError, quietly
from .peers import PODMAN_LIMITS, Program, private_docker
from .setting import Setting


class ImagePrograms:
    """Who takes part; `registry` is its name, "" when docker-registry isn't installed."""

    def __init__(self, place: Path, minirun: Program) -> None:
        self.place = place
        self.minirun = minirun
        self.programs = [minirun]
        self.registry = ""

    def pull(self, program: Program, image: str) -> list[str]:
        """Give the words of `pull IMAGE` from the registry."""
        plain = ["-q", "--tls-verify=false"] if program.name == "podman" else []
        return [*program.words, "pull", *plain, f"{self.registry}/{image}"]

    def forget(self, program: Program) -> None:
        """Remove every image of a program."""
        listed = subprocess.run([*program.words, "images", "-q"], capture_output=True, text=True, check=True)
        if ids := sorted(set(listed.stdout.split())):
            quietly([*program.words, "rmi", "-f", *ids])


@contextlib.contextmanager
def image_programs(setting: Setting) -> Iterator[ImagePrograms]:
    """Start what works here, on a tmpfs; all of it is gone afterwards."""
    place = setting.directory / "images"
    place.mkdir()
    quietly(["mount", "-t", "tmpfs", "-o", "size=80%", "tmpfs", str(place)])
    program = setting.minirun.words[0]
    found = ImagePrograms(
        place, Program("minirun", [program, "--root", f"{place}/minirun/data", "--run-root", f"{place}/minirun/run"])
    )
    with contextlib.ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", "--lazy", str(place)], check=False)
        for peer in setting.peers.programs:  # those that work on this host
            home = place / peer.name
            home.mkdir()
            if peer.name == "docker":
                words, _ = stack.enter_context(private_docker(home, options=["--bridge=none", "--iptables=false"]))
            else:
                words = [
                    "podman",
                    "--root",
                    f"{home}/data",
                    "--runroot",
                    f"{home}/run",
                    "--tmpdir",
                    f"{home}/temporary",
                ]
                words += ["--runtime", "runc", "--cgroup-manager", "cgroupfs"]
            found.programs.append(Program(peer.name, words, run_options=PODMAN_LIMITS if peer.name == "podman" else ()))
        if shutil.which("docker-registry") is None:
            setting.notes.append("without pulls: docker-registry is not installed")
        else:
            found.registry = stack.enter_context(_registry(place / "registry"))
        yield found


@contextlib.contextmanager
def _registry(place: Path) -> Iterator[str]:
    """Run docker-registry on a port of its own; gives host:port."""
    place.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {
        "version": 0.1,
        "log": {"accesslog": {"disabled": True}, "level": "error"},
        "storage": {"filesystem": {"rootdirectory": f"{place}/data"}},
        "http": {"addr": address},
    }
    (place / "config.yml").write_text(json.dumps(settings))  # YAML is a superset of JSON
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", place / "config.yml"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        host, _, port = address.partition(":")
        while True:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchError("docker-registry did not start: " + (place / "log").read_text()[-300:])
            time.sleep(0.05)
        yield address
    finally:
        process.kill()
        process.wait()
