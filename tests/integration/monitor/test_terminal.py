"""A container with a terminal: echo, size, ctrl-C, detaching."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from minirun.monitor.connection import Connection, Detached
from minirun.monitor.exits import Exit
from tests.integration.monitor.conftest import Sink, Start, python, until

MakeSink = Callable[[], Sink]
# sleeping, not signal.pause(): a signal just before it would wait for the next one
SIZE = "import os, signal, time; signal.signal(signal.SIGWINCH, lambda *_: os.write(1, f'{os.get_terminal_size(0)}\\n'.encode()));"


class Person:
    """Somebody who types into a pump that runs in a thread."""

    def __init__(self, connection: Connection, sink: Sink, detach_keys: bytes = b"\x10\x11") -> None:
        self.out = sink
        self.event: object = None
        self._stdin, self._keyboard = os.pipe()
        self._thread = threading.Thread(target=self._run, args=(connection, detach_keys))
        self._thread.start()

    def _run(self, connection: Connection, detach_keys: bytes) -> None:
        try:
            self.event = connection.pump(self._stdin, self.out.descriptor, -1, detach_keys=detach_keys)
        except EOFError as error:
            self.event = error

    def type(self, keys: bytes) -> None:
        os.write(self._keyboard, keys)

    def leave(self) -> object:
        """Wait for the pump and give what it gave."""
        self._thread.join(20)
        assert not self._thread.is_alive()
        os.close(self._stdin)
        os.close(self._keyboard)
        return self.event


def test_a_shell_answers_and_ends(start: Start, sink: MakeSink) -> None:
    running = start(("sh",), terminal=True, stdin=True, attach=(True, True, False))
    person = Person(running.connection, sink())
    person.type(b"echo $((6 * 7)); tty; exit 9\n")
    person.out.take_until(b"42\r\n/dev/pts/")
    end = person.leave()
    assert isinstance(end, Exit)
    assert end.exit_code == 9
    assert b"42\r\n" in running.logged()  # a terminal's log is what it showed
    running.connection.acknowledge()


def test_all_output_of_a_dead_terminal_is_read(start: Start, sink: MakeSink) -> None:
    running = start(python("print('x' * 3000)"), terminal=True, attach=(False, True, False))
    out = sink()
    running.connection.pump(-1, out.descriptor, -1)
    assert out.rest() == b"x" * 3000 + b"\r\n"
    running.connection.acknowledge()


def test_ctrl_c_reaches_the_foreground(start: Start, sink: MakeSink) -> None:
    script = "trap 'echo caught; exit 3' INT; echo ready; while true; do sleep 0.05; done"
    running = start(("sh", "-c", script), terminal=True, stdin=True, attach=(True, True, False))
    person = Person(running.connection, sink())
    person.out.take_until(b"ready\r\n")
    person.type(b"\x03")
    person.out.take_until(b"caught")
    end = person.leave()
    assert isinstance(end, Exit)
    assert end.exit_code == 3
    running.connection.acknowledge()


def test_ctrl_c_reaches_the_program_below_init_once(start: Start, sink: MakeSink) -> None:
    source = (
        "import signal, sys, time; count = []; signal.signal(signal.SIGINT, lambda *_: count.append(1));"
        "print('ready', flush=True); sys.stdin.readline(); print('times', len(count), flush=True)"
    )
    running = start(python(source), terminal=True, stdin=True, init=True, attach=(True, True, False))
    person = Person(running.connection, sink())
    person.out.take_until(b"ready\r\n")
    person.type(b"\x03")
    person.out.take_until(b"^C")
    person.type(b"\n")
    person.out.take_until(b"times 1\r\n")
    assert isinstance(person.leave(), Exit)
    running.connection.acknowledge()


def test_size_is_that_of_the_plan_and_changes(start: Start, sink: MakeSink) -> None:
    source = SIZE + "print(os.get_terminal_size(0), flush=True)\nwhile True: time.sleep(0.02)"
    running = start(python(source), terminal=True, attach=(False, True, False))
    until(lambda: b"columns=80, lines=24" in running.logged())
    running.connection.resize(50, 132)
    until(lambda: b"columns=132, lines=50" in running.logged())
    running.kill()
    running.connection.wait_exited()
    running.connection.acknowledge()


def test_a_flood_of_sizes_does_no_harm(start: Start, sink: MakeSink) -> None:
    running = start(("cat",), terminal=True, stdin=True, attach=(True, True, False))
    with running.client(stdin=False) as flood:
        for number in range(20_000):
            flood.resize(1 + number % 100, 80)
    person = Person(running.connection, sink())
    person.type(b"still here\n")
    person.out.take_until(b"still here")
    person.type(b"\x04")
    assert isinstance(person.leave(), Exit)
    running.connection.acknowledge()


@pytest.mark.parametrize("pieces", [[b"\x10\x11"], [b"\x10", b"\x11"], [b"abc\x10", b"\x10\x11def"]])
def test_detach_keys_leave_the_container_alone(start: Start, sink: MakeSink, pieces: list[bytes]) -> None:
    running = start(("cat",), terminal=True, stdin=True, attach=(True, True, False))
    person = Person(running.connection, sink())
    for piece in pieces:
        person.type(piece)
        until(lambda: True)
    assert person.leave() == Detached()
    running.connection.close()
    with running.client(stdin=True, stderr=False) as client:
        again = Person(client, sink())
        again.type(b"\nback\n")
        again.out.take_until(b"back")
        again.type(b"\x04")
        assert isinstance(again.leave(), Exit)
    assert running.wait_recorded().exit_code == 0


def test_detach_keys_may_be_others_or_none(start: Start, sink: MakeSink) -> None:
    running = start(("cat", "-v"), terminal=True, stdin=True, attach=(True, True, False))
    person = Person(running.connection, sink(), detach_keys=b"")
    person.type(b"\x10\x10x\n")
    person.out.take_until(b"^P^Px\r\n")
    person.type(b"\x04")
    assert isinstance(person.leave(), Exit)
    running.connection.acknowledge()
    running = start(("cat",), terminal=True, stdin=True, attach=(True, True, False))
    person = Person(running.connection, sink(), detach_keys=b"~.")
    person.type(b"a~b~.")
    assert person.leave() == Detached()
    running.kill()


def test_much_typing_is_not_lost(start: Start, sink: MakeSink) -> None:
    """More than the terminal's input buffer holds while nobody reads."""
    source = (
        "import os, sys, time; os.system('stty raw -echo'); print('raw', flush=True); time.sleep(0.3);"
        "print(len(sys.stdin.buffer.read(200_000)))"
    )
    running = start(python(source), terminal=True, stdin=True, attach=(True, True, False))
    person = Person(running.connection, sink())
    person.out.take_until(b"raw")
    for _ in range(200):
        person.type(b"x" * 1000)
    person.out.take_until(b"200000")
    assert isinstance(person.leave(), Exit)
    running.connection.acknowledge()


def test_what_was_typed_before_leaving_arrives_though_nobody_read_it_yet(
    start: Start, sink: MakeSink, tmp_path: Path
) -> None:
    """More than the terminal holds: the rest waits in the pipe of somebody who has left."""
    source = (
        "import os, sys; os.system('stty raw -echo'); os.write(1, b'raw\\n'); open(sys.argv[1]).read(); total = 0\n"
        "while total < 60_000: total += len(os.read(0, 65536))\n"
        "os.write(1, b'all\\n'); os.read(0, 1)"
    )
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    running = start((*python(source), gate), terminal=True, stdin=True, attach=(False, False, False))
    until(lambda: b"raw" in running.logged())
    with running.client(stdin=True, stderr=False) as client:
        person = Person(client, sink())
        for _ in range(60):
            person.type(b"x" * 1000)
        person.type(b"\x10\x11")
        assert person.leave() == Detached()
    with open(gate, "w"):
        pass
    until(lambda: b"all" in running.logged(), "all that was typed")
    with running.client(stdin=True, stderr=False) as client:
        person = Person(client, sink())
        person.type(b"x")
        assert isinstance(person.leave(), Exit)
    running.wait_recorded()
