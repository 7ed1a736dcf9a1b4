"""How a run ends when things happen at once or somebody was killed: the record tells the truth, and nothing is left."""

from __future__ import annotations

import _socket
import contextlib
import errno
import json
import os
import select
import signal
import subprocess
import sys

import pytest

from minirun import Engine, MinirunError
from minirun.engine.config import ContainerConfig
from minirun.engine.container import ExecConfig
from minirun.engine.exec import running
from minirun.engine.life import settle
from minirun.engine.session import wait
from minirun.errors import Exhausted
from minirun.monitor.connection import Connection
from tests.waiting import until


def state(minirun, name: str) -> dict:
    return json.loads(minirun("inspect", name).stdout)[0]


def monitor_of(minirun, name: str) -> int:
    """The parent of the container's first process."""
    return parent_of(state(minirun, name)["State"]["Pid"])


def parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def test_who_waits_for_a_container_with_rm_leaves_none_when_the_monitor_was_killed(minirun, busybox, engine):
    minirun("run", "-d", "--rm", "--name", "watched", busybox, "sleep", "1000")
    try:
        seen = engine.container("watched")
        ending = os.pidfd_open(seen.pid)
        os.kill(monitor_of(minirun, "watched"), signal.SIGKILL)
        select.select([ending], [], [], 60)
        os.close(ending)
        assert wait(engine, seen) == 137  # there is no exit hook any more that would remove it
        assert engine.containers(all=True, filters={"name": ["watched"]}) == []
    finally:
        minirun("rm", "-f", "watched", check=False)


def test_a_session_knows_how_its_container_ended_when_the_monitor_was_killed(minirun, busybox, engine):
    container = engine.create(ContainerConfig(image=busybox, command=("sleep", "1000"), network="none"))
    with (
        engine.start(container.id) as session,
        engine.exec(container.id, ExecConfig(command=("sleep", "1000"))) as further,
    ):
        os.kill(parent_of(further.pid), signal.SIGKILL)
        with pytest.raises(MinirunError, match="connection to the process was lost"):
            further.wait()
        os.kill(parent_of(session.pid), signal.SIGKILL)
        assert session.wait() == 137
    engine.remove(container.id)


@pytest.mark.parametrize("relayed", [True, False])
def test_exec_says_that_its_monitor_was_killed(minirun, busybox, run_container, engine, tmp_path, relayed):
    """Its streams are relayed, or the process has the caller's own: pipes."""
    sleeper = run_container(busybox, "sleep", "1000")
    container = engine.container(sleeper)
    with (tmp_path / "said").open("w+b") as file:
        error = file if relayed else subprocess.STDOUT
        command = minirun.start(
            "exec", sleeper, "sh", "-c", "echo up; exec sleep 1000", stdout=subprocess.PIPE, stderr=error
        )
        with command.stdout as output:
            assert output.readline() == b"up\n"
            (process,) = set(engine.hierarchy.processes(container.cgroup)) - {container.pid}
            # earlier it would be a start that failed
            until("the command to know of its process", lambda: running(engine, container))
            os.kill(parent_of(process), signal.SIGKILL)
            said = output.read()
        assert command.wait(60) == 137
        file.seek(0)
        assert (said + file.read()).startswith(b"Error: the connection to the process was lost")


