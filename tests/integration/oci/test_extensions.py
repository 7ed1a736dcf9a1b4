"""What bundles written for crun ask for beyond the specification: crun(1), "Extensions to OCI"."""

from __future__ import annotations

import base64
import os
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from tests import hosts
from tests.conftest import open_way
from tests.integration.oci.conftest import Oci
from tests.waiting import until

ID = "extended"
PROC = {"destination": "/proc", "type": "proc", "source": "proc"}


def bind(source: Path, destination: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": "bind", "source": str(source), "options": ["bind", *options]}


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """A symbolic link of the host to a file of the host."""
    target = tmp_path / "target"
    target.write_text("of the host")
    link = tmp_path / "link"
    link.symlink_to(target)
    return link


def test_copy_symlink_makes_the_same_link(oci: Oci, link: Path) -> None:
    oci.config("readlink", "/data/new/link", mounts=[PROC, bind(link, "/data/new/link", "copy-symlink")])
    assert oci("run", ID).stdout == os.readlink(link) + "\n"
    assert oci("run", ID).returncode == 0  # it is there by now, as it should be


def test_copy_symlink_takes_nothing_elses_place(oci: Oci, link: Path) -> None:
    (oci.rootfs / "data/link").write_text("mine")
    oci.config("true", mounts=[PROC, bind(link, "/data/link", "copy-symlink")])
    done = oci("run", ID, check=False)
    assert done.returncode == 1
    assert "/data/link" in done.stderr
    assert (oci.rootfs / "data/link").read_text() == "mine"


def test_copy_symlink_of_a_file_is_a_bind_mount(oci: Oci, link: Path) -> None:
    oci.config("cat", "/data/file", mounts=[PROC, bind(link.resolve(), "/data/file", "copy-symlink")])
    assert oci("run", ID).stdout == "of the host"


def test_copy_symlink_stays_inside_of_the_root(oci: Oci, link: Path, tmp_path: Path) -> None:
    (oci.rootfs / "out").symlink_to(tmp_path)
    oci.config("true", mounts=[PROC, bind(link, "/out/planted", "copy-symlink")])
    oci("run", ID, check=False)
    assert not os.path.lexists(tmp_path / "planted")


def test_src_nofollow_mounts_the_link_itself(oci: Oci, link: Path) -> None:
    oci.config("readlink", "/data/here", mounts=[PROC, bind(link, "/data/here", "src-nofollow")])
    assert oci("run", ID).stdout == os.readlink(link) + "\n"


def test_dest_nofollow_mounts_on_the_link_itself(oci: Oci, link: Path) -> None:
    (oci.rootfs / "data/there").write_text("untouched")
    (oci.rootfs / "data/away").symlink_to("there")
    mounts = [PROC, bind(link, "/data/away", "dest-nofollow")]
    oci.config("sh", "-c", "cat /data/away /data/there", mounts=mounts)
    assert oci("run", ID).stdout == "of the hostuntouched"


def test_hooks_outside_write_where_they_are_told(oci: Oci, tmp_path: Path) -> None:
    said, failed = tmp_path / "said", tmp_path / "failed"
    said.write_text("before ")
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo $0; echo $0 >&2", "x"]}
    hooks = {kind: [hook] for kind in ("prestart", "createRuntime", "poststart", "poststop")}
    annotations = {"run.oci.hooks.stdout": str(said), "run.oci.hooks.stderr": str(failed)}
    oci.config("true", hooks=hooks, annotations=annotations)
    oci("run", ID)
    assert said.read_text() == "before " + 4 * "x\n"
    assert failed.read_text() == 4 * "x\n"


@pytest.mark.parametrize("name", ["run.oci.hooks.stdout", "run.oci.hooks.stderr"])
def test_a_file_for_hooks_is_named_whole(oci: Oci, name: str) -> None:
    oci.config("true", annotations={name: "file"})
    done = oci("run", ID, check=False)
    assert done.returncode == 1
    assert f"annotations.{name} must be the absolute path of a file" in done.stderr


@pytest.mark.parametrize(("value", "groups"), [("1", {"7", "11"}), ("0", set())])
def test_the_callers_groups_can_be_kept(oci: Oci, value: str, groups: set[str]) -> None:
    oci.config("sh", "-c", "grep ^Groups: /proc/self/status", annotations={"run.oci.keep_original_groups": value})
    assert set(oci("run", ID, extra_groups=[7, 11]).stdout.split()[1:]) == groups


def test_an_unknown_system_call_can_be_an_error(oci: Oci) -> None:
    calls = [{"names": ["chroot", "no_such_call"], "action": "SCMP_ACT_ERRNO"}]
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": calls}
    oci.config("true", linux={"seccomp": profile})
    assert oci("run", ID).returncode == 0
    oci.config("true", linux={"seccomp": profile}, annotations={"run.oci.seccomp_fail_unknown_syscall": "1"})
    done = oci("run", ID, check=False)
    assert done.returncode == 1
    assert "linux.seccomp.syscalls[0].names: no system call that we know is called" in done.stderr
    calls[0]["names"] = ["chroot", "s390_sthyi", "sync_file_range2"]  # other machines know those
    oci.config("true", linux={"seccomp": profile}, annotations={"run.oci.seccomp_fail_unknown_syscall": "1"})
    assert oci("run", ID).returncode == 0


def test_clocks_of_a_new_time_namespace_are_set(oci: Oci) -> None:
    offsets = {"run.oci.timens_offset": "boottime 1000000 0\nmonotonic 2000000 5"}
    kinds = ("mount", "pid", "time")
    oci.config("cat", "/proc/self/timens_offsets", namespaces=kinds, annotations=offsets)
    assert oci("run", ID).stdout.split() == ["monotonic", "2000000", "5", "boottime", "1000000", "0"]
    oci.config("true", namespaces=kinds[:2], annotations=offsets)
    assert oci("run", ID).returncode == 0
    oci.config("true", namespaces=kinds, annotations={"run.oci.timens_offset": "realtime 1 0"})
    assert "must be like 'monotonic 3600 0'" in oci("run", ID, check=False).stderr


def test_a_pidfd_goes_to_the_receiver(oci: Oci, tmp_path: Path) -> None:
    path = str(tmp_path / "receiver")
    with socket.socket(socket.AF_UNIX) as receiver:
        receiver.bind(path)
        receiver.listen()
        oci.config("true", annotations={"run.oci.pidfd_receiver": path})
        oci("run", ID)
        connection, _ = receiver.accept()
        with connection:
            _, (descriptor, *_), _, _ = socket.recv_fds(connection, 64, 4)
    assert "Pid:" in Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    os.close(descriptor)


def test_a_filter_may_come_compiled(oci: Oci) -> None:
    """One instruction: every call is answered with an error, so nothing can be executed; and one that allows all."""
    (allow, forbid) = (struct.pack("=HBBI", 6, 0, 0, verdict) for verdict in (0x7FFF0000, 0x0005000D))
    for program, seen in ((allow, "2"), (forbid, "")):
        data = base64.b64encode(program).decode()
        oci.config("grep", "Seccomp:", "/proc/self/status", annotations={"run.oci.seccomp_bpf_data": data})
        assert oci("run", ID, check=False).stdout.partition("\t")[2].strip() == seen
    oci.config("true", annotations={"run.oci.seccomp_bpf_data": "AAAA"})
    assert "aren't instructions" in oci("run", ID, check=False).stderr


DELEGATED = {"run.oci.delegate-cgroup": "payload"}
CGROUPS = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}


