"""Bundles that any OCI runtime runs, and the commands that it runs them with.

Owns: `Runtime` (a command line), `Box` (a bundle and the container made of it), the configuration that tests start from.
Leaves to others: what is asserted. Command lines are those of runc, which minirun-oci and crun share.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.waiting import until

MINIRUN = Path(sys.executable).parent / "minirun-oci"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
)

# crun refuses a host with cgroup v1 hierarchies beside v2: it gets a view with v2 alone.
PURE_CGROUP2 = (
    *("unshare", "-m", "--propagation", "private", "sh", "-c"),
    'umount -R -l /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"',
    "sh",
)


class Runtime:
    """A command line of an OCI runtime with state of its own; call it with a command's words."""

    def __init__(self, name: str, words: tuple[str, ...]) -> None:
        self.name = name
        self.words = words

    def __call__(self, *words: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; with `check`, any exit code but 0 fails the test.

        Its input is an empty pipe and not the host's /dev/null: crun gives the standard streams to the container's user,
        devices too.
        """
        done = subprocess.run(
            [*self.words, *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            input="",
            **options,
        )
        assert not check or done.returncode == 0, f"{self.name} {' '.join(words)}: {done.returncode}\n{done.stderr}"
        return done


def runtime_of(name: str, root: Path) -> Runtime:
    """Give `minirun-oci`, `runc` or `crun`, its state below `root`."""
    if name == "minirun-oci":
        return Runtime(name, (str(MINIRUN), "--root", str(root)))
    if name == "runc":
        return Runtime(name, ("runc", "--root", str(root)))
    # Without cgroups: for its device filter it would raise its limit of locked memory, which takes CAP_SYS_RESOURCE.
    return Runtime(name, (*PURE_CGROUP2, "crun", "--root", str(root), "--cgroup-manager=disabled"))


def default_config() -> dict[str, Any]:
    """Give a configuration with all namespaces but those of users and time, the default file systems, few capabilities."""
    held = [f"CAP_{name}" for name in CAPABILITIES]
    closed = ["nosuid", "noexec", "nodev"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "args": ["true"],
            "cwd": "/",
            "env": [PATH],
            "user": {"uid": 0, "gid": 0},
            "capabilities": {"bounding": held, "effective": held, "permitted": held},
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755"],
            },
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            },
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*closed, "mode=1777"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*closed, "ro"]},
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
        },
    }


class Box:
    """A bundle on disk and the container that is made of it. `config` is written out at each create and run."""

    def __init__(self, runtime: Runtime, path: Path, container_id: str) -> None:
        self.runtime = runtime
        self.path = path
        self.id = container_id
        self.config = default_config()
        self.output_file = path / "output"

    @property
    def process(self) -> dict[str, Any]:
        found: dict[str, Any] = self.config["process"]
        return found

    @property
    def linux(self) -> dict[str, Any]:
        found: dict[str, Any] = self.config["linux"]
        return found

    @property
    def rootfs(self) -> Path:
        return self.path / "rootfs"

    def mount(self, destination: str, type: str, source: str, *options: str, **more: Any) -> None:
        """Add a mount to the configuration."""
        self.config["mounts"].append(
            {"destination": destination, "type": type, "source": source, "options": list(options), **more}
        )

    def namespace(self, kind: str, path: str = "") -> None:
        """Ask for a namespace, new or by path, instead of what the configuration says of this kind."""
        self.without_namespace(kind)
        self.linux["namespaces"].append({"type": kind, "path": path} if path else {"type": kind})

    def without_namespace(self, kind: str) -> None:
        """Let the container share this namespace with the host."""
        self.linux["namespaces"] = [item for item in self.linux["namespaces"] if item["type"] != kind]

    def in_user_namespace(self, host_id: int = 100000) -> None:
        """Map root and all others to a range that begins with `host_id`, and let the root file system belong to it."""
        self.namespace("user")
        mapping = {"containerID": 0, "hostID": host_id, "size": 65536}
        self.linux["uidMappings"] = self.linux["gidMappings"] = [mapping]
        for directory in (self.path, *self.path.parents):
            if directory.stat().st_mode & 0o001 == 0:
                directory.chmod(directory.stat().st_mode | 0o011)
        subprocess.run(["chown", "-hR", f"{host_id}:{host_id}", self.rootfs], check=True)

    # ---- the runtime's commands

    def save(self) -> None:
        """Write config.json."""
        (self.path / "config.json").write_text(json.dumps(self.config))

    def run(self, *options: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run the container to its end."""
        self.save()
        return self.runtime("run", "--bundle", str(self.path), *options, self.id, check=check, **more)

    def shell(self, script: str) -> str:
        """Run a script in the container and give what it prints, without the last newline."""
        self.process["args"] = ["sh", "-c", script]
        return self.run().stdout.rstrip("\n")

    def create(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Create the container; what its program prints is in `printed`."""
        self.save()
        words = [*self.runtime.words, "create", "--bundle", str(self.path), *options, self.id]
        with open(self.output_file, "wb") as output, open(self.path / "error", "wb") as error:
            code = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=error, timeout=60, check=False
            ).returncode
        said = (self.path / "error").read_text(errors="replace")
        assert not check or code == 0, f"{self.runtime.name} create: {code}\n{said}"
        return subprocess.CompletedProcess(words, code, "", said)

    @property
    def printed(self) -> str:
        return self.output_file.read_text(errors="surrogateescape")

    def start(self, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.runtime("start", self.id, check=check)

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.runtime("state", self.id).stdout)
        return found

    def exists(self) -> bool:
        return self.runtime("state", self.id, check=False).returncode == 0

    def kill(self, signal: str = "KILL", *, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.runtime("kill", self.id, signal, check=check)

    def delete(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.runtime("delete", *options, self.id, check=check)

    def wait_until_stopped(self) -> None:
        until("the container's end", lambda: self.state()["status"] == "stopped")

    def complete(self) -> str:
        """Create, start, wait, delete; give what was printed."""
        self.create()
        self.start()
        self.wait_until_stopped()
        self.delete()
        return self.printed.rstrip("\n")

    def destroy(self) -> None:
        """Take everything away, whatever state it is in."""
        self.runtime("delete", "--force", self.id, check=False)
        shutil.rmtree(self.path, ignore_errors=True)


def namespace_of(pid: int | str, kind: str) -> str:
    """Give the identity of a process's namespace."""
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def has_ended(pid: int) -> bool:
    """Is there no such process, or nothing of it but an exit status that nobody has read?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True
