"""Volumes: made, listed, mounted, filled from the image, shared, removed; nothing of a hostile image reaches the host."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sqlite3
import stat
import subprocess
import tarfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from minirun.errors import Conflict, InvalidInput, NotFound, NotSupported
from tests import missing
from tests.waiting import until


@pytest.fixture
def volumes(minirun):
    """The command line; volumes and containers of the test are gone afterwards."""
    minirun("volume", "ls")
    yield minirun
    ids = minirun("ps", "-aq").stdout.split()
    for words in ([["rm", "-fv", *ids]] if ids else []) + [["volume", "prune", "-af"]]:
        done = missing.run_outside([*minirun.words, *words])
        assert done.returncode == 0, done.stderr


def entry(name: str, **values) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(info, key, value)
    return info


@pytest.fixture(scope="module")
def filled(minirun, fixture_archive, tmp_path_factory):
    """An image with content at /data that has every kind of file, and VOLUMEs at /data and /srv/own."""
    path = tmp_path_factory.mktemp("image") / "image.tar"
    with tarfile.open(fixture_archive("busybox")) as base, tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as out:
        for member in base:
            out.addfile(member, base.extractfile(member) if member.isreg() else None)
        out.addfile(entry("data", type=tarfile.DIRTYPE, mode=0o2750, uid=12, gid=34, mtime=1_000_000_000))
        text = {"pax_headers": {"SCHILY.xattr.user.colour": "blue"}}
        out.addfile(
            entry("data/file", size=4, mode=0o4755, uid=5, gid=6, mtime=1_000_000_001, **text), io.BytesIO(b"text")
        )
        out.addfile(entry("data/deep", type=tarfile.DIRTYPE, mode=0o1777))
        out.addfile(entry("data/deep/again", type=tarfile.LNKTYPE, linkname="data/file"))
        out.addfile(entry("data/host", type=tarfile.SYMTYPE, linkname="/etc"))
        out.addfile(entry("data/up", type=tarfile.SYMTYPE, linkname="../../../../../../etc/passwd"))
        out.addfile(entry("data/pipe", type=tarfile.FIFOTYPE, mode=0o600))
        out.addfile(entry("alias", type=tarfile.SYMTYPE, linkname="/data"))
        out.addfile(entry("outside", type=tarfile.SYMTYPE, linkname="../../../../../../../../../../etc"))
    minirun("import", "-c", "VOLUME /data /srv/own", str(path), "filled")
    yield "filled"
    minirun("rmi", "-f", "filled")


def data_of(minirun, name: str) -> Path:
    return Path(minirun("volume", "inspect", "-f", "{{.Mountpoint}}", name).stdout.strip())


def names(minirun, *words: str) -> list[str]:
    return minirun("volume", "ls", "-q", *words).stdout.split()


def quiet_run(minirun, *words: str, check: bool = True):
    return minirun("run", "--network", "none", *words, check=check)


# ---- verbs


def test_a_volume_is_made_listed_inspected_and_removed_as_docker_does(volumes):
    assert volumes("volume", "create", "one").stdout == "one\n"
    assert volumes("volume", "create", "--label", "a=b", "--label", "c", "two").stdout == "two\n"
    assert volumes("volume", "create", "--label", "late=1", "one").stdout == "one\n"
    assert volumes("volume", "ls").stdout == "DRIVER    VOLUME NAME\nlocal     one\nlocal     two\n"
    (one, two) = json.loads(volumes("volume", "inspect", "one", "two").stdout)
    mountpoint = one.pop("Mountpoint")
    assert mountpoint.endswith("/volumes/one/_data")
    assert stat.S_IMODE(os.stat(mountpoint).st_mode) == 0o755
    del one["CreatedAt"]
    assert one == {"Driver": "local", "Labels": None, "Name": "one", "Options": None, "Scope": "local"}
    assert two["Labels"] == {"a": "b", "c": ""}
    assert volumes("inspect", "-f", "{{.Name}}", "two").stdout == "two\n"
    assert volumes("volume", "ls", "--format", "{{.Name}}={{.Labels}} {{.Label `a`}}").stdout == "one= \ntwo=a=b,c= b\n"
    assert json.loads(volumes("volume", "ls", "-f", "name=^on", "--format", "json").stdout)["Name"] == "one"
    assert volumes("volume", "rm", "two", "one").stdout == "two\none\n"
    assert not Path(mountpoint).parent.exists()
    assert names(volumes) == []


def test_lists_are_filtered(volumes, busybox):
    volumes("volume", "create", "--label", "a=b", "spare")
    volumes("create", "-v", "used:/x", busybox, "true")
    assert names(volumes, "-f", "dangling=true") == ["spare"]
    assert names(volumes, "-f", "dangling=0") == ["used"]
    assert names(volumes, "-f", "label=a=b") == names(volumes, "-f", "label=a") == ["spare"]
    assert names(volumes, "-f", "label=a=c") == names(volumes, "-f", "driver=nfs") == []
    assert names(volumes, "-f", "driver=local", "-f", "name=us") == ["used"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("rm nope", "get nope: no such volume"),
        ("inspect nope", "get nope: no such volume"),
        ("create a", "create a: volume name is too short, names should be at least two alphanumeric characters"),
        ("create a/b", ('create a/b: "a/b" includes invalid characters for a local volume name, only '
         '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path')),
        ("create -d nfs xy", 'create xy: error looking up volume plugin nfs: plugin "nfs" not found'),
        ("create -o foo=bar xy", 'create xy: invalid option: "foo"'),
        ("create -o type=nfs xy", 'create xy: missing required option: "device"'),
        ("create -o device=x xy", 'create xy: missing required option: "type"'),
        ("create -o type=tmpfs -o o=size=1m xy", 'create xy: missing required option: "device"'),
        ("create -o size=1m xy", "create xy: quota size requested but no quota support"),
        ("ls -f foo=x", "invalid filter 'foo'"),
        ("ls -f dangling=maybe", "invalid filter 'dangling=[maybe]'"),
        ("prune -f --filter until=1h", "invalid filter 'until'"),
    ],
)  # fmt: skip
def test_what_is_refused_is_said_as_docker_says_it(volumes, words, sentence):
    done = volumes("volume", *words.split(), check=False)
    assert (done.returncode, done.stderr) == (1, f"Error: {sentence}\n")
    assert names(volumes) == []


def test_a_forced_removal_is_content_when_nothing_is_there(volumes):
    assert volumes("volume", "rm", "-f", "nope").stdout == "nope\n"


def test_a_volume_in_use_stays_and_says_by_whom(volumes, busybox):
    ids = [volumes("create", "-v", "used:/x", busybox, "true").stdout.strip() for _ in range(2)]
    done = volumes("volume", "rm", "-f", "used", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: remove used: volume is in use - [")
    assert set(done.stderr.strip().rstrip("]").partition("[")[2].split(", ")) == set(ids)
    volumes("rm", "-v", *ids)
    assert names(volumes) == ["used"], "a volume with a name outlives its containers"
    volumes("volume", "rm", "used")


def test_prune_asks_and_takes_the_anonymous_first(volumes, busybox):
    volumes("volume", "create", "named")
    volumes("volume", "create", "--label", "keep", "kept")
    anonymous = volumes("volume", "create").stdout.strip()
    (data_of(volumes, anonymous) / "file").write_bytes(bytes(100_000))
    volumes("create", "-v", "/x", busybox, "true")
    asked = volumes("volume", "prune", stdin="n\n").stdout
    assert asked.startswith("WARNING! This will remove anonymous local volumes not used by at least one container.\n")
    first = volumes("volume", "prune", "-f").stdout
    assert first.startswith(f"Deleted Volumes:\n{anonymous}\n\nTotal reclaimed space: 1")
    assert first.endswith("kB\n")
    assert volumes("volume", "prune", "-a", "-f", "--filter", "label!=keep").stdout.startswith(
        "Deleted Volumes:\nnamed\n\n"
    )
    assert volumes("volume", "prune", "-f", "--filter", "all=true").stdout.startswith("Deleted Volumes:\nkept\n\n")
    assert len(names(volumes)) == 1


def test_prune_of_everything_takes_anonymous_volumes_when_that_is_asked_for(store):
    store("volume", "create", "named")
    store("create", "-v", "/x", "busybox", "true")
    (anonymous,) = set(names(store)) - {"named"}
    assert "Volumes" not in store("system", "prune", "-f").stdout
    assert f"Deleted Volumes:\n{anonymous}\n\n" in store("system", "prune", "-f", "--volumes").stdout
    assert names(store) == ["named"]


# ---- in containers


def test_an_empty_volume_begins_with_what_the_image_has(volumes, filled):
    quiet_run(volumes, "--rm", "-v", "data:/data", filled, "true")
    data = data_of(volumes, "data")
    top, file = data.stat(), (data / "file").stat()
    assert (top.st_mode & 0o7777, top.st_uid, top.st_gid, top.st_mtime) == (0o2750, 12, 34, 1_000_000_000)
    assert (file.st_mode & 0o7777, file.st_uid, file.st_gid, file.st_mtime) == (0o4755, 5, 6, 1_000_000_001)
    assert (data / "deep/again").stat().st_ino == file.st_ino
    assert file.st_nlink == 2
    assert os.getxattr(data / "file", "user.colour") == b"blue"
    assert (data / "deep").stat().st_mode & 0o7777 == 0o1777
    assert os.readlink(data / "host") == "/etc"
    assert os.readlink(data / "up").endswith("etc/passwd")
    assert stat.S_ISFIFO((data / "pipe").stat().st_mode)
    assert sorted(os.listdir(data)) == ["deep", "file", "host", "pipe", "up"]
    assert os.listdir(data.parent) == ["_data"]


def test_it_is_filled_once_and_only_when_it_is_empty(volumes, filled):
    quiet_run(volumes, "--rm", "-v", "data:/data", filled, "sh", "-c", "echo new > /data/file; rm /data/host")
    quiet_run(volumes, "--rm", "-v", "data:/data", filled, "true")
    assert (data_of(volumes, "data") / "file").read_text() == "new\n"
    assert not os.path.lexists(data_of(volumes, "data") / "host")
    for words in (("-v", "bare:/data:nocopy"), ("--mount", "src=bare,dst=/data,volume-nocopy")):
        assert quiet_run(volumes, "--rm", *words, filled, "ls", "-A", "/data").stdout == ""


def test_a_link_of_the_image_leads_the_copy_nowhere(volumes, filled):
    """CVE-2022-23648: a VOLUME whose path leads out of the image."""
    quiet_run(volumes, "--rm", "-v", "alias:/alias", filled, "true")
    assert (data_of(volumes, "alias") / "file").read_text() == "text"
    assert volumes("create", "-v", "outside:/outside", filled, "true").returncode == 0
    own = quiet_run(volumes, "--rm", filled, "ls", "-A", "/etc").stdout.split()
    copied = set(os.listdir(data_of(volumes, "outside")))
    assert copied <= set(own), "what is copied is the image's /etc, not the host's"
    assert not set(os.listdir("/etc")) <= copied


def test_a_link_leads_to_the_second_volume_as_to_the_first(volumes, filled):
    """The copy into the first volume follows no links, and leaves that to the next one's path."""
    volumes("create", "-v", "data:/data", "-v", "alias:/alias", filled, "true")
    assert os.listdir(data_of(volumes, "alias"))
    assert sorted(os.listdir(data_of(volumes, "alias"))) == sorted(os.listdir(data_of(volumes, "data")))


