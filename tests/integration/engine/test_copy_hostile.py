"""`cp`, `diff`, `export` and `commit` against containers that don't want to be copied, full disks, and kills."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until

KILLS = int(os.environ.get("MINIRUN_COPY_KILLS", "12"))

# A directory that is one at one moment, and at the next a link to what must not be reached: as far up as links go.
SWAPPING = """
mkdir -p /a/real/deep /swap; for i in 1 2 3 4 5 6 7 8; do echo $i > /a/real/deep/$i; done; ln -s {target} /a/away
while :; do mv /a/real /a/kept; ln -s {target} /a/real; touch /ready; rm /a/real; mv /a/kept /a/real; done
"""


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A directory of the host that no copy may touch or show."""
    directory = tmp_path / "canary"
    (directory / "deep").mkdir(parents=True)
    for number in range(1, 9):
        (directory / "deep" / str(number)).write_text("SECRET OF THE HOST")
    return directory


def state(directory: Path) -> list[tuple[object, ...]]:
    """Everything that a copy could have changed, times and owners included."""
    return sorted(
        (str(path), path.lstat().st_mode, path.lstat().st_uid, path.lstat().st_mtime_ns, path.lstat().st_ctime_ns)
        for path in (directory, *directory.rglob("*"))
    )


def test_a_container_that_swaps_links_leads_no_copy_out_of_it(minirun, run_container, busybox, canary, tmp_path):
    # Inside, the path of the canary leads to what the container has there: nothing, or its own.
    name = run_container("--network", "none", busybox, "sh", "-c", SWAPPING.format(target=canary))
    minirun("exec", name, "mkdir", "-p", f"{canary}/deep")
    until("the links are swapped", lambda: minirun("exec", name, "test", "-e", "/ready", check=False).returncode == 0)
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    for number in range(1, 9):
        (source / "deep" / str(number)).write_text("from outside")
    os.mkfifo(source / "deep/fifo", 0o666)
    before = state(canary)
    for number in range(12):
        minirun("cp", f"{name}:/a/real", str(tmp_path / f"out-{number}"), check=False)
        minirun("cp", f"{source}/.", f"{name}:/a/real", check=False)
        minirun("cp", str(source / "deep/1"), f"{name}:/a/real/deep/9", check=False)
        exported = minirun("cp", f"{name}:/a", "-", check=False)
        assert "SECRET" not in exported.stdout
    assert state(canary) == before
    for directory, _, names in os.walk(
        tmp_path
    ):  # follows no link: one that leads to the canary may well have been copied
        for path in (Path(directory, name) for name in names if directory.startswith(str(tmp_path / "out-"))):
            assert path.is_symlink() or not path.is_file() or "SECRET" not in path.read_text()


def test_a_link_to_the_host_is_a_link_inside(minirun, run_container, busybox, canary, tmp_path):
    name = run_container("--network", "none", busybox, "sleep", "600")
    script = f"ln -s {canary} /abs; ln -s ../../../../../../../..{canary} /up; ln -s /proc/1/root/{canary} /magic"
    script += "; ln -s /proc/self/root /self"
    minirun("exec", name, "sh", "-c", script)
    before = state(canary)
    (tmp_path / "file").write_text("x")
    for link in ("abs", "up", "magic", f"self{canary}"):
        assert minirun("cp", f"{name}:/{link}/deep/1", str(tmp_path / "out"), check=False).returncode == 1
        assert minirun("cp", "-L", f"{name}:/{link}", str(tmp_path / "out"), check=False).returncode == 1
        assert minirun("cp", str(tmp_path / "file"), f"{name}:/{link}/deep/1", check=False).returncode == 1
        assert minirun("cp", str(tmp_path / "file"), f"{name}:/{link}/", check=False).returncode == 1
    assert not (tmp_path / "out").exists()
    assert state(canary) == before


def test_an_archive_from_outside_stays_inside(minirun, run_container, busybox, canary):
    name = run_container("--network", "none", busybox, "sleep", "600")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(canary)
        tar.addfile(link)
        for path in ("link/deep/1", ".wh.passwd"):
            file = tarfile.TarInfo(path)
            file.size = 3
            tar.addfile(file, io.BytesIO(b"new"))
    before = state(canary)
    minirun("cp", "-", f"{name}:/", stdin=data.getvalue(), check=False)
    assert state(canary) == before
    up = io.BytesIO()
    with tarfile.open(fileobj=up, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(f"../../../..{canary}/planted"))
    refused = minirun("cp", "-", f"{name}:/tmp", stdin=up.getvalue(), check=False)
    assert (refused.returncode, "leaves the archive's directory" in refused.stderr) == (1, True)
    assert state(canary) == before
    whiteout = io.BytesIO()
    with tarfile.open(fileobj=whiteout, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(".wh.passwd"))
    minirun("cp", "-", f"{name}:/etc", stdin=whiteout.getvalue())
    assert minirun("exec", name, "ls", "/etc/passwd", "/etc/.wh.passwd").returncode == 0
    refused = minirun("commit", name, "made-of-whiteout", check=False)
    assert (refused.returncode, "begins with .wh." in refused.stderr) == (1, True)


