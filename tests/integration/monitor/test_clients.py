"""More than one client, and clients that aren't well."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from minirun._native import ffi, lib
from minirun.monitor.connection import Connection
from minirun.monitor.exits import Exit
from tests.integration.monitor.conftest import Running, Sink, Start, python, until

MakeSink = Callable[[], Sink]
ECHO = python("import sys\nfor line in sys.stdin: sys.stdout.write(line); sys.stdout.flush()")


def raw_client(running: Running) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    directory = os.open(running.run, os.O_PATH)
    client.connect(f"/proc/self/fd/{directory}/attach.sock")
    os.close(directory)
    return client


def message(kind: int, value: int = 0) -> bytes:
    return bytes(ffi.buffer(ffi.new("struct mr_message *", {"kind": kind, "value": value})))


def say(running: Running, word: bytes) -> None:
    """Let the container print a line, by way of a client of its own."""
    with running.client(stdin=True, stdout=False, stderr=False) as client:
        os.write(client._pipes[0], word)
        until(lambda: word in running.logged())


def finish(running: Running) -> Exit:
    running.connection.close_stdin()
    end = running.connection.wait_exited()
    running.connection.acknowledge()
    return end


class Watcher:
    """A client that pumps in a thread."""

    def __init__(self, connection: Connection, sink: Sink) -> None:
        self.connection, self.sink = connection, sink
        self.event: object = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.event = self.connection.pump(-1, self.sink.descriptor, -1)
        except (EOFError, OSError) as error:
            self.event = error

    def join(self) -> object:
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.connection.close()
        return self.event


def test_all_clients_see_the_same(start: Start, sink: MakeSink) -> None:
    running = start(ECHO, stdin=True, attach=(False, False, False))
    watchers = [Watcher(running.client(), sink()) for _ in range(5)]
    for word in (b"one\n", b"two\n"):
        say(running, word)
        for watcher in watchers:
            assert watcher.sink.take(4) == word
    assert finish(running).exit_code == 0
    assert all(isinstance(watcher.join(), Exit) for watcher in watchers)


def test_a_client_is_told_what_runs(start: Start) -> None:
    running = start(ECHO, stdin=True, attach=(False, False, False))
    from minirun.monitor import attach

    with attach.connect(running.run) as client:
        client.attach(False, False, False)
        started = client.wait_started()
        assert (started.pid, started.time_ns) == (running.started.pid, running.started.time_ns)
    finish(running)


def test_who_only_waits_is_told_the_exit(start: Start) -> None:
    running = start(ECHO, stdin=True, attach=(False, False, False))
    from minirun.monitor import attach

    with attach.connect(running.run) as waiter:
        finish(running)
        assert waiter.wait_exited().exit_code == 0
    with pytest.raises(OSError, match="No such file"):
        attach.connect(running.run)


def test_only_the_owner_acknowledges(start: Start, tmp_path: object) -> None:
    running = start(ECHO, stdin=True, attach=(False, False, False), hook=("/bin/touch", f"{tmp_path}/hook"))
    client = raw_client(running)
    client.send(message(lib.MR_MSG_ACK))
    assert client.recv(64) == b""  # it is hung up on
    client.close()
    running.connection.close_stdin()
    running.connection.wait_exited()
    running.connection.close()
    running.wait_gone()
    assert os.path.exists(f"{tmp_path}/hook")


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"x",
        b"\xff" * 32,
        b"\x00" * 33,
        b"\x00" * 5000,
        message(99),
        message(lib.MR_MSG_STARTED),
        message(lib.MR_MSG_EXITED),
    ],
)
def test_garbage_ends_only_its_sender(start: Start, garbage: bytes) -> None:
    running = start(ECHO, stdin=True, attach=(False, False, False))
    client = raw_client(running)
    client.send(garbage)
    assert client.recv(64) == b""
    client.close()
    say(running, b"alive\n")
    assert finish(running).exit_code == 0


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 7, 0xFFFFFFFFFFFFFFFF])
def test_descriptors_that_are_missing_or_no_pipes_end_only_their_sender(start: Start, bits: int) -> None:
    running = start(ECHO, stdin=True, attach=(False, False, False))
    before = running.descriptors()
    for descriptors in ([], [0], [os.open("/dev/null", os.O_RDWR)] * 3, [os.open("/", os.O_PATH)] * 9):
        client = raw_client(running)
        socket.send_fds(client, [message(lib.MR_MSG_ATTACH, bits)], descriptors)
        assert client.recv(64) == b""
        client.close()
        for descriptor in set(descriptors) - {0}:
            os.close(descriptor)
    until(lambda: running.descriptors() == before, "the monitor to close what it was sent")
    assert finish(running).exit_code == 0


def test_attaching_twice_is_refused(start: Start) -> None:
    running = start(ECHO, stdin=True, attach=(False, False, False))
    client = raw_client(running)
    client.send(message(lib.MR_MSG_ATTACH))
    assert len(client.recv(64)) == ffi.sizeof("struct mr_message")
    client.send(message(lib.MR_MSG_ATTACH))
    assert client.recv(64) == b""
    client.close()
    finish(running)


def test_too_many_clients_are_turned_away_and_leave_no_descriptor(start: Start) -> None:
    running = start(ECHO, stdin=True, attach=(False, False, False))
    before = running.descriptors()
    for _ in range(3):
        crowd = [raw_client(running) for _ in range(50)]
        until(lambda: len(running.descriptors()) > len(before) + 20)
        for client in crowd:
            client.close()
    say(running, b"alive\n")
    until(lambda: running.descriptors() == before)
    finish(running)


def test_a_client_that_never_reads_holds_nobody_up_once_it_is_killed(start: Start) -> None:
    running = start(
        python("import sys\nwhile True: print('x' * 1000)"),
        attach=(False, False, False),
        log_bytes=1 << 20,
        log_files=2,
    )
    source = (
        "import sys, time; sys.path[:0] = sys.argv[2:]\n"
        "from minirun.monitor import attach\n"
        "client = attach.connect(sys.argv[1]); client.attach(False, True, True); print('attached', flush=True); time.sleep(600)"
    )
    lazy = subprocess.Popen([sys.executable, "-c", source, running.run, *sys.path], stdout=subprocess.PIPE)
    assert lazy.stdout is not None
    assert lazy.stdout.readline() == b"attached\n"

    def marks() -> tuple[int, int]:
        try:
            status = os.stat(running.log)
        except FileNotFoundError:  # in the middle of a rotation
            return 0, 0
        return status.st_ino, status.st_size

    def stands_still() -> bool:
        before = marks()
        threading.Event().wait(0.1)
        return before == marks() != (0, 0)

    until(stands_still, "the container to wait")
    still = marks()
    lazy.kill()
    lazy.wait()
    lazy.stdout.close()
    until(lambda: marks() != still, "the container to go on")
    running.kill()
    running.connection.wait_exited()
    running.connection.acknowledge()


def test_clients_killed_at_any_moment_leave_nothing(start: Start) -> None:
    running = start(ECHO, stdin=True, attach=(False, False, False))
    before = running.descriptors()
    source = (
        "import sys, os; sys.path[:0] = sys.argv[2:]\n"
        "from minirun.monitor import attach\n"
        "print('x', flush=True)\n"
        "client = attach.connect(sys.argv[1]); client.attach(True, True, True); client.wait_started(); client.pump(0, 1, 2)"
    )
    for moment in range(12):
        victim = subprocess.Popen(
            [sys.executable, "-c", source, running.run, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert victim.stdin is not None
        assert victim.stdout is not None
        victim.stdout.readline()
        threading.Event().wait(moment * 0.001)
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
    until(lambda: running.descriptors() == before, "descriptors to be closed")
    say(running, b"alive\n")
    assert finish(running).exit_code == 0


def test_a_slow_guest_does_not_hold_up_the_owner(start: Start) -> None:
    running = start(python("import os\nfor _ in range(3): os.write(1, b'x' * 60_000)"), attach=(False, False, False))
    assert running.connection.wait_exited().exit_code == 0
    running.connection.acknowledge()


def test_nothing_is_left_when_all_are_gone(start: Start, sink: MakeSink) -> None:
    running = start(ECHO, stdin=True, attach=(False, True, True))
    watcher = Watcher(running.connection, sink())
    guests = [running.client() for _ in range(3)]
    say(running, b"hello\n")
    watcher.sink.take(6)
    with running.client(stdin=False) as closer:
        closer.close_stdin()
        closer.wait_exited()
    for guest in guests:
        guest.close()
    assert isinstance(watcher.join(), Exit)
    running.wait_gone()
    assert sorted(os.listdir(running.run)) == ["exit", "lock", "started"]