def test_a_volume_over_a_file_is_refused_and_nothing_is_left(volumes, filled):
    done = volumes("create", "-v", "odd:/data/file", filled, "true", check=False)
    assert (done.returncode, done.stderr) == (1, "minirun: source /data/file is not directory\n")
    assert volumes("ps", "-aq").stdout == ""
    assert names(volumes) == ["odd"]


def test_options_of_a_mount(volumes, busybox):
    quiet_run(volumes, "--rm", "--mount", "type=volume,src=made,dst=/x,volume-label=a=b", busybox, "touch", "/x/file")
    assert volumes("volume", "inspect", "-f", "{{json .Labels}}", "made").stdout == '{"a":"b"}\n'
    for words in (("-v", "made:/x:ro"), ("--mount", "src=made,dst=/x,readonly")):
        done = quiet_run(volumes, "--rm", *words, busybox, "touch", "/x/file", check=False)
        assert done.returncode == 1
        assert "Read-only file system" in done.stderr
    quiet_run(volumes, "--rm", "--read-only", "-v", "made:/x", busybox, "touch", "/x/file")


def test_a_part_of_a_volume(volumes, busybox):
    script = (
        "mkdir -p /x/a/b; echo inside > /x/a/b/file; ln -s /etc /x/out; ln -s a/b /x/in; mkdir /x/etc; touch /x/etc/own"
    )
    quiet_run(volumes, "--rm", "-v", "data:/x", busybox, "sh", "-c", script)
    for path, content in (("a/b", "file"), ("in", "file"), ("out", "own")):
        words = ("--mount", f"src=data,dst=/y,volume-subpath={path}")
        assert quiet_run(volumes, "--rm", *words, busybox, "ls", "/y").stdout == f"{content}\n", path
        mapped = quiet_run(volumes, "--rm", "--userns", "auto", *words, busybox, "ls", "/y")
        assert mapped.stdout == f"{content}\n", path
    done = quiet_run(volumes, "--rm", "--mount", "src=data,dst=/y,volume-subpath=no", busybox, "true", check=False)
    assert done.returncode == 125
    assert "No such file or directory" in done.stderr


