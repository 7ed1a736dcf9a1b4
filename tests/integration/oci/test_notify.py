"""$NOTIFY_SOCKET: the service manager hears when the program is ready. sd_notify(3), sd_notify_barrier(3)"""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.oci.conftest import Oci
from tests.waiting import until

ID = f"notify-{os.getpid()}"


class Manager:
    """A service manager: a socket, and what came over it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(30)
        self.environment = {**os.environ, "NOTIFY_SOCKET": address}

    def receive(self) -> list[str]:
        """Give the lines of the next message; what comes with a barrier is closed, as systemd does."""
        data, descriptors, _, _ = socket.recv_fds(self.socket, 4096, 4)
        for descriptor in descriptors:
            os.close(descriptor)
        return data.decode().splitlines()

    def is_quiet(self) -> bool:
        """Say whether nothing waits to be read."""
        return not select.select([self.socket], [], [], 0)[0]


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    made = Manager(
        f"@minirun-test-{os.getpid()}" if request.param == "abstract" else f"/run/minirun-{os.getpid()}.sock"
    )
    yield made
    made.socket.close()
    if request.param == "path":
        os.unlink(made.address)


@pytest.fixture(scope="module")
def say_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that sends its words to $NOTIFY_SOCKET, one message each."""
    program = tmp_path_factory.mktemp("say") / "say"
    source = program.with_suffix(".c")
    source.write_text(
        "#include <stdlib.h>\n#include <string.h>\n#include <sys/socket.h>\n#include <sys/un.h>\n"
        "int main(int n, char **words) { struct sockaddr_un to = { .sun_family = AF_UNIX };"
        'const char *path = getenv("NOTIFY_SOCKET"); int s = socket(AF_UNIX, SOCK_DGRAM, 0); if (!path) return 3;'
        "strncpy(to.sun_path, path, sizeof to.sun_path - 1);"
        "for (int i = 1; i < n; i++)"
        "if (sendto(s, words[i], strlen(words[i]), 0, (void *)&to, sizeof to) < 0) return 4; return 0; }\n"
    )
    subprocess.run(["gcc", "-static", "-o", program, source], check=True)
    return program


@pytest.fixture
def say(oci: Oci, say_program: Path) -> str:
    """That program in the root file system."""
    shutil.copy(say_program, oci.rootfs / "bin/say")
    return "say"


def test_start_waits_until_the_program_is_ready_and_says_so(oci: Oci, manager: Manager, say: str) -> None:
    script = f"{say} STATUS=warming; until [ -e /data/go ]; do sleep 0.05; done; {say} 'STATUS=x\nREADY=1'; sleep 1000"
    oci.config("sh", "-c", script)
    oci("create", ID, env=manager.environment)
    start = oci.start_process("start", ID, env=manager.environment)
    oci.wait_until(ID, "running")
    assert start.poll() is None
    assert manager.is_quiet()
    (oci.rootfs / "data/go").touch()
    assert manager.receive() == [f"MAINPID={oci.state(ID)['pid']}", "READY=1"]
    assert manager.receive() == ["BARRIER=1"]
    assert start.wait(30) == 0
    assert manager.is_quiet()


def test_a_program_that_ends_without_a_word_is_not_waited_for(oci: Oci, manager: Manager) -> None:
    oci.config("true")
    oci("run", "--detach", ID, env=manager.environment, timeout=30)
    assert manager.is_quiet()


def test_in_the_foreground_the_runtime_stays_the_main_process(oci: Oci, manager: Manager, say: str) -> None:
    oci.config("sh", "-c", f"{say} READY=1; until [ -e /data/go ]; do sleep 0.05; done; exit 5")
    run = oci.start_process("run", ID, env=manager.environment, stdin=subprocess.DEVNULL)
    assert manager.receive() == ["READY=1"]
    assert manager.receive() == ["BARRIER=1"]
    (oci.rootfs / "data/go").touch()
    assert run.wait(30) == 5
    oci.assert_nothing_is_left()


def test_a_program_that_is_never_ready_can_be_run_and_ended(oci: Oci, manager: Manager) -> None:
    oci.config("sleep", "1000")
    run = oci.start_process("run", ID, env=manager.environment, stdin=subprocess.DEVNULL)
    until("the container to exist", lambda: oci.containers() == [ID])
    oci.wait_until(ID, "running")
    oci("kill", ID, "KILL")
    assert run.wait(30) == 137


def test_another_user_may_tell(oci: Oci, manager: Manager, say: str) -> None:
    oci.config(say, "READY=1", process={"user": {"uid": 1000, "gid": 1000}}, root={"readonly": True})
    (oci.rootfs / "run").mkdir()
    run = oci.start_process("run", "--detach", ID, env=manager.environment, stdin=subprocess.DEVNULL)
    assert "READY=1" in manager.receive()
    assert manager.receive() == ["BARRIER=1"]  # it is waited for until we have closed what came with it
    assert run.wait(30) == 0


def test_the_program_cannot_change_the_socket(oci: Oci, manager: Manager) -> None:
    oci.config(
        "sh", "-c", "rm -f /run/notify/notify.sock; touch /run/notify/x; [ -S /run/notify/notify.sock ] || exit 4"
    )
    assert oci("run", ID, env=manager.environment).returncode == 0


def test_without_a_service_manager_there_is_no_socket(oci: Oci) -> None:
    oci.config("sh", "-c", "echo ${NOTIFY_SOCKET-none}; [ ! -e /run/notify ]")
    for value in ("", "vsock:2:1234", "relative"):
        assert oci("run", ID, env={**os.environ, "NOTIFY_SOCKET": value}).stdout == "none\n"
