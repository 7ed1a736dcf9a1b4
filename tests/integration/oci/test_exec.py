"""`exec`: further processes in a running container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.oci.conftest import Oci
from tests.integration.oci.test_terminal import Console
from tests.terminal import Terminal
from tests.waiting import until

ID = f"exec-{os.getpid()}"
NOBODY = {"uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 1000}]}
NOBODY["gidMappings"] = NOBODY["uidMappings"]


def kernel_sets(text: str) -> dict[str, str]:
    """Give the capability sets of a /proc/PID/status."""
    return dict(line.split() for line in text.splitlines() if line.startswith("Cap"))


def test_it_is_in_the_containers_namespaces_and_cgroup(oci: Oci, container: str) -> None:
    pid = oci.state(container)["pid"]
    shown = oci(
        "exec", container, "sh", "-c", "for n in /proc/self/ns/*; do readlink $n; done; cat /proc/self/cgroup; echo $$"
    ).stdout
    for kind in ("pid", "ipc", "uts", "mnt", "net"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") in shown.splitlines()
    assert Path(f"/proc/{pid}/cgroup").read_text() in shown


@pytest.mark.parametrize("code", [0, 1, 42, 254, 255])
def test_the_exit_code_is_the_programs(oci: Oci, container: str, code: int) -> None:
    assert oci("exec", container, "sh", "-c", f"exit {code}", check=False).returncode == code


def test_a_program_ended_by_a_signal(oci: Oci, container: str) -> None:
    assert oci("exec", container, "sh", "-c", "kill -KILL $$", check=False).returncode == 137


@pytest.mark.parametrize("command", [("nonesuch",), ("/etc",), ("--cwd", "/nonesuch", "x", "true")])
def test_a_process_that_cannot_be_made_gives_255(oci: Oci, container: str, command: tuple[str, ...]) -> None:
    words = [container if word == "x" else word for word in command] if "x" in command else [container, *command]
    assert oci("exec", *words, check=False).returncode == 255
    assert len(json.loads(oci("ps", "--format", "json", container).stdout)) == 1


def test_a_directory_is_called_one(oci: Oci, container: str) -> None:
    assert r"exec: \"/etc\": is a directory" in oci("exec", container, "/etc", check=False).stderr


def test_user_directory_and_environment(oci: Oci, container: str) -> None:
    script = "id -u; id -g; id -G; pwd; echo $A $B $PATH"
    words = ("--user", "1000:1001", "-g", "5,6", "--cwd", "/data", "-e", "A=1 2", "-e", "B=x", "-e", "B=y")
    assert oci("exec", *words, container, "sh", "-c", script).stdout.splitlines() == [
        "1000",
        "1001",
        "1001 5 6",
        "/data",
        "1 2 y /bin",
    ]


def test_capabilities_are_added_for_root_and_bound_for_others(oci: Oci, container: str) -> None:
    bit = 1 << 12  # CAP_NET_ADMIN
    plain = kernel_sets(oci("exec", container, "cat", "/proc/self/status").stdout)
    assert not int(plain["CapEff:"], 16) & bit
    for user, effective in (("0", bit), ("1000", 0)):
        words = ("--cap", "CAP_NET_ADMIN", "--user", user)
        sets = kernel_sets(oci("exec", *words, container, "cat", "/proc/self/status").stdout)
        assert int(sets["CapEff:"], 16) & bit == effective
        assert int(sets["CapBnd:"], 16) & bit
        assert not int(sets["CapAmb:"], 16) & bit
    assert oci("exec", "--cap", "CAP_NONESUCH", container, "true", check=False).returncode != 0


def test_a_process_from_a_file(oci: Oci, container: str) -> None:
    process = {"args": ["sh", "-c", "echo $A; pwd; exit 4"], "cwd": "/tmp", "env": ["A=b", "PATH=/bin"]}
    (oci.top / "process.json").write_text(json.dumps({**process, "user": {"uid": 5, "gid": 5}}))
    done = oci("exec", "--process", str(oci.top / "process.json"), container, check=False)
    assert (done.returncode, done.stdout) == (4, "b\n/tmp\n")


def test_detached_with_a_pid_file(oci: Oci, container: str) -> None:
    oci("exec", "--detach", "--pid-file", str(oci.top / "pid"), container, "sleep", "1000")
    pid = int((oci.top / "pid").read_text())
    assert str(pid) == (oci.top / "pid").read_text()
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x001000\x00"
    assert pid in json.loads(oci("ps", "--format", "json", container).stdout)


def test_a_pid_file_that_cannot_be_written_leaves_no_process(oci: Oci, container: str) -> None:
    for words in (("--detach",), ()):
        done = oci("exec", *words, "--pid-file", "/nonexistent/pid", container, "sleep", "1000", check=False)
        assert done.returncode == 255
        until("the process to be gone", lambda: len(json.loads(oci("ps", "--format", "json", container).stdout)) == 1)


def test_a_console_socket_that_nobody_listens_on_leaves_no_process(oci: Oci, container: str) -> None:
    words = ("-d", "-t", "--console-socket", str(oci.top / "nobody"))
    assert oci("exec", *words, container, "sleep", "1000", check=False).returncode == 255
    until("the process to be gone", lambda: len(json.loads(oci("ps", "--format", "json", container).stdout)) == 1)


def test_a_terminal_by_socket(oci: Oci, container: str, tmp_path: Path) -> None:
    console = Console(tmp_path / "console")
    try:
        oci("exec", "-d", "-t", "--console-socket", console.path, container, "sh", "-c", "tty; sleep 1000")
        _, master = console.receive()
        assert os.read(master, 100).startswith(b"/dev/pts/")
        os.close(master)
    finally:
        console.socket.close()


def test_a_person_at_a_terminal(oci: Oci, container: str) -> None:
    with Terminal(oci.words("exec", "-t", container, "sh"), rows=31, columns=91) as terminal:
        terminal.send("stty size\n")
        terminal.expect("31 91")
        terminal.send("exit 3\n")
        assert terminal.wait() == 3


def test_preserved_descriptors(oci: Oci, container: str) -> None:
    script = 'exec 3< /etc/hostname 4< /etc/passwd; exec "$@"'
    look = "for n in 3 4 5 6 7 8 9 10; do [ -e /proc/$$/fd/$n ] && echo $n; done"
    words = oci.words("exec", "--preserve-fds", "1", container, "sh", "-c", look)
    done = subprocess.run(["sh", "-c", script, "sh", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["3"]
    assert oci("exec", "--preserve-fds", "1", container, "true", check=False).returncode == 255


def test_into_a_user_namespace(oci: Oci) -> None:
    os.chmod(oci.top, 0o755)
    for path in (oci.top.parent, oci.top.parent.parent):
        os.chmod(path, 0o755)
    oci.config("sleep", "1000", namespaces=("pid", "ipc", "uts", "mount", "user"), linux=NOBODY)
    oci("run", "--detach", ID)
    assert oci("exec", ID, "sh", "-c", "id -u; cat /proc/self/uid_map").stdout.split() == ["0", "0", "100000", "1000"]
    assert oci("exec", "--user", "7:8", ID, "sh", "-c", "id -u; id -g").stdout.split() == ["7", "8"]
    with Terminal(oci.words("exec", "-t", ID, "tty")) as terminal:
        terminal.expect("/dev/pts/")
        assert terminal.wait() == 0
    oci("exec", "--detach", "--pid-file", str(oci.top / "pid"), ID, "sleep", "1000")
    assert os.stat(f"/proc/{(oci.top / 'pid').read_text()}").st_uid == 100_000


def test_into_a_container_that_is_not_running(oci: Oci) -> None:
    oci.config("true")
    oci("run", "--detach", ID)
    oci.wait_until(ID, "stopped")
    done = oci("exec", ID, "true", check=False)
    assert done.returncode == 255
    assert "cannot exec in a stopped container" in done.stderr
    assert "container does not exist" in oci("exec", "nonesuch", "true", check=False).stderr


def test_into_a_container_before_its_start(oci: Oci) -> None:
    oci.config("sleep", "1000")
    oci("create", ID)
    assert oci("exec", ID, "echo", "on").stdout == "on\n"


def test_a_killed_exec_does_not_take_the_container_along(oci: Oci, container: str) -> None:
    with subprocess.Popen(oci.words("exec", container, "sh", "-c", "echo > /data/in; sleep 1000")) as process:
        until("it to run", (oci.rootfs / "data/in").exists)
        process.kill()
    assert oci.state(container)["status"] == "running"


def test_nothing_of_ours_is_seen_inside(oci: Oci, container: str) -> None:
    script = "for n in 0 1 2 3 4 5 6 7 8 9 10 11 12; do [ -e /proc/$$/fd/$n ] && echo $n; done; env"
    shown = oci("exec", container, "sh", "-c", script, env={**os.environ, "SECRET": "x"}).stdout.split()
    assert shown[:3] == ["0", "1", "2"]
    assert set(shown[3:]) <= {"PATH=/bin", "HOME=/root", "HOME=/", "PWD=/", "SHLVL=1"}


def test_into_a_container_that_ends_at_this_moment(oci: Oci) -> None:
    """Whatever comes first: it ran, or the container wasn't there or running any more. Never half of an entry's error."""
    sentences = ("", "cannot exec in a stopped container", "container does not exist")
    for number in range(12):
        oci.config("sleep", f"0.{number}")
        oci("run", "--detach", ID)
        entering = [oci.start_process("exec", ID, "true", stderr=subprocess.PIPE) for _ in range(4)]
        oci("delete", "--force", ID)
        for process in entering:
            said = process.communicate(timeout=60)[1].decode()
            assert process.returncode in (0, 137, 255)
            assert any(sentence in said if sentence else said == "" for sentence in sentences), said


def test_one_that_the_container_holds_up_can_be_ended(oci: Oci, container: str) -> None:
    """What comes in can be stopped by whoever is there. The first ctrl-C is the program's, once it runs; the second one is ours."""
    oci("pause", container)
    frozen = Path(oci.cgroups()[0], "cgroup.procs")
    held = oci.start_process("exec", "--ignore-paused", container, "sleep", "1000")
    until("it to be in the cgroup", lambda: len(frozen.read_text().split()) == 2)

    def ended() -> bool:
        held.send_signal(signal.SIGINT)
        return held.poll() is not None

    until("its end", ended)
    assert held.returncode == 130
    oci("resume", container)
    until("nobody but the first process", lambda: len(frozen.read_text().split()) == 1)