def test_a_part_of_a_volume_is_copied_from_and_to(volumes, busybox, tmp_path):
    quiet_run(
        volumes, "--rm", "-v", "data:/x", busybox, "sh", "-c", "mkdir -p /x/a; echo one > /x/a/f; ln -s /etc /x/out"
    )
    (tmp_path / "new").write_text("two\n")
    volumes(
        "create",
        "--name",
        "box",
        "--network",
        "none",
        "--mount",
        "src=data,dst=/y,volume-subpath=a",
        busybox,
        "sleep",
        "60",
    )
    for _ in range(2):  # at rest, and running
        volumes("cp", "box:/y/f", str(tmp_path / "f"))
        assert (tmp_path / "f").read_text() == "one\n"
        volumes("cp", str(tmp_path / "new"), "box:/y/")
        assert (data_of(volumes, "data") / "a/new").read_text() == "two\n"
        (data_of(volumes, "data") / "a/new").unlink()
        volumes("start", "box")
    volumes("create", "--name", "other", "--mount", "src=data,dst=/y,volume-subpath=out", busybox, "true")
    assert "Could not find the file /y/hosts" in volumes("cp", "other:/y/hosts", "-", check=False).stderr


def test_containers_share_a_volume(volumes, busybox):
    volumes("run", "-d", "--network", "none", "--name", "one", "-v", "both:/x", busybox, "sleep", "60")
    quiet_run(volumes, "--rm", "-v", "both:/y", busybox, "sh", "-c", "echo said > /y/word")
    assert volumes("exec", "one", "cat", "/x/word").stdout == "said\n"


