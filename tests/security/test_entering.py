"""What a container can reach through the processes that enter it: descriptors, programs, directories, terminals, keys, Python.

Of `minirun-oci` and of `minirun`; the attacker runs as root inside, before, while and after somebody enters.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import minirun as package
from tests.security.conftest import SECRET, Bundle
from tests.waiting import until

ENTRIES = 10
PACKAGE = Path(package.__file__).parent


def programs() -> dict[str, str]:
    """Give the hash of every program of ours and of the interpreter and its libraries that a container might overwrite."""
    paths = [
        Path(sys.executable).resolve(),
        PACKAGE / "monitor/minirun-monitor",
        PACKAGE / "runtime/minirun-spawn",
        *PACKAGE.glob("*.so"),
        *(Path(sys.executable).parent / name for name in ("minirun", "minirun-oci")),
    ]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture
def unchanged_programs() -> Iterator[None]:
    before = programs()
    yield
    assert programs() == before


# ---- Programs and processes ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchanged_programs")
def test_cve_2019_5736_and_2016_9962_nothing_of_the_host_is_reached_through_an_exec(
    bundle: Bundle, canary: Path
) -> None:
    with bundle.running("attack", "watch", f"{canary}/secret") as name:
        bundle.wait_for(name, "watching")
        for _ in range(ENTRIES):
            assert bundle("exec", name, "true").returncode == 0
            bundle("exec", name, "/proc/self/exe")
        assert bundle.output(name) == "watching\n"


@pytest.mark.usefixtures("unchanged_programs")
def test_cve_2019_5736_a_first_program_that_is_the_runtime_itself(bundle: Bundle) -> None:
    script = bundle.rootfs / "bin/again"
    script.write_text("#!/proc/self/exe\n")
    script.chmod(0o755)
    for command in ("/bin/again", "/proc/self/exe", "/proc/self/fd/3"):
        assert "Traceback" not in bundle.run(command).stderr


@pytest.mark.parametrize(
    "options",
    [(), ("--userns", "auto"), ("--userns", "auto", "--cap-add", "SYS_PTRACE")],
    ids=["plain", "userns", "userns-ptrace"],
)
@pytest.mark.usefixtures("unchanged_programs")
def test_cve_2019_5736_and_2016_9962_nothing_of_the_host_is_reached_through_minirun_exec(
    minirun, busybox, run_container, canary, attack, tmp_path, options
) -> None:
    """With a user namespace of the container's own not even by CAP_SYS_PTRACE: it isn't good for what the host sends in."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shutil.copy(attack, shared / "attack")
    bind = ("-v", f"{shared}:/bin/attacks:ro")
    name = run_container(*options, *bind, busybox, "/bin/attacks/attack", "watch", f"{canary}/secret")
    until("the attack", lambda: "watching" in minirun("logs", name).stdout)
    for _ in range(ENTRIES):
        minirun("exec", name, "true")
        minirun("exec", "--privileged", name, "true")
        minirun("exec", name, "/proc/self/exe", check=False)
    assert minirun("logs", name).stdout == "watching\n"


# ---- Descriptors ---------------------------------------------------------------------------------------------------


