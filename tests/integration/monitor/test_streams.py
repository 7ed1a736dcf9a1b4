"""Bytes between a container, its log and its clients, without a terminal."""

from __future__ import annotations

import _signal
import hashlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from minirun._native import lib
from minirun.monitor.connection import Connection, Signal
from minirun.monitor.exits import Exit
from tests.integration.monitor.conftest import Sink, Start, python, until

MakeSink = Callable[[], Sink]
# half of it no text at all, and no newline at the end
EVERYTHING = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 4096 + b'text\\n' * 50_000 + b'no end')"
EVERYTHING_BYTES = bytes(range(256)) * 4096 + b"text\n" * 50_000 + b"no end"


def collect(connection: Connection, sink: Sink, stderr: Sink | None = None) -> tuple[Exit, bytes]:
    """Pump to the end; gives the exit and what came to stdout."""
    data: list[bytes] = []
    reader = threading.Thread(target=lambda: data.append(sink.rest_after_hang_up()))
    reader.start()
    end = connection.pump(-1, sink.descriptor, stderr.descriptor if stderr else -1)
    sink.hang_up()
    reader.join(20)
    assert isinstance(end, Exit)
    return end, data[0]


def test_streams_arrive_apart_and_whole(start: Start, sink: MakeSink) -> None:
    running = start(("sh", "-c", "echo out; echo err >&2; exit 4"))
    out, err = sink(), sink()
    end = running.connection.pump(-1, out.descriptor, err.descriptor)
    assert isinstance(end, Exit)
    assert end.exit_code == 4
    assert (out.rest(), err.rest()) == (b"out\n", b"err\n")
    assert (running.logged("stdout"), running.logged("stderr")) == (b"out\n", b"err\n")
    running.connection.acknowledge()


def test_binary_output_is_exact_for_client_and_log(start: Start, sink: MakeSink) -> None:
    running = start(python(EVERYTHING))
    _, data = collect(running.connection, sink())
    assert data == EVERYTHING_BYTES
    assert running.logged() == EVERYTHING_BYTES
    running.connection.acknowledge()


def test_output_without_a_log_is_exact(start: Start, sink: MakeSink) -> None:
    running = start(python(EVERYTHING), log=False)
    assert collect(running.connection, sink())[1] == EVERYTHING_BYTES
    running.connection.acknowledge()


def test_output_to_nobody_is_logged(start: Start) -> None:
    running = start(python(EVERYTHING), attach=(False, False, False))
    running.connection.wait_exited()
    assert running.logged() == EVERYTHING_BYTES
    running.connection.acknowledge()


def test_output_to_a_file_that_is_appended_to(start: Start, tmp_path: Path) -> None:
    running = start(python(EVERYTHING))
    with (tmp_path / "file").open("ab") as file:
        file.write(b"before ")
        file.flush()
        running.connection.pump(-1, file.fileno(), -1)
    assert (tmp_path / "file").read_bytes() == b"before " + EVERYTHING_BYTES
    running.connection.acknowledge()


def test_output_to_a_pipe_that_does_not_block(start: Start, sink: MakeSink) -> None:
    running = start(python(EVERYTHING))
    out = sink()
    os.set_blocking(out.descriptor, False)
    assert collect(running.connection, out)[1] == EVERYTHING_BYTES
    running.connection.acknowledge()


def test_output_to_a_socket(start: Start) -> None:
    import socket

    running = start(python(EVERYTHING))
    ours, theirs = socket.socketpair()
    data: list[bytes] = []
    reader = threading.Thread(target=lambda: data.append(b"".join(iter(lambda: theirs.recv(65536), b""))))
    reader.start()
    with ours:
        running.connection.pump(-1, ours.fileno(), -1)
    reader.join(20)
    theirs.close()
    assert data[0] == EVERYTHING_BYTES
    running.connection.acknowledge()


def test_rotation_under_load_keeps_the_end(start: Start) -> None:
    source = "for number in range(300_000): print('line', number)"
    running = start(python(source), attach=(False, False, False), log_bytes=1 << 20, log_files=3)
    running.connection.wait_exited()
    lines = running.logged().splitlines()
    assert len(lines) > 20_000
    assert lines == [b"line %d" % number for number in range(300_000 - len(lines), 300_000)]
    running.connection.acknowledge()