def test_volumes_of_another_container(volumes, busybox, tmp_path):
    volumes("create", "--name", "lender", "-v", "named:/n", "-v", "/anon", "-v", f"{tmp_path}:/host", busybox, "true")
    script = "touch /anon/x /host/x; mkdir /n/x"
    quiet_run(volumes, "--rm", "--volumes-from", "lender", busybox, "sh", "-c", script)
    assert (tmp_path / "x").exists()
    assert (data_of(volumes, "named") / "x").is_dir()
    done = quiet_run(volumes, "--rm", "--volumes-from", "lender:ro", busybox, "touch", "/n/y", "/host/y", check=False)
    assert done.stderr.count("Read-only file system") == 2
    assert len(names(volumes)) == 2, "the lender's anonymous volume outlives a borrower with --rm"
    shared = ("run", "--rm", "--network", "none", "--volumes-from", "lender", "-v", "/anon", busybox, "ls", "/anon")
    assert volumes(*shared).stdout == "x\n", "-v PATH wants a volume there, the lender's will do"
    for text, sentence in (("lender:zz", "invalid mode: zz"), ("nobody", "No such container: nobody")):
        done = volumes("create", "--volumes-from", text, busybox, "true", check=False)
        assert done.stderr == f"minirun: {sentence}\n"
    volumes("create", "--name", "borrower", "--volumes-from", "lender", busybox, "true")
    volumes("rm", "-v", "lender")
    assert len(names(volumes)) == 2
    volumes("rm", "-v", "borrower")
    assert names(volumes) == ["named"]