def test_no_device_is_opened_and_no_fifo_waited_for(minirun, run_container, busybox, tmp_path):
    name = run_container("--network", "none", busybox, "sleep", "600")
    minirun("exec", name, "sh", "-c", "mkdir /d; mkfifo /d/fifo; mknod /d/watchdog c 10 130; mknod /d/tty c 5 0")
    listed = minirun("cp", f"{name}:/d", "-", timeout=20).stdout
    assert "watchdog" in listed
    minirun("cp", f"{name}:/d/fifo", str(tmp_path / "fifo"), timeout=20)
    assert (tmp_path / "fifo").is_fifo()
    refused = minirun("cp", str(tmp_path), f"{name}:/d/tty", check=False)
    assert (refused.returncode, "must be a directory or a regular file" in refused.stderr) == (1, True)


def test_deep_and_odd_trees_are_said_in_a_sentence_or_done(minirun, run_container, busybox, tmp_path):
    name = run_container("--network", "none", busybox, "sleep", "600")
    some = "d/" * 100
    deep = f"mkdir -p /x; cd /x; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do mkdir -p {some} && cd {some} || exit 1; done"
    deep += f"; mkdir -p {some[:-2]} && cd {some[:-2]} && echo x > f && mv /x {{}}"
    minirun("exec", name, "sh", "-c", deep.format("/d"))
    changes = minirun("diff", name).stdout.splitlines()
    assert len(changes) == 1501
    assert changes[-1] == "A /" + "d/" * 1500 + "f"
    minirun("export", "-o", str(tmp_path / "x.tar"), name)
    minirun("exec", name, "sh", "-c", deep.format("/" + "d/" * 1500 + "d"))
    for words in (("diff", name), ("export", "-o", str(tmp_path / "x.tar"), name), ("commit", name)):
        refused = minirun(*words, check=False)
        assert refused.returncode == 1
        assert "File name too long" in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == ["x.tar"]


def test_owners_inside_a_user_namespace_are_those_of_the_container(minirun, busybox, engine, tmp_path):
    (tmp_path / "file").write_text("x")
    os.chown(tmp_path / "file", 7, 8)
    (tmp_path / "data").mkdir()
    volume = f"{tmp_path}/data:/data:idmap"
    words = ("--network", "none", "--userns", "auto", "--name", "mapped", "-v", volume, busybox)
    minirun("create", *words, "sleep", "600")
    try:
        look = ("exec", "mapped", "stat", "-c", "%u:%g", "/etc/one", "/etc/two", "/etc")
        minirun("cp", str(tmp_path / "file"), "mapped:/etc/one")  # at rest: /etc is copied up
        minirun("start", "mapped")
        minirun("cp", str(tmp_path / "file"), "mapped:/etc/two")
        assert minirun(*look).stdout.split() == ["7:8", "7:8", "0:0"]
        minirun("cp", str(tmp_path / "file"), "mapped:/data")
        assert minirun("exec", "mapped", "stat", "-c", "%u:%g", "/data/file").stdout == "7:8\n"
        assert ((tmp_path / "data/file").stat().st_uid, (tmp_path / "data/file").stat().st_gid) == (7, 8)
        assert minirun("diff", "mapped").stdout.split() == ["A", "/data", "C", "/etc", "A", "/etc/one", "A", "/etc/two"]
        for _ in range(2):  # running, then at rest
            with tarfile.open(
                fileobj=io.BytesIO(minirun("export", "mapped").stdout.encode(errors="surrogateescape"))
            ) as tar:
                owners = {entry.name: (entry.uid, entry.gid) for entry in tar}
            assert (owners["etc/one"], owners["etc"], owners["bin/busybox"]) == ((7, 8), (0, 0), (0, 0))
            minirun("kill", "mapped", check=False)
            minirun("wait", "mapped")
        minirun("commit", "mapped", "made-of-mapped")
        minirun("rm", "mapped")
        listed = minirun(
            "run", "--rm", "--network", "none", "made-of-mapped", "stat", "-c", "%u:%g", "/etc/one", "/etc"
        )
        assert listed.stdout.split() == ["7:8", "0:0"]
    finally:
        minirun("rm", "-f", "mapped", check=False)
        minirun("rmi", "-f", "made-of-mapped", check=False)


