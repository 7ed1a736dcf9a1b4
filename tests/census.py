"""Counts what minirun can leave behind on a host, so that a test can compare before and after.

Owns: what is counted, and the sentence that says what leaked. Leaves to others: when it is taken (conftest, after each test).
Reads the kernel's own tables (/proc, /sys, nftables) and the two roots, never minirun's code: a bug can't hide itself here.

On a machine that runs other things too, only what carries a mark of ours is counted: a path below the session's roots, the
session's tag, the name minirun, or this process as ancestor. `CI=true` says that the machine is ours: then the host's
mounts and links are counted whole, but for those that the init system and other container software make and remove by themselves.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import socket
import sqlite3
import struct
import subprocess
import time
from binascii import crc32
from pathlib import Path

from tests import hosts

Things = dict[str, frozenset[str]]  # kind -> what is there

# What ends by itself (a monitor's exit hook, a lazily freed namespace) gets so long; the virtual machine is ten times slower.
ENDS_WITHIN_SECONDS = 90.0 if os.environ.get("MINIRUN_TEST_GUEST") == "1" else 10.0

# Made once per data root and kept: not a leak. Two cgroups and the cache of compiled filters; the directories themselves, with
# the two files that make one an OCI layout. What lies in them is counted.
MADE_ONCE = ("monitors", "confined", "seccomp")
SKELETON = [
    "containers",
    "container-locks",
    "rootfs",
    "snapshots",
    "snapshots/staging",
    "snapshots/0",
    "snapshots/0/fs",
    "volumes",
    "images",
    "images/oci-layout",
    "images/index.json",
    "images/blobs",
    "images/blobs/sha256",
]

# Of others, whatever of it comes or goes in the middle of a test: credentials of a service, a login, a container of docker
# or podman. systemd.exec(5), pam_systemd(8).
MOUNTS_OF_OTHERS = re.compile(
    r"/run/(credentials|user|systemd|docker|containerd|containers|netns|snapd)(/| |$)"  # ip-netns(8) makes /run/netns itself one
    r"|/var/lib/(docker|containerd|containers)/|/snap/|/proc/sys/fs/binfmt_misc"
)
LINKS_OF_OTHERS = re.compile(r"docker\d+|br-[0-9a-f]{12}|veth[0-9a-f]{7,8}|podman\d+|cni\d+")


class Census:
    """What there is now, for one pair of roots; `leaks` says what came since, and `after` is what there is then.

    `before` is what another census saw, when nothing that may leave anything has run since.
    """

    def __init__(self, root: Path, run_root: Path, *, whole_host: bool = False, before: Things | None = None) -> None:
        self.root = root
        self.run_root = run_root
        self.tag = f"{crc32(os.fsencode(os.path.realpath(root))):08x}"
        self.whole_host = whole_host
        self.before = self.take() if before is None else before
        self.after = self.before

    def take(self) -> Things:
        """Look at everything once."""
        gc.collect()
        processes = self._processes()
        return {
            "process": frozenset(f"{pid} {_command(pid)}" for pid in processes),
            "mount": frozenset(self._mounts(processes)),
            "namespace": frozenset(self._namespaces(processes)),
            "cgroup": frozenset(self._cgroups()),
            "link": frozenset(self._links()),
            "nftables element": frozenset(self._elements()),
            "descriptor of this process": frozenset(_descriptors()),
            "file": frozenset(self._files()),
            "row": frozenset(self._rows()),
        }

    def leaks(self, *, deadline_seconds: float = ENDS_WITHIN_SECONDS) -> list[str]:
        """Give one line per thing that is there now and wasn't before, and per thing of before that has gone."""
        end = time.monotonic() + deadline_seconds
        pause = 0.01
        while True:
            self.after = now = self.take()
            lines = [f"{kind} left: {thing}" for kind in now for thing in sorted(now[kind] - self.before[kind])]
            if not lines or time.monotonic() > end:
                break
            time.sleep(pause)
            pause = min(pause * 2, 0.5)
        if self.whole_host:
            lines += [
                f"{kind} gone: {thing}" for kind in ("mount", "link") for thing in sorted(self.before[kind] - now[kind])
            ]
        return lines

    # ---- one method per kind

    def _processes(self) -> list[int]:
        """Ours: below this process, in a cgroup of ours, or holding something below our roots (a working directory, a file)."""
        found = []
        parents, zombies = _parents()
        own_mounts = _namespace("self", "mnt")
        for pid in parents:
            with contextlib.suppress(OSError):
                if pid == os.getpid():
                    continue
                if self._is_below_us(pid, parents) or (pid not in zombies and self._carries_our_mark(pid, own_mounts)):
                    found.append(pid)
        return found

    def _is_below_us(self, pid: int, parents: dict[int, int]) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == os.getpid():
                return True
        return False

    def _carries_our_mark(self, pid: int, own_mounts: str) -> bool:
        """Say so of a process that isn't below us, and lives.

        A zombie is nothing but an exit code that its parent hasn't read. Its parent isn't below us: it has adopted it, as init
        does or a subreaper, prctl(2), and when it reads is its own business.
        """
        if f"minirun-{self.tag}" in _read(f"/proc/{pid}/cgroup"):
            return True
        if _namespace(pid, "mnt") != own_mounts and str(self.root) in _read(f"/proc/{pid}/mountinfo"):
            return True
        return _command(pid).startswith("minirun-monitor") and any(
            link.startswith((str(self.root), str(self.run_root))) for link in _links_of(f"/proc/{pid}/fd")
        )

    def _mounts(self, processes: list[int]) -> list[str]:
        host = [_mount(line) for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        marks = (str(self.root), str(self.run_root), "/run/minirun", "/var/lib/minirun")
        ours = [
            mount
            for mount in host
            if any(mark in mount for mark in marks) or (self.whole_host and not MOUNTS_OF_OTHERS.match(mount))
        ]
        for pid in processes:
            with contextlib.suppress(OSError):
                if _namespace(pid, "mnt") != _namespace("self", "mnt"):
                    ours.append(f"the table of {pid} {_command(pid)}")
        return ours

    def _namespaces(self, processes: list[int]) -> set[str]:
        """Those in which our processes live, and those that somebody of us holds open or bound to a path."""
        own = {_namespace("self", kind) for kind in os.listdir("/proc/self/ns")}
        found = set()
        for pid in [*processes, os.getpid()]:
            with contextlib.suppress(OSError):
                found |= {_namespace(pid, kind) for kind in os.listdir(f"/proc/{pid}/ns")}
                found |= {
                    link for link in _links_of(f"/proc/{pid}/fd") if link.endswith("]") and link[:4] in _NAMESPACES
                }
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            if " - nsfs " not in line:
                continue
            of_others = MOUNTS_OF_OTHERS.match(line.split()[4]) is not None
            if str(self.run_root) in line or (self.whole_host and not of_others):
                found.add(f"{line.split()[3]} bound to {line.split()[4]}")
        return found - own

    def _cgroups(self) -> list[str]:
        top = hosts.cgroup_mount() / f"minirun-{self.tag}"
        return [directory for directory, _, _ in os.walk(top) if Path(directory).name not in (top.name, *MADE_ONCE)]

    def _links(self) -> list[str]:
        bridge = f"mr-{self.tag}"
        names = [name for name in os.listdir("/sys/class/net") if name != bridge]
        if self.whole_host:
            return [name for name in names if not LINKS_OF_OTHERS.fullmatch(name)]
        found = []
        for name in names:
            with contextlib.suppress(OSError):  # without a master, or gone meanwhile
                if os.path.basename(os.readlink(f"/sys/class/net/{name}/master")) == bridge:
                    found.append(name)
        return found

    def _elements(self) -> list[str]:
        generation = _ruleset_generation()
        if _elements_at.get(self.tag, (-1, []))[0] != generation:
            _elements_at[self.tag] = (generation, self._listed_elements())
        return _elements_at[self.tag][1]

    def _listed_elements(self) -> list[str]:
        done = subprocess.run(
            ["nft", "-j", "list", "table", "inet", f"minirun_{self.tag}"], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            return []  # no such table: nothing was started on the bridge yet
        found = []
        for thing in json.loads(done.stdout)["nftables"]:
            for kind in ("map", "set"):
                body = thing.get(kind, {})
                if "constant" not in body.get("flags", []):
                    found += [f"{body['name']}: {json.dumps(element)}" for element in body.get("elem", [])]
        return found

    def _files(self) -> list[str]:
        """Of images and snapshots only the top level: their content is immutable and large."""
        found = []
        for top in (self.root, self.run_root):
            for directory, below, files in os.walk(top):
                place = Path(directory)
                below[:] = [name for name in below if name not in MADE_ONCE]
                here = [place / name for name in [*below, *files] if not name.startswith("minirun.db")]
                found += [str(path) for path in here if str(path.relative_to(top)) not in SKELETON]
                if place in (self.root / "snapshots", self.root / "images" / "blobs"):
                    below.clear()
        return found

    def _rows(self) -> list[str]:
        """Containers, volumes, and leases of addresses, ports and ids that the database names."""
        database = self.root / "minirun.db"
        if not database.exists():
            return []
        try:
            return self._rows_of(f"file:{database}?mode=ro")
        except sqlite3.OperationalError:  # who was killed left a log that only a writer may recover
            return self._rows_of(f"file:{database}?mode=rw")

    def _rows_of(self, uri: str) -> list[str]:
        found = []
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table in sorted(tables & {"containers", "leases", "port_leases", "id_leases", "volumes"}):
                cursor = connection.execute(f"SELECT * FROM {table}")  # noqa: S608  (a name from the list above)
                found += [f"{table}: {row!r:.200}" for row in cursor]
        return found


_NAMESPACES = ("net:", "mnt:", "pid:", "uts:", "ipc:", "user", "cgro", "time")


# By the tag of a data root: at which generation of the rule set they were listed, and the elements. nft takes longer than all else.
_elements_at: dict[str, tuple[int, list[str]]] = {}


def _parents() -> tuple[dict[int, int], set[int]]:
    """Give the parent of each process that isn't a kernel thread, and which of the processes are zombies."""
    parents, zombies = {}, set()
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "2":
            with contextlib.suppress(OSError, ValueError, IndexError):
                state, parent = _stat(int(name))[:2]
                if parent != "2":
                    parents[int(name)] = int(parent)
                    if state == "Z":
                        zombies.add(int(name))
    return parents, zombies


def _stat(pid: int) -> list[str]:
    """Give state and parent of /proc/PID/stat, and the rest in one. proc_pid_stat(5)."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split(maxsplit=2)


def _read(path: str) -> str:
    """As Path.read_text, which takes three times as long: a census reads hundreds of files, twice a test."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
    finally:
        os.close(descriptor)
    return b"".join(parts).decode(errors="replace")


def _command(pid: int) -> str:
    """Give the words that a process was started with, as far as they tell it apart."""
    try:
        text = _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
        return text[:120] or f"[{_read(f'/proc/{pid}/comm').strip()}]"
    except OSError:
        return "(gone)"


def _namespace(pid: int | str, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def _links_of(directory: str) -> list[str]:
    links = []
    for name in os.listdir(directory):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"{directory}/{name}"))
    return links


def _ruleset_generation() -> int:
    """Give the number that every change of this network namespace's rules raises. NFT_MSG_GETGEN, linux/netfilter/nf_tables.h."""
    request = struct.pack("=IHHII", 20, 10 << 8 | 16, 1, 1, 0) + bytes(4)  # NLM_F_REQUEST; struct nfgenmsg
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netfilter:  # NETLINK_NETFILTER
        netfilter.send(request)
        answer = netfilter.recv(1024)
    kind, length = struct.unpack_from("=4xH", answer)[0], struct.unpack_from("=H", answer, 20)[0]
    if kind != 10 << 8 | 15 or length != 8:  # NFT_MSG_NEWGEN, whose first attribute is NFTA_GEN_ID
        raise OSError(f"the kernel's answer to NFT_MSG_GETGEN isn't understood: {answer!r}")
    return int(struct.unpack_from(">I", answer, 24)[0])


def _descriptors() -> list[str]:
    """Give this process's descriptors but for the one that this look needs."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(f"{name} -> {os.readlink(f'/proc/self/fd/{name}')}")
    return found


def _mount(line: str) -> str:
    """Give mount point, root and type of a mountinfo line; its numbers change without meaning. proc_pid_mountinfo(5)."""
    left, _, right = line.partition(" - ")
    fields = left.split()
    return f"{fields[4]} ({right.split()[0]} {fields[3]})"