def test_a_reader_that_left_is_reported_and_the_container_goes_on(start: Start, sink: MakeSink) -> None:
    echo = python("import sys\nfor line in sys.stdin: print(line, end='', flush=True)")
    running = start(echo, stdin=True, attach=(True, True, True))
    out = sink()
    out.stop_reading()
    read_end, write_end = os.pipe()
    os.write(write_end, b"first\n")
    with pytest.raises(BrokenPipeError):
        running.connection.pump(read_end, out.descriptor, -1)
    os.write(write_end, b"second\n")
    os.close(write_end)
    end = running.connection.pump(read_end, out.descriptor, -1)
    os.close(read_end)
    assert isinstance(end, Exit)
    assert running.logged() == b"first\nsecond\n"
    running.connection.acknowledge()


def test_who_does_not_read_makes_the_container_wait(start: Start) -> None:
    source = "import sys\nfor number in range(100): sys.stdout.write('x' * 100_000); print(number, file=sys.stderr, flush=True)"
    running = start(python(source))
    until(lambda: running.logged("stderr") != b"", "the first lines")
    size = -1
    while size != (size := os.stat(running.log).st_size):  # it stands still
        until(lambda: True)
    assert len(running.logged("stdout")) < 5_000_000


def test_signals_come_between(start: Start, sink: MakeSink) -> None:
    running = start(("cat",), stdin=True, attach=(True, True, True))
    read_end, write_end = os.pipe()
    out = sink()
    timer = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # for the timer's thread
    try:
        timer.start()
        running.connection.hold({signal.SIGUSR1})
        event = running.connection.pump(read_end, out.descriptor, -1)
        assert event == Signal(number=signal.SIGUSR1)
        os.close(write_end)
        end = running.connection.pump(read_end, out.descriptor, -1)
        assert isinstance(end, Exit)
    finally:
        timer.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(read_end)
    running.connection.acknowledge()


