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
PIPES = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


def mount(disk: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", disk], check=True)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 96 MiB, for a data root."""
    mount(tmp_path)
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


def test_a_command_that_has_seen_a_container_end_leaves_its_disk_free(minirun, small_disk, fixture_archive):
    """Its monitor holds the root file system a moment longer than the container itself, but no longer than the command."""
    for options in ([], ["--rm"]) * 5:
        assert on(minirun, small_disk, "import", fixture_archive("busybox"), "busybox").returncode == 0
        done = on(minirun, small_disk, "run", "--network", "none", *options, "busybox", "touch", "/written")
        assert (done.returncode, done.stderr) == (0, "")
        assert on(minirun, small_disk, "system", "prune", "-f").returncode == 0
        subprocess.run(["umount", small_disk], check=True)
        mount(small_disk)


def test_output_that_can_not_be_written_is_said_and_the_container_goes_on(minirun, busybox):
    script = "echo first; sleep 0.1; echo second"
    with open("/dev/full", "w") as full:
        for words in (("run", "--name", "unheard", "--network", "none", busybox), ("exec", "unheard")):
            done = subprocess.run(
                [*minirun.words, *words, "sh", "-c", script],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            prefix = "minirun" if words[0] == "run" else "Error"
            assert done.stderr == f"{prefix}: write the container's output: no space left on device\n"
            assert done.returncode == (125 if words[0] == "run" else 1)
            if words[0] == "run":
                assert minirun("wait", "unheard").stdout == "0\n"
                assert minirun("logs", "unheard").stdout == "first\nsecond\n"
                minirun("rm", "unheard")
                minirun("run", "-d", "--name", "unheard", "--network", "none", busybox, "sleep", "100")
    minirun("rm", "-f", "unheard")


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


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_that_can_not_be_written_ends_the_command(minirun, busybox, stream):
    """Nobody waits for a container that itself waits for its reader, and nobody says that all went well."""
    script = "echo one; echo one >&2; head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; sleep 1000"
    words = [*minirun.words, "run", "--name", "unheard", busybox, "sh", "-c", script]
    with Path("/dev/full").open("wb") as full, subprocess.Popen(words, **{**PIPES, stream: full}) as command:
        said = command.communicate(timeout=30)[1]
    assert command.returncode == 125
    if stream == "stdout":
        assert said.splitlines()[-1].endswith(b"minirun: write the container's output: no space left on device")
    assert minirun("inspect", "--format", "{{.State.Status}}", "unheard").stdout == "running\n"
    minirun("rm", "-f", "unheard")
