"""Namespaces by path, user namespaces, and mounts that need them; without pivot_root; keyrings. config-linux.md"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import open_way
from tests.integration.oci.conftest import Oci
from tests.waiting import until

ID = f"namespaces-{os.getpid()}"
MAPS = [{"containerID": 0, "hostID": 100_000, "size": 65536}]
USER = {"uidMappings": MAPS, "gidMappings": MAPS}
FILES = {"network": "net", "ipc": "ipc", "uts": "uts", "pid": "pid", "time": "time", "user": "user", "cgroup": "cgroup"}


@pytest.fixture(name="open_way")
def way_is_open(oci: Oci) -> None:
    """Root of a user namespace has to come as far as the bundle."""
    open_way(oci.top)


@pytest.fixture
def others() -> Iterator[int]:
    """A process in namespaces of its own, all kinds; its id."""
    words = [
        "unshare",
        "-n",
        "-i",
        "-u",
        "-T",
        "-C",
        "-p",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        "echo; exec sleep 1000",
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield int(children[0])
        process.kill()


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid", "time", "cgroup"])
def test_a_namespace_by_path_is_joined(oci: Oci, others: int, kind: str) -> None:
    path = f"/proc/{others}/ns/{FILES[kind]}"
    kinds = [{"type": name} for name in ("mount", "pid", "ipc", "uts") if name != kind]
    oci.config("readlink", f"/proc/self/ns/{FILES[kind]}", linux={"namespaces": [*kinds, {"type": kind, "path": path}]})
    assert oci("run", ID).stdout.strip() == os.readlink(path)


def test_several_at_once(oci: Oci, others: int) -> None:
    wanted = ("network", "ipc", "uts", "pid", "time")
    joined: list[dict[str, str]] = [{"type": kind, "path": f"/proc/{others}/ns/{FILES[kind]}"} for kind in wanted]
    script = "; ".join(f"readlink /proc/self/ns/{FILES[kind]}" for kind in wanted)
    oci.config("sh", "-c", script, linux={"namespaces": [{"type": "mount"}, *joined]})
    assert oci("run", ID).stdout.split() == [os.readlink(item["path"]) for item in joined]


def test_a_user_namespace_by_path_is_joined(oci: Oci, open_way: None) -> None:
    oci.config("sleep", "1000", namespaces=("pid", "ipc", "uts", "mount", "user"), linux=USER)
    oci("run", "--detach", ID)
    path = f"/proc/{oci.state(ID)['pid']}/ns/user"
    kinds: list[dict[str, str]] = [{"type": name} for name in ("mount", "pid", "ipc", "uts")]
    script = "readlink /proc/self/ns/user; id -u"
    oci.config("sh", "-c", script, linux={"namespaces": [*kinds, {"type": "user", "path": path}]})
    assert oci("run", f"{ID}-2").stdout.split() == [os.readlink(path), "0"]


@pytest.mark.parametrize("path", ["/nonexistent", "/etc/passwd", "/proc/self/ns/uts"])
def test_what_is_no_such_namespace_fails_and_leaves_nothing(oci: Oci, path: str) -> None:
    kinds = [{"type": name} for name in ("mount", "pid", "ipc", "uts")]
    oci.config("true", linux={"namespaces": [*kinds, {"type": "network", "path": path}]})
    assert oci("run", ID, check=False).returncode == 1
    oci.assert_nothing_is_left()


def test_devices_in_a_user_namespace_work(oci: Oci, open_way: None) -> None:
    script = "echo x > /dev/null; head -c 4 /dev/zero | wc -c; id -u; cat /proc/self/uid_map; ls /dev"
    oci.config("sh", "-c", script, namespaces=("pid", "ipc", "uts", "mount", "user"), linux=USER)
    shown = oci("run", ID).stdout.split()
    assert shown[:5] == ["4", "0", "0", "100000", "65536"]
    assert {"null", "zero", "full", "random", "urandom", "tty", "pts", "fd"} <= set(shown)


def idmapped(source: Path, **more: Any) -> list[dict[str, Any]]:
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/mnt", "type": "bind", "source": str(source), "options": ["bind", "idmap"], **more},
    ]


def test_an_idmapped_mount_shows_and_makes_files_of_the_mapped_owner(oci: Oci) -> None:
    source = oci.top / "source"
    source.mkdir()
    (source / "mine").touch()
    maps = [{"containerID": 0, "hostID": 1000, "size": 10}]
    mounts = idmapped(source, uidMappings=maps, gidMappings=maps)
    script = "stat -c %u:%g /mnt/mine; touch /mnt/new"
    oci.config("sh", "-c", script, mounts=mounts, process={"user": {"uid": 1000, "gid": 1000}})
    assert oci("run", ID).stdout.strip() == "1000:1000"
    made = (source / "new").stat()
    assert (made.st_uid, made.st_gid) == (0, 0)


def test_tmpcopyup_fills_the_mount_with_what_was_there(oci: Oci) -> None:
    data = oci.rootfs / "data"
    (data / "file").write_text("content")
    os.chown(data / "file", 5, 6)
    (data / "file").chmod(0o4750)
    (data / "away").symlink_to("/etc/passwd")
    (data / "deep/er").mkdir(parents=True)
    mounts = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]},
    ]
    script = "cat /data/file; stat -c ' %u %g %a' /data/file; readlink /data/away; ls /data/deep; echo x > /data/file"
    oci.config("sh", "-c", script, mounts=mounts)
    assert oci("run", ID).stdout.split() == ["content", "5", "6", "4750", "/etc/passwd", "er"]
    assert (data / "file").read_text() == "content"


def test_without_pivot_root_the_host_is_out_of_sight(oci: Oci) -> None:
    oci.config("sh", "-c", "ls /; cat /proc/self/mountinfo | wc -l; cd ..; pwd")
    with_pivot, without = oci("run", ID).stdout, oci("run", "--no-pivot", ID).stdout
    assert without.split()[:-2] == with_pivot.split()[:-2]
    assert without.split()[-1] == "/"


def test_a_session_keyring_of_its_own_unless_the_callers_is_wanted(oci: Oci) -> None:
    oci.config("cat", "/proc/keys")
    own = oci("run", ID).stdout
    assert ID in own
    other = f"{ID}-none"  # the kernel takes its time to forget the keyring of the first
    assert other not in oci("run", "--no-new-keyring", other).stdout


@pytest.mark.parametrize("more", [(), ("network",)])
def test_root_of_a_user_namespace_runs_a_container(oci: Oci, more: tuple[str, ...]) -> None:
    """It may not make device nodes: the host's are bound, as in a container that has a user namespace of its own. And the host's
    network isn't its own: whoever leaves it there doesn't come back."""
    script = "cat /dev/null && stat -c %F /dev/null; id -u"
    oci.config("sh", "-c", script, namespaces=("pid", "mount", "ipc", "uts", *more))
    oci.ids.append(ID)
    script = 'read go; exec unshare --mount --pid --fork --mount-proc "$@"'
    words = ["unshare", "--user", "sh", "-c", script, "sh", *oci.words("--cgroup-manager=disabled", "run", ID)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as inside:
        ours = os.readlink("/proc/self/ns/user")
        until("the new namespace", lambda: os.readlink(f"/proc/{inside.pid}/ns/user") != ours)
        for kind in ("uid", "gid"):
            Path(f"/proc/{inside.pid}/{kind}_map").write_text("0 0 1000\n")
        output, _ = inside.communicate("go\n", timeout=60)
    assert (inside.returncode, output) == (0, "character special file\n0\n")
