"""Signals, stops and terminals: whoever sends them to the command that it has started sees what it would see of any process."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import hosts
from tests.terminal import CTRL_C, Terminal
from tests.waiting import until

BOTH = pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
DEADLY = [
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGKILL,
    signal.SIGUSR1,
    signal.SIGALRM,
    signal.SIGRTMIN,
]

BUSY_SECONDS = 4  # so long, and a second more, a launcher waits for a preloaded process that seems to be at work


@pytest.fixture
def words(roots) -> list[str]:
    return ["--root", str(roots.root), "--run-root", str(roots.run_root)]


def state(pid: int) -> str:
    """Give the letter of a process's state, "" when it has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def has_database(pid: int) -> bool:
    """Tell whether a process has the database open; its descriptors come and go while one looks."""
    names = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.append(os.readlink(link))
    return any("minirun.db" in name for name in names)


def start(installed, warm: bool, *more: str, **options) -> subprocess.Popen[bytes]:
    """Start a command and wait until whatever runs it is at work."""
    environment = installed.environment(warm=warm)
    command = subprocess.Popen([installed.program(), *more], env=environment, **options)
    if warm:
        until("a worker", installed.workers)
    return command


def follow(installed, warm: bool, words: list[str], **options) -> subprocess.Popen[bytes]:
    """Start a container that says that it is there; its output goes through the command."""
    command = start(installed, warm, *words, "run", "--rm", "busybox", "sh", "-c", "echo ready; exec sleep 600",
                    stdout=subprocess.PIPE, **options)  # fmt: skip
    assert command.stdout is not None
    assert command.stdout.readline() == b"ready\n"
    return command


def test_a_signal_ends_a_command_that_nobody_runs_yet(installed):
    """The preloaded process hangs, for all that can be seen of it is alive: that is waited for, but not in spite of ctrl-C."""
    frozen = hosts.cgroup_mount() / f"minirun-test-{os.getpid()}"
    frozen.mkdir()
    home = hosts.cgroup_mount() / "cgroup.procs"
    pid = str(installed.pid())
    try:
        (frozen / "cgroup.procs").write_text(pid)
        (frozen / "cgroup.freeze").write_text("1")
        until("it to stand still", lambda: "frozen 1" in (frozen / "cgroup.events").read_text())
        command = subprocess.Popen([installed.program(), "version"], env=installed.environment())
        blocked = until(
            "its signals to be blocked", lambda: "SigBlk:\tffff" in Path(f"/proc/{command.pid}/status").read_text()
        )
        assert blocked
        command.send_signal(signal.SIGINT)
        begin = time.monotonic()
        assert command.wait(20) == -signal.SIGINT
        assert time.monotonic() - begin < BUSY_SECONDS
    finally:
        (frozen / "cgroup.freeze").write_text("0")
        home.write_text(pid)
        frozen.rmdir()


def test_a_command_ends_although_the_preloaded_process_was_stopped(installed, words):
    """It would have said how the worker ended; then nobody waits for what it can't say."""
    command = start(installed, True, *words, "events")
    (worker,) = installed.workers()
    until("its database", lambda: has_database(worker))
    pid = installed.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        command.send_signal(signal.SIGTERM)
        assert command.wait(20) == -signal.SIGTERM
    finally:
        os.kill(pid, signal.SIGCONT)


@BOTH
@pytest.mark.parametrize("number", DEADLY, ids=lambda number: number.name)
def test_a_signal_ends_a_command_as_it_ends_any_process(installed, words, number, warm):
    command = start(installed, warm, *words, "events")
    if not warm:
        until("its database", lambda: has_database(command.pid))
    command.send_signal(number)
    assert command.wait(20) == -number
    if warm:
        until("no worker", lambda: not installed.workers())


@BOTH
def test_an_interrupt_is_the_commands_own_to_answer(installed, words, warm):
    command = start(installed, warm, *words, "events", stderr=subprocess.PIPE)
    program = installed.workers()[0] if warm else command.pid
    until("its database", lambda: has_database(program))
    command.send_signal(signal.SIGINT)
    assert command.communicate(timeout=20)[1] == b""
    assert command.returncode == 130


@BOTH
def test_a_signal_goes_on_to_the_container(installed, words, busybox, warm):
    script = "trap 'echo heard; exit 7' USR1; echo ready; while :; do sleep 0.1; done"
    command = start(installed, warm, *words, "run", "--rm", busybox, "sh", "-c", script, stdout=subprocess.PIPE)
    assert command.stdout is not None
    assert command.stdout.readline() == b"ready\n"
    command.send_signal(signal.SIGUSR1)
    assert command.communicate(timeout=20)[0] == b"heard\n"
    assert command.returncode == 7


@BOTH
def test_a_killed_command_leaves_its_container_and_nothing_else(installed, words, busybox, minirun, warm):
    command = follow(installed, warm, words)
    command.kill()
    command.wait(20)
    if warm:
        until("no worker", lambda: not installed.workers())
    names = minirun("ps", "-q").stdout.split()
    assert len(names) == 1
    minirun("rm", "-f", *names)
    assert command.stdout is not None
    command.stdout.close()


def test_who_has_killed_a_command_finds_it_gone_with_the_next(installed, words):
    for _ in range(10):
        command = start(installed, True, *words, "events")
        worker = installed.workers()[0]
        command.kill()
        command.wait(20)
        installed.run("version")
        assert state(worker) in ("", "Z")
        until("no worker", lambda: not installed.workers())
    assert not installed.ran_cold()


