"""The verbs, seen through the command line: states, exit codes, what is said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest

from tests.waiting import until


@pytest.fixture
def sleeper(minirun, busybox):
    """A running container that ends at once on SIGTERM; removed afterwards."""
    script = "trap 'exit 7' TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done"
    minirun("run", "-d", "--name", "sleeper", busybox, "sh", "-c", script)
    wait_for_log(minirun, "sleeper", "ready")
    yield "sleeper"
    minirun("rm", "-f", "sleeper", check=False)


def wait_for_log(minirun, name: str, word: str) -> None:
    """Read the log as it grows until it has `word`."""
    follower = minirun.start("logs", "-f", name, stdout=subprocess.PIPE)
    try:
        for line in follower.stdout:
            if word.encode() in line:
                return
        pytest.fail(f"{name} ended and never wrote {word!r}")
    finally:
        follower.kill()
        follower.wait()
        follower.stdout.close()


def state(minirun, name: str) -> dict:
    return json.loads(minirun("inspect", name).stdout)[0]["State"]


@pytest.mark.parametrize("code", [0, 1, 7, 125, 126, 127, 128, 137, 255])
def test_run_ends_with_the_commands_own_exit_code(minirun, busybox, code):
    assert minirun("run", "--rm", busybox, "sh", "-c", f"exit {code}", check=False).returncode == code


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "INT"])
def test_a_signal_is_an_exit_code_of_128_and_its_number(minirun, busybox, name):
    # a shell in between: the kernel shields pid 1 from signals that it doesn't handle
    done = minirun("run", "--rm", "--init", busybox, "sh", "-c", f"kill -{name} $$", check=False)
    assert done.returncode == 128 + getattr(signal, f"SIG{name}")


def test_output_and_errors_arrive_on_their_own_streams(minirun, busybox):
    done = minirun("run", "--rm", busybox, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_standard_input_reaches_the_command_with_i_and_only_with_i(minirun, busybox):
    assert minirun("run", "--rm", "-i", busybox, "cat", stdin="hello").stdout == "hello"
    assert minirun("run", "--rm", busybox, "cat", stdin="hello").stdout == ""


def test_a_detached_run_prints_the_id_and_the_container_goes_on(minirun, sleeper):
    listed = json.loads(minirun("ps", "--no-trunc", "--format", "json").stdout)
    assert listed["Names"] == sleeper
    assert state(minirun, sleeper)["Running"] is True


def test_stop_sends_the_stop_signal_and_the_exit_code_is_recorded(minirun, sleeper):
    assert minirun("stop", sleeper).stdout == "sleeper\n"
    ended = state(minirun, sleeper)
    assert (ended["Status"], ended["ExitCode"]) == ("exited", 7)


def test_a_time_out_may_be_longer_than_poll_can_wait(minirun, sleeper):
    minirun("restart", "-t", str(2**62), sleeper)
    wait_for_log(minirun, sleeper, "ready")
    minirun("stop", "-t", "2147484", sleeper)
    assert state(minirun, sleeper)["ExitCode"] == 7


def test_stop_kills_what_doesnt_react_in_time(minirun, busybox):
    minirun("run", "-d", "--name", "deaf", busybox, "sh", "-c", "trap : TERM; while :; do sleep 1; done")
    try:
        began = time.monotonic()
        minirun("stop", "-t", "1", "deaf")
        assert 0.9 < time.monotonic() - began < 8
        assert state(minirun, "deaf")["ExitCode"] == 137
    finally:
        minirun("rm", "-f", "deaf")


def test_kill_sends_the_signal_that_is_named(minirun, sleeper):
    minirun("kill", "-s", "USR1", sleeper)
    wait_for_log(minirun, sleeper, "usr1")
    assert state(minirun, sleeper)["Running"] is True
    minirun("kill", sleeper)
    assert state(minirun, sleeper)["ExitCode"] == 137


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGRTMIN, signal.SIGRTMAX])
def test_the_first_process_of_init_passes_on_what_it_is_sent(minirun, busybox, run_container, number):
    """Also what a C library takes for its own (docs/decisions/0023)."""
    script = f"trap 'exit 7' {int(number)}; echo ready; while :; do sleep 0.05; done"
    name = run_container("--init", busybox, "sh", "-c", script)
    until("its trap", lambda: "ready" in minirun("logs", name).stdout)
    minirun("kill", "-s", str(int(number)), name)
    assert minirun("wait", name).stdout == "7\n"


def test_a_running_container_is_not_removed_without_force(minirun, sleeper):
    done = minirun("rm", sleeper, check=False)
    assert done.returncode == 1
    assert "stop the container before removing or force remove" in done.stderr
    minirun("rm", "-f", sleeper)
    assert minirun("ps", "-a", "-q").stdout == ""


def test_restart_gives_a_new_process_and_keeps_the_files(minirun, sleeper):
    minirun("exec", sleeper, "touch", "/kept")
    before = state(minirun, sleeper)["Pid"]
    minirun("restart", sleeper)
    assert state(minirun, sleeper)["Pid"] not in (0, before)
    minirun("exec", sleeper, "test", "-e", "/kept")


def test_a_host_port_is_free_as_soon_as_the_container_has_ended(minirun, busybox):
    server = ("-p", "127.0.0.1:18099:80", busybox, "httpd", "-f")
    minirun("run", "-d", "--name", "server", *server)
    try:
        for _ in range(5):
            minirun("restart", "-t", "0", "server")
        minirun("rm", "-f", "server")
        minirun("run", "-d", "--name", "server", *server)
    finally:
        minirun("rm", "-f", "server", check=False)


def test_wait_gives_the_exit_code_also_to_those_who_come_late(minirun, sleeper):
    waiting = minirun.start("wait", sleeper, stdout=subprocess.PIPE, text=True)
    minirun("stop", sleeper)
    assert waiting.communicate(timeout=30)[0] == "7\n"
    assert minirun("wait", sleeper).stdout == "7\n"


def test_exec_runs_in_the_containers_namespaces_and_gives_its_exit_code(minirun, sleeper):
    host = minirun("inspect", "-f", "{{.Config.Hostname}}", sleeper).stdout
    assert minirun("exec", sleeper, "hostname").stdout == host
    assert minirun("exec", sleeper, "sh", "-c", "exit 9", check=False).returncode == 9
    assert minirun("exec", "-i", sleeper, "cat", stdin="in").stdout == "in"
    assert (
        minirun("exec", "-e", "A=b c", "-w", "/tmp", "-u", "65534", sleeper, "sh", "-c", "echo $A $PWD $(id -u)").stdout
        == "b c /tmp 65534\n"
    )
    assert minirun("exec", sleeper, "no-such", check=False).returncode == 127
    assert minirun("exec", sleeper, "/etc/passwd", check=False).returncode == 126


def test_exec_in_a_stopped_container_is_refused(minirun, sleeper):
    minirun("stop", sleeper)
    done = minirun("exec", sleeper, "true", check=False)
    assert done.returncode == 1
    assert "is not running" in done.stderr


def test_ctrl_c_reaches_the_command(minirun, busybox):
    running = minirun.start(
        "run", "--rm", "--name", "interrupted", busybox, "sh", "-c", "trap 'exit 3' INT; echo up; while :; do sleep 0.05; done",
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert running.stdout.readline() == b"up\n"
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=30) == 3
    running.stdout.close()


def test_ctrl_c_without_proxy_ends_the_command_alone(minirun, busybox, run_container):
    name = run_container(busybox, "sh", "-c", "trap 'exit 3' INT; while :; do echo up; sleep 0.05; done")
    attached = minirun.start("attach", "--sig-proxy=false", name, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert attached.stdout.readline() == b"up\n"
    attached.send_signal(signal.SIGINT)
    assert attached.wait(timeout=30) == 130
    attached.stdout.close()
    assert minirun("inspect", "-f", "{{.State.Running}}", name).stdout == "true\n"


def test_the_log_is_there_after_the_end_with_streams_apart(minirun, busybox):
    minirun("run", "-d", "--name", "talker", busybox, "sh", "-c", "echo one; echo two >&2; printf 'three'")
    try:
        minirun("wait", "talker")
        done = minirun("logs", "talker")
        assert (done.stdout, done.stderr) == ("one\nthree", "two\n")
        assert minirun("logs", "--tail", "1", "talker").stdout == "three"
        stamped = minirun("logs", "-t", "talker").stdout.splitlines()[0]
        assert stamped.endswith("Z one")
    finally:
        minirun("rm", "talker")


def test_rm_option_removes_a_detached_container_at_its_end(minirun, busybox):
    name = minirun("run", "-d", "--rm", busybox, "sleep", "0.2").stdout.strip()
    minirun("wait", name, check=False)
    deadline = time.monotonic() + 20
    while minirun("ps", "-a", "-q").stdout and time.monotonic() < deadline:
        time.sleep(0.05)
    assert minirun("ps", "-a", "-q").stdout == ""


def _root_mount_of(minirun, container: str) -> str:
    lines = minirun("exec", container, "cat", "/proc/self/mountinfo").stdout.splitlines()
    return next(line for line in lines if line.split()[4] == "/")


def test_only_what_is_removed_at_its_end_may_lose_files_in_a_crash(minirun, busybox):
    """Nobody waits for the disk because of files that are thrown away: overlayfs's `volatile`."""
    for options, is_volatile in ((["--rm"], True), ([], False)):
        container = minirun("run", "-d", "--network", "none", *options, busybox, "sleep", "600").stdout.strip()
        assert ("volatile" in _root_mount_of(minirun, container)) is is_volatile
        minirun("rm", "-f", container)