@pytest.fixture
def small_root(tmp_path: Path, minirun, busybox) -> Iterator[list[str]]:
    """A data root on a disk of 90 MiB, with the image busybox; gives the words of the command line."""
    disk = tmp_path / "disk"
    disk.mkdir()
    words = [minirun.words[0], "--root", str(disk / "data"), "--run-root", str(tmp_path / "run")]
    archive = tmp_path / "busybox.tar"
    minirun("save", "-o", str(archive), busybox)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=90m", "none", disk], check=True)
    try:
        subprocess.run([*words, "load", "-i", archive], check=True, capture_output=True)
        yield words
    finally:
        subprocess.run([*words, "rm", "-f", "full"], check=False, capture_output=True)
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_is_one_line_and_leaves_nothing(small_root, tmp_path):
    def call(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*small_root, *words], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]

    assert call("create", "--network", "none", "--name", "full", "busybox", "true").returncode == 0
    (tmp_path / "big").write_bytes(b"x" * (40 << 20))
    assert call("cp", str(tmp_path / "big"), "full:/big").returncode == 0
    store = Path(small_root[2])
    assert call("diff", "full").stdout.splitlines() == ["A /big"]
    before = sorted(str(path) for path in store.rglob("*"))
    refused = call("commit", "full", "too-big")
    assert (refused.returncode, refused.stderr.count("\n"), "free some space" in refused.stderr) == (1, 1, True), (
        refused.stderr
    )
    assert sorted(str(path) for path in store.rglob("*")) == before
    assert "too-big" not in call("images").stdout
    (tmp_path / "bigger").write_bytes(b"x" * (60 << 20))
    refused = call("cp", str(tmp_path / "bigger"), "full:/bigger")
    assert (refused.returncode, refused.stderr.count("\n"), "free some space" in refused.stderr) == (1, 1, True), (
        refused.stderr
    )
    assert call("diff", "full").stdout.splitlines() == ["A /big"], "half a file is left"


def is_frozen(minirun, name: str) -> bool:
    pid = minirun("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    path = next(line.split(":", 2)[2] for line in lines if line.startswith("0::"))
    mount = next(
        line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[2] == "cgroup2"
    )
    return "frozen 1" in Path(f"{mount}{path}/cgroup.events").read_text()


def test_a_container_is_paused_while_it_is_committed_and_goes_on_whatever_happens(
    minirun, run_container, busybox, roots
):
    name = run_container(
        "--network", "none", busybox, "sh", "-c", "dd if=/dev/zero of=/big bs=1M count=60 2>/dev/null; exec sleep 600"
    )
    until(
        "the file is there",
        lambda: minirun("exec", name, "stat", "-c", "%s", "/big", check=False).stdout.strip() == "62914560",
    )
    before = minirun("images", "-q", "--no-trunc").stdout
    seen = False
    for _ in range(20):
        command = minirun.start("commit", name, "never-made", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while command.poll() is None and not (seen := is_frozen(minirun, name)):
            pass
        command.send_signal(signal.SIGKILL)
        command.wait()
        if seen:
            break
    assert seen, "it was never frozen"
    minirun("ps")  # whatever comes next
    until("the container goes on", lambda: minirun("exec", name, "true", timeout=20).returncode == 0)
    minirun("rmi", "never-made", check=False)
    assert minirun("images", "-q", "--no-trunc").stdout == before
    assert os.listdir(roots.root / "snapshots/staging") == []
    minirun("pause", name)
    minirun("commit", name, "made-of-a-paused-one")
    assert is_frozen(minirun, name)
    minirun("cp", "/etc/hostname", f"{name}:/into-a-paused-one")
    minirun("unpause", name)
    minirun("rmi", "made-of-a-paused-one")
    minirun("commit", "--pause=false", name, "made-without-a-pause")
    minirun("rmi", "made-without-a-pause")


def is_frozen_now(minirun, name: str) -> bool:
    return is_frozen(minirun, name)


def test_a_kill_at_any_moment_leaves_nothing_half_made(minirun, busybox, roots, tmp_path):
    chance = random.Random(7)
    minirun("create", "--network", "none", "--name", "victim", busybox, "true")
    (tmp_path / "file").write_bytes(os.urandom(8 << 20))
    minirun("cp", str(tmp_path / "file"), "victim:/file")
    before = minirun("images", "-q", "--no-trunc").stdout
    target = tmp_path / "out"
    target.mkdir()
    acts = (
        ("commit", "victim", "made-by-victim"),
        ("export", "-o", str(target / "x.tar"), "victim"),
        ("save", "-o", str(target / "y.tar"), busybox),
        ("cp", str(tmp_path / "file"), "victim:/file"),
    )
    for words in acts:
        began = time.monotonic()
        minirun(*words)
        length = time.monotonic() - began
        minirun("rmi", "made-by-victim", check=False)
        for _ in range(KILLS // len(acts)):
            command = minirun.start(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.random() * length)
            command.kill()
            command.wait()
            minirun("ps")
            assert os.listdir(roots.root / "snapshots/staging") == []
            if minirun("images", "-q", "made-by-victim").stdout:
                assert (
                    minirun("run", "--rm", "--network", "none", "made-by-victim", "stat", "-c", "%s", "/file").stdout
                    == f"{8 << 20}\n"
                )
                minirun("rmi", "made-by-victim")
            assert minirun("images", "-q", "--no-trunc").stdout == before
    minirun("rm", "victim")
    assert sorted(os.listdir(target)) == ["x.tar", "y.tar"]
    for path in (target / "x.tar", target / "y.tar"):
        subprocess.run(["tar", "-tf", path], check=True, capture_output=True)