def test_anonymous_volumes_go_with_their_container_when_that_is_asked_for(volumes, filled):
    quiet_run(volumes, "--rm", "-v", "/x", filled, "true")
    assert names(volumes) == []
    quiet_run(volumes, "--name", "box", "-v", "/x", filled, "true")
    assert len(names(volumes)) == 3, "its own, and one for each VOLUME of the image"
    volumes("rm", "box")
    assert len(names(volumes)) == 3
    assert all(
        "com.docker.volume.anonymous" in text
        for text in volumes("volume", "ls", "--format", "{{.Labels}}").stdout.split()
    )
    quiet_run(volumes, "--name", "box", filled, "true")
    volumes("rm", "-v", "box")
    assert len(names(volumes)) == 3


def test_a_removal_that_was_killed_is_finished(volumes, engine, busybox):
    """The row is all that the next command needs."""
    volumes("volume", "create", "gone")
    (data_of(volumes, "gone") / "file").touch()
    directory = data_of(volumes, "gone").parent
    engine.volume_store.mark("gone", "removing")
    for kept in names(volumes):
        volumes("volume", "rm", kept)  # it says what keeps it
    assert not directory.exists()


def test_what_keeps_a_volume_is_said_and_neither_hides_it_nor_keeps_others(volumes):
    """A mount in it, for instance. What could be removed may be gone."""
    for name in ("busy", "spare"):
        volumes("volume", "create", name)
    place = data_of(volumes, "busy") / "mount"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", place], check=True)
    try:
        for words in (("rm", "busy"), ("prune", "-af"), ("rm", "busy")):
            done = volumes("volume", *words, check=False)
            assert done.returncode == 1
            assert "Error: volume busy: remove the tree: Device or resource busy" in done.stderr
            assert names(volumes) == ["busy"] if "prune" in words else "busy" in names(volumes)
    finally:
        subprocess.run(["umount", place], check=True)
    volumes("volume", "rm", "busy")
    assert names(volumes) == []


def test_a_copy_that_was_killed_is_undone_or_finished(volumes, engine):
    volumes("volume", "create", "half")
    directory = data_of(volumes, "half").parent
    for state, content in (("copying", []), ("filling", ["file"])):
        (directory / "filling").mkdir()
        (directory / "filling/file").touch()
        engine.volume_store.mark("half", state)
        assert volumes("volume", "create", "half").stdout == "half\n"  # or says what it can't finish
        assert os.listdir(directory) == ["_data"]
        assert os.listdir(directory / "_data") == content


def test_inspect_and_ps_show_them(volumes, filled):
    volumes("create", "--name", "box", "-v", "data:/data:ro", "-v", "/x", filled, "true")
    details = json.loads(volumes("inspect", "box").stdout)[0]
    by_place = {mount["Destination"]: mount for mount in details["Mounts"]}
    assert by_place["/data"] == {
        "Type": "volume", "Name": "data", "Source": str(data_of(volumes, "data")), "Destination": "/data",
        "Driver": "local", "Mode": "ro", "RW": False, "Propagation": "",
    }  # fmt: skip
    assert set(by_place) == {"/data", "/x", "/srv/own"}
    assert (by_place["/x"]["Mode"], by_place["/x"]["RW"]) == ("", True)
    assert details["HostConfig"]["Binds"] == ["data:/data:ro"]
    assert set(details["Config"]["Volumes"]) == {"/data", "/srv/own", "/x"}
    assert volumes("ps", "-a", "--format", "{{.LocalVolumes}}").stdout == "3\n"
    assert "data" in volumes("ps", "-a", "--format", "{{.Mounts}}").stdout.strip().split(",")
    assert volumes("ps", "-a", "--format", "{{.Names}}", "-f", "volume=data").stdout == "box\n"
    assert volumes("ps", "-a", "--format", "{{.Names}}", "-f", "volume=/srv/own").stdout == "box\n"


def test_a_container_with_ids_of_its_own_sees_the_images(volumes, filled):
    """The volume's files keep the ids that the image has: the mount shows them under the container's."""
    script = "stat -c %u:%g /data /data/file; touch /data/new"
    done = quiet_run(volumes, "--rm", "--userns", "auto", "-v", "data:/data", filled, "sh", "-c", script)
    assert done.stdout == "12:34\n5:6\n"
    assert (data_of(volumes, "data") / "new").stat().st_uid == 0