def holding(numbers: list[int], directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command that inherits these descriptors of a directory, as from a careless shell."""
    opened = " ".join(f'{number}<"$1"' for number in numbers)
    command = ["bash", "-c", f'exec {opened}; shift; exec "$@"', "bash", str(directory), *words]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 32, 63])
def test_cve_2024_21626_no_descriptor_serves_as_working_directory(bundle: Bundle, canary: Path, number: int) -> None:
    bundle.config["process"]["cwd"] = f"/proc/self/fd/{number}"
    bundle.config["process"]["args"] = ["cat", "secret"]
    bundle.write()
    done = holding([number], canary, *bundle.words, "run", "--bundle", str(bundle.path), "cwd")
    assert done.returncode == 1
    assert SECRET not in done.stdout


def test_cve_2024_21626_nor_for_a_further_process(bundle: Bundle) -> None:
    with bundle.running("sleep", "1000") as name:
        for number in (*range(3, 20), 31, 63):
            done = bundle("exec", "--cwd", f"/proc/self/fd/{number}", name, "pwd")
            assert (done.returncode, done.stdout) == (255, ""), number


def test_descriptors_stay_outside_unless_they_are_preserved(bundle: Bundle, canary: Path) -> None:
    listing = ("ls", "/proc/self/fd")
    bundle.config["process"]["args"] = list(listing)
    bundle.write()
    run = [*bundle.words, "run", "--bundle", str(bundle.path)]
    # the last one is ls reading the directory
    assert holding([3, 4, 9, 20], canary, *run, "none").stdout.split() == ["0", "1", "2", "3"]
    assert holding([3, 4, 9, 20], canary, *run, "--preserve-fds", "2", "two").stdout.split() == [
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
    ]
    with bundle.running("sleep", "1000") as name:
        assert holding([3, 4, 9], canary, *bundle.words, "exec", name, *listing).stdout.split() == ["0", "1", "2", "3"]


# ---- Terminals, keys, sockets --------------------------------------------------------------------------------------


def test_cve_2017_5226_nothing_is_pushed_into_the_callers_terminal(bundle: Bundle) -> None:
    """Root inside lacks CAP_SYS_ADMIN, and the terminal that it was given as standard input isn't its own."""
    master, slave = os.openpty()
    try:
        settings = termios.tcgetattr(slave)
        settings[3] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        done = bundle.run("attack", "push", stdin=slave)
        assert done.stdout == ""
        waiting = struct.unpack("i", fcntl.ioctl(slave, termios.FIONREAD, b"\0" * 4))[0]
        assert waiting == 0
        with bundle.running("sleep", "1000") as name:
            assert bundle("exec", name, "attack", "push", stdin=slave).stdout == ""
        assert struct.unpack("i", fcntl.ioctl(slave, termios.FIONREAD, b"\0" * 4))[0] == 0
    finally:
        os.close(master)
        os.close(slave)


def test_the_session_keyring_is_the_containers_own(bundle: Bundle, attack: Path) -> None:
    host = subprocess.run([attack, "session"], capture_output=True, text=True, check=True).stdout
    with bundle.running("sleep", "1000") as name:
        further = bundle("exec", name, "attack", "session").stdout
    sessions = [host, bundle.run("attack", "session").stdout, bundle.run("attack", "session").stdout, further]
    assert all(int(number) > 0 for number in sessions[1:])
    assert len(set(sessions)) == 4


def test_cve_2020_15257_no_abstract_socket_listens_for_containers(minirun, busybox, run_container) -> None:
    run_container("-i", busybox, "sleep", "1000")
    sockets = minirun("run", "--rm", "--network", "host", busybox, "cat", "/proc/net/unix").stdout
    assert "Path" in sockets.splitlines()[0]
    assert not [line for line in sockets.splitlines() if "@" in line and "minirun" in line]


# ---- Programs of the image that the host must not run -----------------------------------------------------------------


TRAPS = (
    "etc/ld.so.preload", "etc/nsswitch.conf", "etc/ld.so.cache", "etc/python3/sitecustomize.py",
    "usr/lib/python3/encodings/__init__.py", "usr/lib/python3.11/encodings/__init__.py", "usr/lib/python3.11/os.py",
    "lib/x86_64-linux-gnu/libnss_files.so.2", "lib/x86_64-linux-gnu/libc.so.6", "usr/lib/locale/locale-archive",
    "usr/lib/x86_64-linux-gnu/gconv/gconv-modules", "etc/localtime", "usr/bin/ps", "usr/bin/nsenter", "usr/bin/xz",
)  # fmt: skip


def test_cve_2019_14271_and_2022_1227_no_library_or_program_of_the_image_is_opened_from_outside(bundle: Bundle) -> None:
    """Each trap is a pipe without a writer: who opens one to read stays there for ever."""
    for trap in TRAPS:
        (bundle.rootfs / trap).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(bundle.rootfs / trap)
    with bundle.running("sleep", "1000") as name:
        assert bundle("exec", name, "echo", "inside", timeout=20).stdout == "inside\n"
        for verb in ("ps", "state", "pause", "resume"):
            assert bundle(verb, name, timeout=20).returncode == 0, verb
        bundle("kill", name, "KILL", timeout=20)


@pytest.mark.parametrize("program", ["minirun", "minirun-oci"])
def test_no_python_of_the_directory_or_the_environment_is_run(program: str, tmp_path: Path) -> None:
    """`sudo minirun ps` in a directory that somebody else filled."""
    marker = tmp_path / "marker"
    for module in ("json", "socket", "os", "sitecustomize", "usercustomize", "minirun", "re", "errno"):
        (tmp_path / f"{module}.py").write_text(f"open({str(marker)!r}, 'w').write({module!r})\n")
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "PYTHONSTARTUP": str(tmp_path / "json.py"),
        "PYTHONHOME": str(tmp_path),
        "PYTHONINSPECT": "1",
    }
    words = [str(Path(sys.executable).parent / program), "--root", str(tmp_path / "root")]
    words += ["--run-root", str(tmp_path / "run"), "ps"] if program == "minirun" else ["list"]
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, stdin=subprocess.DEVNULL, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not marker.exists()


def test_cve_2018_20699_giant_ranges_cost_no_memory(bundle: Bundle) -> None:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for cpus in ("0-2147483647", "0-99999999999999", "0," * 200_000 + "1", "4294967296"):
        bundle.config["linux"]["resources"] = {"cpu": {"cpus": cpus}}
        before = time.monotonic()
        bundle.write()
        process = subprocess.Popen(
            [*bundle.words, "create", "--bundle", str(bundle.path), "giant"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 1, cpus[:30]
        # A child counts from its parent's size on: it had that until exec. getrusage(2)
        assert usage.ru_maxrss < own + 100 * 1024, cpus[:30]
        assert time.monotonic() - before < 10


def test_who_waits_for_its_start_holds_nothing_of_the_host(bundle: Bundle, canary: Path) -> None:
    """Created, and perhaps never started: its descriptors are its streams, those that were preserved, and the gate's two pipes."""
    bundle.config["process"]["args"] = ["true"]
    bundle.write()
    words = [*bundle.words, "create", "--bundle", str(bundle.path), "--preserve-fds", "1", "waiting"]
    inherited = f'exec 3<"{canary}" 8<"{canary}" >/dev/null 2>&1; exec "$@"'
    subprocess.run(["bash", "-c", inherited, "bash", *words], stdin=subprocess.DEVNULL, check=True, timeout=60)
    pid = json.loads(bundle("state", "waiting").stdout)["pid"]
    held = {int(entry): os.readlink(f"/proc/{pid}/fd/{entry}") for entry in os.listdir(f"/proc/{pid}/fd")}
    assert sorted(held)[:4] == [0, 1, 2, 3]
    assert held[3] == str(canary)
    assert sorted(held[number] for number in held if number > 3) == [
        f"{bundle.state}/waiting/{end}" for end in ("gate", "verdict")
    ]
    assert bundle("start", "waiting").returncode == 0