def test_a_container_that_will_be_removed_is_restarted_with_its_files(minirun, busybox):
    minirun("run", "-d", "--rm", "--init", "--name", "again", "--network", "none", busybox, "sleep", "600")
    minirun("exec", "again", "touch", "/kept")
    minirun("restart", "-t", "0", "again")
    assert minirun("exec", "again", "ls", "/kept").stdout == "/kept\n"
    minirun("rm", "-f", "again")


def test_a_container_that_will_be_removed_can_be_started_after_a_start_that_failed(minirun, busybox):
    """The kernel refuses the second mount of a `volatile` layer, unless told that nothing has crashed."""
    minirun("create", "--rm", "--name", "again", "--network", "none", busybox, "/absent")
    for _ in range(2):
        failed = minirun("start", "again", check=False)
        assert "/absent" in failed.stderr
        assert "overlay" not in failed.stderr
    minirun("rm", "-f", "again")


def test_containers_are_found_by_the_beginning_of_their_id(minirun, sleeper):
    full = minirun("ps", "-q", "--no-trunc").stdout.strip()
    assert len(full) == 64
    assert minirun("inspect", "-f", "{{.Name}}", full[:6]).stdout == "/sleeper\n"


def test_the_network_of_the_host_comes_with_its_name(minirun, busybox):
    assert minirun("run", "--rm", "--network", "host", busybox, "hostname").stdout == os.uname().nodename + "\n"


def test_network_of_another_container_is_shared(minirun, sleeper, busybox):
    mine = minirun("exec", sleeper, "ip", "-4", "-o", "addr", "show", "eth0").stdout
    theirs = minirun(
        "run", "--rm", "--network", f"container:{sleeper}", busybox, "ip", "-4", "-o", "addr", "show", "eth0"
    ).stdout
    assert mine
    assert mine == theirs
