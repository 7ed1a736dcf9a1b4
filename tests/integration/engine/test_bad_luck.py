"""Bad luck: a full disk, a host without cgroup v2, a program for another machine, limits and ports that can't be had."""

from __future__ import annotations

import io
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

BUSYBOX = Path("/bin/busybox")
E_MACHINE = slice(18, 20)  # of an ELF header, elf(5)
S390X = (22).to_bytes(2, "little")


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 96 MiB, for a data root."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", tmp_path], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def fill(directory: Path) -> Path:
    """Take all space that is left."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 20))
        except OSError:
            pass
    try:
        with filler.open("ab", buffering=0) as file:
            while True:
                file.write(b"\0")
    except OSError:
        return filler


def on(minirun, disk: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with both roots on another disk."""
    words = [minirun.words[0], "--root", str(disk / "data"), "--run-root", str(disk / "run"), *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_a_full_disk_is_one_line_and_leaves_nothing(minirun, fixture_archive, small_disk):
    archive = str(fixture_archive("busybox"))
    assert on(minirun, small_disk, "import", archive, "busybox").returncode == 0
    assert on(minirun, small_disk, "run", "--rm", "--network", "none", "busybox", "true").returncode == 0
    filler = fill(small_disk)
    refused = on(minirun, small_disk, "run", "--network", "none", "busybox", "true")
    assert refused.returncode == 125
    assert len(refused.stderr.splitlines()) == 1, refused.stderr
    assert "full" in refused.stderr or "No space left" in refused.stderr
    again = on(minirun, small_disk, "import", archive, "other")
    assert again.returncode == 1
    assert len(again.stderr.splitlines()) == 1, again.stderr
    filler.unlink()
    assert on(minirun, small_disk, "ps", "-a", "-q").stdout == ""
    assert on(minirun, small_disk, "images", "-q").stdout.count("\n") == 1
    assert not list((small_disk / "data" / "containers").iterdir())
    assert on(minirun, small_disk, "run", "--rm", "--network", "none", "busybox", "echo", "well").stdout == "well\n"
    cgroups = subprocess.run(
        ["find", "/sys/fs/cgroup", "-name", "minirun-*"], capture_output=True, text=True, check=True
    )
    from minirun import Engine

    with Engine(str(small_disk / "data"), str(small_disk / "run")) as engine:
        engine.networks.destroy()
        engine.hierarchy.destroy()
    assert cgroups.stdout


def test_without_cgroup_v2_one_line_says_what_to_do(minirun, busybox):
    script = 'umount -R -l /sys/fs/cgroup; mount -t tmpfs tmpfs /sys/fs/cgroup; exec "$@"'
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *minirun.words, "run", "--rm", busybox, "true"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 125
    assert "cgroup v2" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_program_for_another_machine_is_no_executable(minirun, tmp_path):
    program = bytearray(BUSYBOX.read_bytes()[:4096])
    program[E_MACHINE] = S390X
    path = tmp_path / "foreign.tar"
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("foreign")
        entry.mode, entry.size = 0o755, len(program)
        archive.addfile(entry, io.BytesIO(program))
    minirun("import", str(path), "foreign")
    try:
        done = minirun("run", "--rm", "foreign", "/foreign", check=False)
        assert done.returncode == 126
        assert 'exec: "/foreign": exec format error' in done.stderr
    finally:
        minirun("rmi", "foreign")


def test_a_limit_above_what_the_host_allows_is_said(minirun, busybox):
    done = minirun("run", "--rm", "--ulimit", f"nofile={2**40}", busybox, "true", check=False)
    assert done.returncode == 125
    assert "nofile" in done.stderr.lower()
    assert len(done.stderr.splitlines()) == 1


def test_a_port_that_a_program_of_the_host_has_is_refused(minirun, busybox):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = minirun("run", "--rm", "-p", f"127.0.0.1:{port}:80", busybox, "true", check=False)
    assert done.returncode == 125
    assert str(port) in done.stderr
    assert "in use" in done.stderr or "allocated" in done.stderr


def test_a_port_is_free_again_after_the_end(minirun, busybox):
    for _ in range(2):
        minirun("run", "--rm", "-p", "127.0.0.1:18431:80", busybox, "true")
    with socket.create_server(("127.0.0.1", 18431)):
        pass