def test_a_directory_of_the_host_as_a_volume(volumes, busybox, tmp_path):
    (tmp_path / "file").write_text("host's")
    volumes("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={tmp_path}", "host")
    assert quiet_run(volumes, "--rm", "-v", "host:/x", busybox, "cat", "/x/file").stdout == "host's"
    volumes("volume", "rm", "host")
    assert (tmp_path / "file").exists()


def test_a_directory_of_the_hosts_that_is_empty_begins_with_what_the_image_has(volumes, filled, tmp_path):
    volumes("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={tmp_path}", "host")
    volumes("create", "-v", "host:/data", filled, "true")
    assert (tmp_path / "file").read_text() == "text"
    volumes("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={tmp_path}/gone", "gone")
    done = volumes("create", "-v", "gone:/data", filled, "true", check=False)
    assert f"failed to mount local volume: mount {tmp_path}/gone:" in done.stderr


# ---- file systems of their own


def mounts_below(path: Path) -> list[str]:
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if f"{path}/" in line]


@pytest.fixture
def memory(volumes, roots):
    """A volume that is a tmpfs; no mount is left of it."""
    volumes(
        "volume",
        "create",
        "-o",
        "type=tmpfs",
        "-o",
        "device=tmpfs",
        "-o",
        "o=size=1m,uid=1000,mode=700,noexec",
        "memory",
    )
    yield "memory"
    ids = volumes("ps", "-aq").stdout.split()
    if ids:
        volumes("rm", "-f", *ids)
    assert mounts_below(roots.root / "volumes") == []


def test_containers_that_run_at_once_share_a_file_system_in_memory(volumes, busybox, memory, roots):
    words = ("run", "-d", "--network", "none", "-v", "memory:/v")
    volumes(*words, "--name", "one", busybox, "sleep", "60")
    volumes(*words, "--name", "two", busybox, "sleep", "60")
    volumes("exec", "one", "sh", "-c", "echo said > /v/word")
    shown = volumes("exec", "two", "sh", "-c", "cat /v/word; stat -c %u:%a /v; grep ' /v ' /proc/mounts").stdout
    assert shown.startswith("said\n1000:700\ntmpfs /v tmpfs rw,noexec,")
    assert "size=1024k" in shown
    volumes("cp", "two:/v/word", "-")
    assert len(mounts_below(roots.root / "volumes")) == 1
    volumes("rm", "-f", "one")
    assert volumes("exec", "two", "cat", "/v/word").stdout == "said\n"
    volumes("stop", "two")
    assert mounts_below(roots.root / "volumes") == []
    volumes("start", "two")
    assert volumes("exec", "two", "ls", "/v").stdout == "", "it goes with the last container that runs"


def test_a_file_system_is_found_where_the_data_root_is_a_link(volumes, busybox, memory, roots, tmp_path):
    link = tmp_path / "a link"
    link.symlink_to(roots.root)
    words = ("--root", str(link), "run", "-d", "--network", "none", "-v", "memory:/v")
    volumes(*words, "--name", "one", busybox, "sleep", "60")
    volumes(*words, "--name", "two", busybox, "sleep", "60")
    assert len(mounts_below(roots.root / "volumes")) == 1


def test_a_file_system_is_gone_whatever_was_killed(volumes, busybox, memory, roots):
    volumes("run", "-d", "--network", "none", "-v", "memory:/v", "--name", "one", busybox, "sleep", "60")
    pid = int(volumes("inspect", "-f", "{{.State.Pid}}", "one").stdout)
    monitor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(monitor, signal.SIGKILL)
    until("the next command to see it", lambda: not volumes("ps", "-q").stdout)
    assert mounts_below(roots.root / "volumes") == []
    volumes("cp", "one:/v", "-")
    assert mounts_below(roots.root / "volumes") == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("type=nope device=x", "failed to mount local volume: mount x:"),
        ("type=tmpfs device=x o=bogus=1", ", data: bogus=1: invalid argument"),
        (
            "type=cifs device=//x/y o=addr=127.0.0.1,password=secret,ro",
            ", flags: 0x1, data: addr=127.0.0.1,password=********: ",
        ),
        (
            "type=nfs device=:/x o=addr=nohost.invalid",
            "error resolving passed in network volume address: nohost.invalid: ",
        ),
        ("type=ext4 device=/dev/nosuch", "failed to mount local volume: mount /dev/nosuch:"),
    ],
)
def test_a_file_system_that_can_not_be_mounted_stops_the_container(volumes, busybox, memory, options, says):
    words = [word for option in options.split() for word in ("-o", option)]
    volumes("volume", "create", *words, "broken")
    for copy in ("", ":nocopy"):  # at its creation, or at its start
        done = quiet_run(volumes, "--rm", "-v", "memory:/m", "-v", f"broken:/v{copy}", busybox, "true", check=False)
        assert done.returncode == 125
        assert "error while mounting volume '" in done.stderr
        assert says in done.stderr
    assert "secret" not in done.stderr


