"""`run` in the foreground: exit codes, signals, streams, descriptors; and what a start passes on."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from minirun.runtime.bundle import load
from minirun.runtime.container import Runtime
from minirun.runtime.create import CreateOptions
from minirun.runtime.run import run
from tests.integration.oci.conftest import PROGRAM, Oci
from tests.waiting import until
from tests.warm import looked_into

ID = f"run-{os.getpid()}"
LIST_DESCRIPTORS = "for n in /proc/self/fd/*; do echo ${n##*/} $(readlink $n); done"


@pytest.mark.parametrize("code", [0, 1, 2, 125, 126, 127, 128, 137, 254, 255])
def test_the_exit_code_is_the_programs(oci: Oci, code: int) -> None:
    oci.config("sh", "-c", f"exit {code}")
    assert oci("run", ID, check=False).returncode == code
    oci.assert_nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGUSR1])
def test_a_program_ended_by_a_signal_gives_128_and_its_number(oci: Oci, number: signal.Signals) -> None:
    oci.config("sh", "-c", f"kill -{int(number)} $$", namespaces=("ipc", "uts", "mount"))
    assert oci("run", ID, check=False).returncode == 128 + number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGWINCH])
def test_a_signal_goes_through_to_the_program(oci: Oci, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    oci.config("sh", "-c", f"trap 'exit 42' {name}; echo > /data/ready; while :; do sleep 0.05; done")
    run = oci.start_process("run", ID, stdin=subprocess.DEVNULL)
    until("the trap to be set", (oci.rootfs / "data/ready").exists)
    run.send_signal(number)
    assert run.wait(30) == 42
    oci.assert_nothing_is_left()


def test_keep_leaves_a_stopped_container(oci: Oci) -> None:
    oci.config("sh", "-c", "exit 5")
    assert oci("run", "--keep", ID, check=False).returncode == 5
    assert oci.state(ID)["status"] == "stopped"
    oci("delete", ID)


def test_streams_are_the_callers_own(oci: Oci) -> None:
    oci.config("sh", "-c", "cat; echo error >&2")
    done = subprocess.run(oci.words("run", ID), input=b"in\0put", capture_output=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == (b"in\0put", b"error\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_caller_with_streams_closed_is_served(oci: Oci, closed: str) -> None:
    oci.config("sh", "-c", f"({LIST_DESCRIPTORS}) > /data/list; exit 7")
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *oci.words("run", ID)], timeout=60, check=False)
    assert done.returncode == 7
    shown = dict(line.split(None, 1) for line in (oci.rootfs / "data/list").read_text().splitlines() if " " in line)
    for number, target in shown.items():
        assert int(number) < 3 or target == "/data/list" or target.startswith("/proc/"), shown
    for number in "012":
        assert not shown.get(number, "").startswith(("/memfd:", "socket:", "anon_inode", str(oci.top))), shown
    oci.assert_nothing_is_left()


def test_a_caller_that_ignores_its_children_is_served(oci: Oci) -> None:
    """Who ignores SIGCHLD hands that down, and then nobody could be waited for."""
    waits = [{"path": "/bin/true"}]
    oci.config("sh", "-c", "exit 7", hooks={"createRuntime": waits, "createContainer": waits, "poststop": waits})
    words = ["env", "--ignore-signal=CHLD", *oci.words("run", ID)]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (7, b"")
    oci.assert_nothing_is_left()


@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-"])
def test_a_detached_container_of_a_caller_with_streams_closed_starts(oci: Oci, closed: str) -> None:
    oci.config("sh", "-c", "echo > /data/ready; sleep 1000")
    words = oci.words("run", "--detach", ID)
    oci.ids.append(ID)
    subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *words], timeout=60, check=True)
    until("the program to run", (oci.rootfs / "data/ready").exists)


def descriptors(text: str) -> list[str]:
    """Give the lines "number target" of what a program holds, without the directory that it reads them from."""
    return [line for line in text.splitlines() if "/proc/" not in line]


def test_preserved_descriptors_keep_their_numbers_and_nothing_else_is_open(oci: Oci) -> None:
    (oci.top / "three").touch()
    (oci.top / "four").touch()
    oci.config("sh", "-c", "for n in 0 1 2 3 4 5 6 7 8 9 10 11 12; do [ -e /proc/$$/fd/$n ] && echo $n; done; cat <&4 ")
    (oci.top / "four").write_text("content of four")
    script = 'exec 3< "$1" 4< "$2" 5< "$1" 9< "$1"; shift 2; exec "$@"'
    words = ["sh", "-c", script, "sh", str(oci.top / "three"), str(oci.top / "four")]
    shown = subprocess.run(
        [*words, *oci.words("run", "--preserve-fds", "2", ID)], capture_output=True, text=True, timeout=60, check=True
    )
    assert shown.stdout.split() == ["0", "1", "2", "3", "4", "content", "of", "four"]


def test_descriptors_that_the_caller_has_not_got_cannot_be_preserved(oci: Oci) -> None:
    """Least of all one of our own that has that number, as the log's would."""
    oci.config("true")
    for words in ((), ("--log", str(oci.top / "log"), "--debug")):
        command = oci.words("run", "--preserve-fds", "1", ID)
        done = subprocess.run(
            [command[0], *words, *command[1:]], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 1
        assert "number 3 isn't open" in done.stderr
    oci.assert_nothing_is_left()


def with_listen_fds(
    command: list[str], environment: dict[str, str], **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command with LISTEN_PID being its own process id, as sd_listen_fds(3) demands."""
    script = 'exec 3< /etc/hostname 4< /etc/passwd; LISTEN_PID=$$; export LISTEN_PID; exec "$@"'
    return subprocess.run(
        ["sh", "-c", script, "sh", *command],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_sockets_of_the_service_manager_are_passed_on(oci: Oci) -> None:
    oci.config("sh", "-c", "echo $LISTEN_FDS $LISTEN_PID; for n in 3 4 5; do [ -e /proc/$$/fd/$n ] && echo $n; done; :")
    done = with_listen_fds(oci.words("run", ID), {"LISTEN_FDS": "1"})
    assert done.stdout.split() == ["1", "1", "3"], done.stderr
    done = with_listen_fds(oci.words("run", "--preserve-fds", "1", ID), {"LISTEN_FDS": "1"})
    assert done.stdout.split() == ["1", "1", "3", "4"], done.stderr


@pytest.mark.parametrize("environment", [{"LISTEN_FDS": "0"}, {"LISTEN_FDS": "-1"}, {"LISTEN_FDS": "x"}, {}])
def test_without_sockets_of_the_service_manager_there_are_none(oci: Oci, environment: dict[str, str]) -> None:
    oci.config("sh", "-c", "echo ${LISTEN_FDS-none}; for n in 3 4 5; do [ -e /proc/$$/fd/$n ] && echo $n; done; :")
    assert with_listen_fds(oci.words("run", ID), environment).stdout.split() == ["none"]


def test_sockets_meant_for_another_process_are_left_alone(oci: Oci) -> None:
    oci.config("sh", "-c", "echo ${LISTEN_FDS-none}")
    done = oci("run", ID, env={**os.environ, "LISTEN_FDS": "1", "LISTEN_PID": "1"})
    assert done.stdout.split() == ["none"]


def test_the_environment_is_the_configurations_alone(oci: Oci) -> None:
    oci.config("env", process={"env": ["PATH=/bin", "A=b"]})
    shown = oci("run", ID, env={**os.environ, "SECRET": "x"}).stdout.split()
    assert set(shown) <= {"PATH=/bin", "A=b", "HOME=/root", "HOME=/"}
    assert {"PATH=/bin", "A=b"} <= set(shown)


def test_a_killed_run_leaves_a_container_that_can_be_deleted(oci: Oci) -> None:
    oci.config("sh", "-c", "echo > /data/ready; sleep 1000")
    run = oci.start_process("run", ID, stdin=subprocess.DEVNULL)
    until("the program to run", (oci.rootfs / "data/ready").exists)
    run.kill()
    run.wait()
    assert oci.state(ID)["status"] == "running"
    oci("delete", "--force", ID)
    oci.assert_nothing_is_left()


def test_the_exit_code_is_the_programs_whoever_removes_the_container(oci: Oci) -> None:
    oci.config("sh", "-c", "echo > /data/ready; sleep 1000")
    said = oci.top / "said"
    with said.open("wb") as stderr:
        run = oci.start_process("run", ID, stdin=subprocess.DEVNULL, stderr=stderr)
    until("the program to run", (oci.rootfs / "data/ready").exists)
    oci("delete", "--force", ID)
    assert (run.wait(30), said.read_text()) == (137, "")


@pytest.mark.parametrize(
    "breaks", ["minirun.linux.syscalls.set_subreaper", "minirun.runtime.foreground.Foreground.wait"]
)
@pytest.mark.usefixtures("orphans")
def test_a_run_that_fails_on_the_way_leaves_no_container(
    oci: Oci, breaks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(what: Any, *_: Any, **__: Any) -> None:
        if what is not True:  # set_subreaper(True) comes before there is anything to leave
            raise OSError(errno.EMFILE, "too many open files")

    oci.config("sleep", "1000")
    oci.ids.append(ID)
    monkeypatch.setattr(breaks, fail)
    with pytest.raises(OSError, match="too many"):
        run(Runtime(root=str(oci.root)), ID, load(str(oci.bundle)), CreateOptions(), subreaper=False)
    oci.assert_nothing_is_left()


def test_orphans_come_to_who_runs_the_container(oci: Oci) -> None:
    oci.config("sh", "-c", "sleep 1000 & echo > /data/ready; sleep 1000", namespaces=("ipc", "uts", "mount"))
    for words, ours in (((), True), (("--no-subreaper",), False)):
        (oci.rootfs / "data/ready").unlink(missing_ok=True)
        run = oci.start_process("run", *words, ID, stdin=subprocess.DEVNULL, env=looked_into())
        until("the program to run", (oci.rootfs / "data/ready").exists)
        pids = json.loads(oci("ps", "--format", "json", ID).stdout)
        first = oci.state(ID)["pid"]
        assert parent_of(first) == run.pid
        os.kill(first, signal.SIGKILL)
        if ours:
            assert run.wait(30) == 137
        else:
            run.wait(30)
        for pid in pids:
            until(f"{pid} to be gone", partial(is_gone, pid))
        oci("delete", "--force", ID, check=False)


def is_gone(pid: int) -> bool:
    """Say whether a process has ended."""
    return not Path(f"/proc/{pid}/exe").exists()


def parent_of(pid: int) -> int:
    """Give the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_the_program_is_started_from_any_directory(oci: Oci) -> None:
    oci.config("pwd", process={"cwd": "/data/deep/er"})
    words = [PROGRAM, "--root", str(oci.root), "run", "--bundle", "bundle", ID]
    done = subprocess.run(words, cwd=oci.top, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "/data/deep/er\n"
    words = [PROGRAM, "--root", str(oci.root), "run", ID]
    assert subprocess.run(words, cwd=oci.bundle, capture_output=True, timeout=60, check=True).returncode == 0