@BOTH
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGTSTP], ids=lambda number: number.name)
def test_a_stopped_command_does_nothing_until_it_goes_on(installed, words, busybox, warm, number):
    script = "trap 'exit 9' TERM; i=0; while sleep 0.02; do i=$((i+1)); echo $i; done"
    command = start(installed, warm, *words, "run", "--rm", busybox, "sh", "-c", script, stdout=subprocess.PIPE,
                    process_group=0)  # fmt: skip
    assert command.stdout is not None
    command.stdout.readline()
    os.kill(command.pid, number)
    pid, status = os.waitpid(command.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert os.WSTOPSIG(status) == number
    if warm:
        worker = installed.workers()[0]
        until("the worker to stop", lambda: state(worker) == "T")
    os.set_blocking(command.stdout.fileno(), False)
    command.stdout.read()
    time.sleep(0.3)
    assert not command.stdout.read()
    os.kill(pid, signal.SIGCONT)
    os.set_blocking(command.stdout.fileno(), True)
    assert command.stdout.readline().strip().isdigit()
    if warm:
        assert state(worker) != "T"
    command.send_signal(signal.SIGTERM)
    command.stdout.read()
    command.stdout.close()
    assert command.wait(20) == 9


@BOTH
def test_ignored_signals_stay_ignored(installed, words, warm):
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    command = start(installed, warm, *words, "events", preexec_fn=ignore)
    command.send_signal(signal.SIGHUP)
    command.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        command.wait(0.5)
    command.terminate()
    assert command.wait(20) == -signal.SIGTERM


@BOTH
def test_a_blocked_signal_waits(installed, words, warm):
    command = start(
        installed, warm, *words, "events", preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    )
    command.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        command.wait(0.5)
    command.kill()
    assert command.wait(20) == -signal.SIGKILL


def test_at_whatever_moment_a_signal_comes_it_ends_the_command(installed, words):
    """Before the launcher has begun, while it hands over, while the worker begins: killed, or done before."""
    for _ in range(60):
        command = subprocess.Popen(
            [installed.program(), *words, "ps"], env=installed.environment(), stdout=subprocess.DEVNULL
        )
        time.sleep(random.uniform(0, 0.02))
        command.terminate()
        assert command.wait(20) in (0, -signal.SIGTERM)
    until("no worker", lambda: not installed.workers())


@BOTH
def test_job_control_at_a_terminal(installed, words, warm):
    """ctrl-Z stops, fg goes on, ctrl-C interrupts: as the shell says."""
    os.environ["MINIRUN_WARM"], before = installed.environment(warm=warm)["MINIRUN_WARM"], os.environ["MINIRUN_WARM"]
    try:
        with Terminal(["bash", "--norc", "-i"]) as shell:
            shell.send("PS1=; set +o history; stty -echo; echo be''gun\n")
            shell.expect("begun")
            shell.send(" ".join([installed.program(), *words, "events"]) + "; echo ended $?\n")
            if warm:
                until("a worker", installed.workers)
            time.sleep(1)
            shell.send(b"\x1a")
            shell.expect("Stopped")
            shell.expect("ended 148")
            if warm:
                until("a stopped worker", lambda: state(installed.workers()[0]) == "T")
            shell.send("fg; echo ended $?\n")
            shell.expect("events")
            if warm:
                until("a worker that goes on", lambda: state(installed.workers()[0]) == "S")
            time.sleep(0.3)
            shell.send(CTRL_C)
            shell.expect("ended 130")
            shell.send("exit\n")
    finally:
        os.environ["MINIRUN_WARM"] = before


@BOTH
def test_a_background_job_that_reads_the_terminal_is_stopped(installed, words, busybox, warm):
    os.environ["MINIRUN_WARM"], before = installed.environment(warm=warm)["MINIRUN_WARM"], os.environ["MINIRUN_WARM"]
    reader = [installed.program(), *words, "run", "--name", "reader", "-i", busybox, "cat"]
    try:
        with Terminal(["bash", "--norc", "-i"]) as shell:
            shell.send("PS1=; stty -echo; echo be''gun\n")
            shell.expect("begun")
            shell.send(" ".join(reader) + " & while read line; do jobs -s; done\n")
            until("the container", lambda: "Up" in installed.run(*words, "ps", warm=False).stdout)

            def is_stopped() -> bool:
                """What is typed wakes both; who isn't in the foreground is stopped, unless the shell has read it by then."""
                shell.send("mine\n")
                with contextlib.suppress(AssertionError):
                    return bool(shell.expect("Stopped", seconds=0.5))
                return False

            until("the job to be stopped", is_stopped)
    finally:
        os.environ["MINIRUN_WARM"] = before
        installed.run(*words, "rm", "-f", "reader", warm=False)


def test_a_terminal_with_tostop_gets_the_callers_own_process(installed):
    os.environ["MINIRUN_WARM"], before = installed.socket, os.environ["MINIRUN_WARM"]
    try:
        for setting, cold in (("-tostop", False), ("tostop", True)):
            installed.ran_cold()
            with Terminal(["sh", "-c", f"stty {setting}; {installed.program()} version"]) as terminal:
                terminal.expect("Kernel")
            assert installed.ran_cold() == cold
    finally:
        os.environ["MINIRUN_WARM"] = before