def test_a_bind_with_rules_of_its_own_and_options_of_a_mount(volumes, busybox, memory, tmp_path):
    volumes("volume", "create", "-o", "type=none", "-o", "o=bind,ro", "-o", f"device={tmp_path}", "host")
    words = ("-v", "host:/x", "--mount", "dst=/y,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-opt=o=ro")
    shown = quiet_run(volumes, "--rm", *words, busybox, "grep", "-e", " /x ", "-e", " /y ", "/proc/mounts").stdout
    assert [line.split()[1:4:2][1].split(",")[0] for line in shown.splitlines()] == ["ro", "ro"]


def test_the_library_has_the_same_verbs(engine, volumes, busybox):
    volume = engine.create_volume("lib", labels={"a": "b"})
    assert engine.volume("lib") == volume
    assert engine.volumes({"label": ["a"]}) == [volume]
    (usage,) = engine.volume_usage()
    assert (usage.volume, usage.links) == (volume, 0)
    assert usage.size.disk_bytes > 0
    assert engine.create_volume().is_anonymous
    pruned = engine.prune_volumes()
    for failure in pruned.failures:
        raise failure
    assert len(pruned.removed) == 1
    volumes("create", "-v", "lib:/x", busybox, "true")
    with pytest.raises(Conflict):
        engine.remove_volume("lib")
    volumes("rm", *volumes("ps", "-aq").stdout.split())
    engine.remove_volume("lib")
    with pytest.raises(NotFound):
        engine.remove_volume("lib")
    with pytest.raises(InvalidInput):
        engine.create_volume("-x")
    with pytest.raises(NotSupported):
        engine.create_volume("xy", options={"size": "1m"})
    with pytest.raises(InvalidInput):
        engine.prune_volumes({"until": ["1h"]})


def test_a_data_root_that_is_older_than_volumes_gets_them(store):
    root = Path(store.words[store.words.index("--root") + 1])
    with contextlib.closing(sqlite3.connect(root / "minirun.db")) as database:
        database.executescript("DROP TABLE volumes; DROP TABLE events; PRAGMA user_version = 3")
        for column in ("restart_count", "restart_delay_ms", "restart_at_ns", "stopped_by_hand"):
            database.execute(f"ALTER TABLE containers DROP COLUMN {column}")
    assert store("volume", "create", "data").stdout == "data\n"
    assert names(store) == ["data"]


# ---- bad luck


def test_a_command_that_is_killed_leaves_no_volume_half_filled(volumes, filled):
    """Whenever it dies, the volume is afterwards empty or complete, and the next use fills it."""
    whole = ["deep", "file", "host", "pipe", "up"]
    begin = time.monotonic()
    volumes("create", "--name", "first", "-v", "timed:/data", filled, "true")
    took = time.monotonic() - begin
    rounds = 25
    for number in range(rounds):
        name = f"v{number}"
        process = volumes.start("create", "-v", f"{name}:/data", filled, "true")
        with suppress(subprocess.TimeoutExpired):
            process.wait(took * (0.3 + 0.7 * number / rounds))
        process.send_signal(signal.SIGKILL)
        process.wait()
        present = names(volumes, "-f", f"name={name}$")
        if present:
            content = sorted(os.listdir(data_of(volumes, name)))
            assert content in ([], whole)
            assert os.listdir(data_of(volumes, name).parent) == ["_data"]
        volumes("create", "-v", f"{name}:/data", filled, "true")
        assert sorted(os.listdir(data_of(volumes, name))) == whole