@pytest.mark.parametrize("maps", [(), (100_000,)], ids=["root", "user"])
def test_a_container_lives_in_its_delegated_cgroup(oci: Oci, maps: tuple[int, ...]) -> None:
    """crun(1): its cgroup namespace is rooted above; the limits are above; what lies in it is the container's to manage."""
    namespaces = ("pid", "ipc", "uts", "mount", "cgroup", *("user" for _ in maps))
    ids = [{"containerID": 0, "hostID": host, "size": 1000} for host in maps]
    oci.config(
        "sh", "-c", "mkdir /sys/fs/cgroup/payload/mine && echo $$ > /sys/fs/cgroup/payload/mine/cgroup.procs; exec sleep 1000",
        namespaces=namespaces,
        mounts=[PROC, CGROUPS],
        linux={"cgroupsPath": f"/{ID}", "uidMappings": ids, "gidMappings": ids},
        annotations=DELEGATED,
    )  # fmt: skip
    (oci.rootfs / "sys/fs/cgroup").mkdir(parents=True)
    for path in (oci.rootfs, oci.rootfs / "dev"):
        os.chown(path, 100_000, 100_000)
    open_way(oci.top)
    oci("create", ID)
    outer = hosts.cgroup_mount() / ID
    pid = str(oci.state(ID)["pid"])
    assert (outer / "cgroup.procs").read_text() == ""
    assert (outer / "payload/cgroup.procs").read_text().split() == [pid]
    assert (outer / "payload").stat().st_uid == (maps or (0,))[0]
    assert oci("ps", "--format", "json", ID).stdout == f"[{pid}]\n"
    oci("start", ID)
    until(
        "the program to have moved itself", lambda: (outer / "payload/mine/cgroup.procs").read_text().split() == [pid]
    )
    assert oci("exec", ID, "grep", "^0:", "/proc/self/cgroup").stdout == "0::/payload/mine\n"
    oci("pause", ID)
    assert oci.state(ID)["status"] == "paused"
    oci("delete", "--force", ID)
    assert not outer.exists()


def test_a_container_that_cannot_have_its_delegated_cgroup_is_refused(oci: Oci) -> None:
    """Another's name beneath that of a container: cgroup.procs is a file."""
    oci.config("true", annotations={"run.oci.delegate-cgroup": "cgroup.procs"})
    done = oci("create", ID, check=False)
    assert (done.returncode, "move the container into the cgroup" in done.stderr) == (1, True)
    assert oci.left() == []