def test_an_interrupt_while_signals_are_taken_costs_no_stream(
    start: Start, sink: MakeSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGINT that was on its way when it was blocked comes out of the blocking itself, as KeyboardInterrupt."""
    calls: list[set[int]] = []
    really = _signal.pthread_sigmask

    def block(how: int, numbers: set[int]) -> set[int]:
        before = set(really(how, numbers))
        calls.append(numbers)
        if len(calls) == 2:  # the first one only asks
            raise KeyboardInterrupt
        return before

    running = start(("echo", "whole"), attach=(False, True, False))
    out = sink()
    with monkeypatch.context() as patch:
        patch.setattr(_signal, "pthread_sigmask", block)
        with pytest.raises(KeyboardInterrupt):
            running.connection.hold({signal.SIGUSR1})
        running.connection.hold({signal.SIGUSR1})
    assert isinstance(running.connection.pump(-1, out.descriptor, -1), Exit)
    assert out.rest() == b"whole\n"
    running.connection.acknowledge()
    running.connection.close()
    assert signal.SIGUSR1 not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


# ---- stdin


def test_stdin_arrives_whole_and_ends(start: Start, tmp_path: Path) -> None:
    source = "import sys, hashlib; data = sys.stdin.buffer.read(); print(len(data), hashlib.sha256(data).hexdigest())"
    running = start(python(source), stdin=True, attach=(True, True, True))
    (tmp_path / "input").write_bytes(EVERYTHING_BYTES)
    with (tmp_path / "input").open("rb") as file, open(os.devnull, "wb") as out:
        running.connection.pump(file.fileno(), out.fileno(), -1, detach_keys=b"")
    expected = f"{len(EVERYTHING_BYTES)} {hashlib.sha256(EVERYTHING_BYTES).hexdigest()}\n"
    assert running.logged() == expected.encode()
    running.connection.acknowledge()


def test_stdin_of_an_owner_who_left_arrives_whole_though_nobody_read_it_yet(start: Start, tmp_path: Path) -> None:
    """The container's pipe is full when its owner goes: the rest waits in the owner's, and then comes the end."""
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    source = "import sys; open(sys.argv[1]).read(); print(len(sys.stdin.buffer.read()))"
    running = start((*python(source), gate), stdin=True, attach=(True, False, False))
    for _ in range(2):
        os.write(running.connection._pipes[0], b"x" * 60_000)
    running.connection.close()
    with open(gate, "w"):
        pass
    running.wait_recorded()
    assert running.logged() == b"120000\n"


def test_stdin_through_the_detach_filter_is_exact(start: Start, tmp_path: Path, sink: MakeSink) -> None:
    running = start(("cat",), stdin=True, attach=(True, True, True))
    text = b"\x10\x10a\x10b\x11\x10" * 5000 + b"end\x10"
    (tmp_path / "input").write_bytes(text)
    with (tmp_path / "input").open("rb") as file:
        out = sink()
        data: list[bytes] = []
        reader = threading.Thread(target=lambda: data.append(out.rest_after_hang_up()))
        reader.start()
        running.connection.pump(file.fileno(), out.descriptor, -1, detach_keys=b"\x10\x11\x12")
        out.hang_up()
        reader.join(20)
    assert data[0] == text
    running.connection.acknowledge()


def test_stdin_is_closed_on_request_once_all_of_it_has_been_read(start: Start) -> None:
    """The client keeps its pipe, and at the time of the request half of what it said is still in there."""
    running = start(("sh", "-c", "sleep 0.3; wc -c"), stdin=True, attach=(False, False, False))
    with running.client(stdin=True, stdout=False, stderr=False) as client:
        os.write(client._pipes[0], b"x" * 100_000)
        client._send(lib.MR_MSG_CLOSE_STDIN)
        assert client.wait_exited().exit_code == 0
    assert running.logged() == b"100000\n"
    running.connection.wait_exited()
    running.connection.acknowledge()


def test_without_stdin_the_container_reads_the_end(start: Start) -> None:
    running = start(("cat",))
    assert running.connection.wait_exited().exit_code == 0
    running.connection.acknowledge()


def test_a_container_that_closed_its_stdin_does_not_stop_the_rest(start: Start, sink: MakeSink) -> None:
    running = start(("sh", "-c", "exec <&-; echo closed; sleep 0.1; echo end"), stdin=True, attach=(True, True, True))
    out = sink()
    with open("/dev/zero", "rb") as endless:
        end = running.connection.pump(endless.fileno(), out.descriptor, -1)
    assert isinstance(end, Exit)
    assert out.rest() == b"closed\nend\n"
    running.connection.acknowledge()


def test_stdin_of_a_detached_container_stays_open_for_later_clients(start: Start) -> None:
    running = start(("cat",), stdin=True, attach=(False, False, False))
    for word in (b"one\n", b"two\n"):
        with running.client(stdin=True) as client:
            os.write(client._pipes[0], word)
        until(lambda: running.logged()[-4:] == word)  # noqa: B023  the client's stdin has ended, the container's hasn't
    running.connection.close_stdin()
    assert running.connection.wait_exited().exit_code == 0
    assert running.logged() == b"one\ntwo\n"
    running.connection.acknowledge()


def test_the_owners_death_ends_the_stdin_that_it_held(start: Start) -> None:
    running = start(("cat",), stdin=True, attach=(True, True, True))
    running.connection.close()
    assert running.wait_recorded().exit_code == 0


# ---- the end


def test_all_output_comes_before_the_exit(start: Start, sink: MakeSink) -> None:
    """The container is dead long before its last megabyte is read."""
    running = start(python("import os; os.write(1, b'x' * 60_000); os.write(2, b'y' * 60_000)"))
    running.wait_recorded()
    out, err = sink(), sink()
    data: list[bytes] = []
    reader = threading.Thread(target=lambda: data.extend((out.rest_after_hang_up(), err.rest_after_hang_up())))
    reader.start()
    running.connection.pump(-1, out.descriptor, err.descriptor)
    out.hang_up()
    err.hang_up()
    reader.join(20)
    assert [len(part) for part in data] == [60_000, 60_000]
    running.connection.acknowledge()


def test_what_a_slow_reader_has_no_room_for_is_kept_and_delays_no_record(start: Start, sink: MakeSink) -> None:
    running = start(
        python("import os; os.write(1, b'x' * 60_000); os.write(1, b'y' * 60_000)"), attach=(False, True, False)
    )
    running.wait_recorded()  # one half is in our pipe, the other one has no place there
    assert running.logged() == b"x" * 60_000 + b"y" * 60_000
    _, data = collect(running.connection, sink())
    assert data == b"x" * 60_000 + b"y" * 60_000
    running.connection.acknowledge()


def test_a_daemon_that_keeps_the_pipe_does_not_delay_the_exit(start: Start, sink: MakeSink) -> None:
    running = start(("sh", "-c", "sleep 600 & echo $!; exit 5"), pid_namespace=False)
    out = sink()
    end = running.connection.pump(-1, out.descriptor, -1)
    assert isinstance(end, Exit)
    assert end.exit_code == 5
    os.kill(int(out.rest()), signal.SIGKILL)
    running.connection.acknowledge()