INTERRUPTED_AFTER_THE_PLAN = """
from minirun.oci.main import main
from minirun.runtime.process import Maker
send = Maker._send
def interrupted(maker, kind, value, descriptor=-1):
    send(maker, kind, value, descriptor)
    if descriptor >= 0:
        raise KeyboardInterrupt
Maker._send = interrupted
main()
"""


def test_an_interruption_just_after_the_plan_is_the_end_of_it(oci: Oci, container: str) -> None:
    """It doesn't wait for what the container holds up, and nothing goes on behind its back."""
    oci("pause", container)
    held = Path(oci.cgroups()[0], "cgroup.procs")
    words = oci.words("exec", "--ignore-paused", container, "sleep", "1000")[1:]
    null = subprocess.DEVNULL  # what is held up has our streams
    program = [sys.executable, "-c", INTERRUPTED_AFTER_THE_PLAN, *words]
    subprocess.run(program, stdin=null, stdout=null, stderr=null, check=False, timeout=20)
    oci("resume", container)
    until("nobody but the first process", lambda: len(held.read_text().split()) == 1, seconds=5)


def test_what_was_held_up_does_not_outlive_who_sent_it(oci: Oci, container: str) -> None:
    """The first thing that it does, once it can, is to look whether anybody waits for it. A race once: so a few at once."""
    oci("pause", container)
    frozen = Path(oci.cgroups()[0], "cgroup.procs")
    held = [oci.start_process("exec", "--ignore-paused", container, "sleep", "1000") for _ in range(16)]
    until("them to be in the cgroup", lambda: len(frozen.read_text().split()) == 17)
    for process in held:
        process.kill()
        process.wait()
    oci("resume", container)
    until("nobody but the first process", lambda: len(frozen.read_text().split()) == 1, seconds=5)