def test_restart_keeps_a_container_with_rm_while_its_owner_sees_the_first_run_end(minirun, busybox):
    words = ("run", "--rm", "-i", "--name", "owned", busybox, "sh", "-c", "echo up; cat")
    owner = minirun.start(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert owner.stdout.readline() == b"up\n"
        minirun("restart", "-t", "0", "owned")
        assert owner.wait(60) == 137
        assert state(minirun, "owned")["RestartCount"] == 0
    finally:
        owner.stdin.close()
        owner.stdout.close()
        owner.wait(60)
        minirun("rm", "-f", "owned", check=False)


def test_a_container_that_cannot_be_settled_stops_no_command_about_others(roots, minirun, busybox, monkeypatch):
    container_id = minirun("create", busybox).stdout.strip()

    def refuse(*_: object) -> None:
        raise OSError(errno.EBUSY, "remove it")

    with Engine(str(roots.root), str(roots.run_root)) as engine:
        engine.rows.update(container_id, status="removing")
    with monkeypatch.context() as broken:
        broken.setattr("minirun.engine.remove.erase", refuse)
        with Engine(str(roots.root), str(roots.run_root)) as engine:
            assert engine.container(container_id).status == "removing"
            with pytest.raises(MinirunError, match=r"remove container \w+: remove it"):
                engine.remove(container_id)
    assert minirun("ps", "-aq").stdout == ""


KILLED_AFTER_THE_START = """
import os, signal
from minirun.monitor.connection import Connection
from tests.waiting import until
from minirun.cli import main
heard = Connection.wait_started
def wait_started(self):
    heard(self)
    os.kill(os.getpid(), signal.SIGKILL)
Connection.wait_started = wait_started
main.entry()
"""


def test_a_container_whose_command_was_killed_at_the_last_moment_is_found_with_address_and_ports(minirun, busybox):
    words = [*minirun.words[1:], "run", "-d", "--name", "orphan", "-p", "127.0.0.1::80", busybox, "sleep", "1000"]
    done = subprocess.run([sys.executable, "-c", KILLED_AFTER_THE_START, *words], check=False, stdin=subprocess.DEVNULL)
    try:
        assert done.returncode == -signal.SIGKILL
        found = state(minirun, "orphan")
        assert found["State"]["Running"] is True
        assert found["NetworkSettings"]["IPAddress"]
        assert found["NetworkSettings"]["Ports"]["80/tcp"][0]["HostIp"] == "127.0.0.1"
    finally:
        minirun("rm", "-f", "orphan", check=False)


def test_more_clients_can_wait_than_the_monitor_has_room_for(minirun, busybox, run_container):
    name = run_container(busybox, "sleep", "1000")
    script = (
        "import sys; from minirun import Engine; from concurrent.futures import ThreadPoolExecutor as Pool\n"
        "def wait(_):\n    with Engine(*sys.argv[1:3]) as engine: return engine.wait(sys.argv[3])\n"
        "print(set(Pool(40).map(wait, range(40))))\n"
    )
    roots = [minirun.words[2], minirun.words[4]]
    waiting = subprocess.Popen([sys.executable, "-c", script, *roots, name], stdout=subprocess.PIPE)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(3)
        with open(f"/proc/{waiting.pid}/stat") as file:
            ticks = sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
        assert ticks / os.sysconf("SC_CLK_TCK") < 2  # waiting costs nothing
        minirun("kill", name)
        assert waiting.communicate(timeout=60)[0] == b"{137}\n"
    finally:
        waiting.kill()
        waiting.wait()


def test_an_exit_survives_until_its_row_is_written(engine, busybox, monkeypatch):
    container = engine.create(ContainerConfig(image=busybox, command=("sh", "-c", "exit 9"), network="none"))
    try:
        with engine.start(container.id) as session:
            session.connection.wait_exited()

            def refuse(*_: object, **__: object) -> None:
                raise Exhausted("the disk is full")

            with monkeypatch.context() as full:
                full.setattr(engine.rows, "update", refuse)
                with pytest.raises(Exhausted):
                    settle(engine, container.id)
        settled = settle(engine, container.id)
        assert settled is not None
        assert (settled.status, settled.exit_code, settled.error) == ("exited", 9, "")
        assert not os.path.exists(engine.layout.run(container.id))
    finally:
        engine.remove(container.id, force=True)


def test_a_command_whose_name_is_no_utf8_fails_like_any_other(minirun, busybox):
    for name in (b"/\xff", b"\xff"):
        assert minirun("run", "--rm", busybox, os.fsdecode(name), check=False).returncode == 127
    assert "No such container" in minirun("stop", os.fsdecode(b"\xff"), check=False).stderr
    assert minirun("ps", "-aq").stdout == ""


def test_who_enters_a_container_that_ends_at_this_moment_is_told_so(minirun, busybox):
    """It ran, was killed with the rest, or the container isn't running: never half of an entry's error."""
    for number in range(10):
        name = minirun("run", "-d", "--network", "none", busybox, "sleep", f"0.{number}").stdout.strip()
        with contextlib.ExitStack() as ends:
            entering = [
                ends.enter_context(
                    subprocess.Popen([*minirun.words, "exec", name, "true"], stderr=subprocess.PIPE, text=True)
                )
                for _ in range(4)
            ]
            minirun("rm", "-f", name)
            answers = [(process, process.communicate(timeout=60)[1]) for process in entering]
        for process, said in answers:
            assert "is not running" in said or "No such container" in said or process.returncode in (0, 137), said


def test_whoever_waits_lets_go_of_a_monitor_that_hangs_up(engine, busybox, monkeypatch):
    container = engine.create(ContainerConfig(image=busybox, command=("sleep", "600"), network="none"))
    engine.start(container.id).detach()
    sockets = []

    def connect(_):
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        theirs.close()
        sockets.append(ours)
        return Connection(ours)

    monkeypatch.setattr("minirun.monitor.attach.connect", connect)
    engine.stop(container.id, 0)
    assert {socket.fileno() for socket in sockets} == {-1}
    engine.remove(container.id)
