"""Terminals: given away through a socket, or served in the foreground. runc's and the specification's console socket."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.oci.conftest import Oci
from tests.terminal import Terminal
from tests.waiting import until

ID = f"terminal-{os.getpid()}"


class Console:
    """A listening console socket, and what came over it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(path.parent, os.O_PATH)
        self.socket.bind(f"/proc/self/fd/{directory}/{path.name}")
        os.close(directory)
        self.socket.listen()
        self.socket.settimeout(30)

    def receive(self) -> tuple[bytes, int]:
        """Give what was said, and the one descriptor that came with it."""
        connection, _ = self.socket.accept()
        with connection:
            data, descriptors, _, _ = socket.recv_fds(connection, 4096, 4)
        (descriptor,) = descriptors
        return data, descriptor


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    made = Console(tmp_path / "console.sock")
    yield made
    made.socket.close()


def size_of(descriptor: int) -> tuple[int, int]:
    rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8)))
    return rows, columns


def read_all(descriptor: int) -> bytes:
    """Read a terminal until nobody has its other side open."""
    text = b""
    while True:
        try:
            piece = os.read(descriptor, 4096)
        except OSError:
            return text
        if not piece:
            return text
        text += piece


TTY: dict[str, Any] = {"terminal": True, "consoleSize": {"height": 33, "width": 77}}


def test_the_terminal_arrives_before_the_program_runs(oci: Oci, console: Console) -> None:
    oci.config(
        "sh", "-c", "tty; stty size; ls -l /dev/console; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all", process=TTY
    )
    oci("create", "--console-socket", console.path, ID)
    said, master = console.receive()
    try:
        assert said
        assert os.isatty(master)
        assert size_of(master) == (33, 77)
        oci("start", ID)
        lines = read_all(master).decode().splitlines()
        assert lines[0].startswith("/dev/")
        assert lines[1] == "33 77"
        assert lines[2].startswith("c")
        assert lines[3] == "all"
    finally:
        os.close(master)


def test_the_first_process_is_the_terminals_session_leader(oci: Oci, console: Console) -> None:
    oci.config(
        "sh", "-c", "trap 'exit 0' INT; cut -d' ' -f6,7,8 /proc/$$/stat; while :; do sleep 0.1; done", process=TTY
    )
    oci("run", "--detach", "--console-socket", console.path, ID)
    _, master = console.receive()
    try:
        text = b""
        while not text.endswith(b"\n"):
            text += os.read(master, 100)
        session, terminal, group = text.split()
        assert (session, group) == (b"1", b"1")
        assert terminal != b"0"
        os.write(master, b"\x03")
        oci.wait_until(ID, "stopped")
    finally:
        os.close(master)


def test_a_socket_path_may_be_long(oci: Oci) -> None:
    deep = oci.top / ("d" * 90) / ("e" * 90)
    deep.mkdir(parents=True)
    console = Console(deep / "console.sock")
    try:
        oci.config("true", process=TTY)
        oci("create", "--console-socket", console.path, ID)
        os.close(console.receive()[1])
    finally:
        console.socket.close()


def test_a_socket_that_nobody_listens_on_leaves_nothing(oci: Oci) -> None:
    oci.config("sleep", "1000", process=TTY)
    done = oci("create", "--console-socket", str(oci.top / "nobody"), ID, check=False)
    assert done.returncode == 1
    assert "nobody" in done.stderr
    oci.assert_nothing_is_left()


def test_a_terminal_needs_a_socket_and_a_socket_a_terminal(oci: Oci, console: Console) -> None:
    oci.config("true", process=TTY)
    for words in (("create", ID), ("run", "--detach", ID)):
        assert "cannot allocate tty" in oci(*words, check=False).stderr
    oci.config("true")
    done = oci("create", "--console-socket", console.path, ID, check=False)
    assert "cannot use console socket" in done.stderr
    oci.assert_nothing_is_left()


def test_a_process_descriptor_arrives(oci: Oci, console: Console) -> None:
    oci.config("sleep", "1000")
    oci("create", "--pidfd-socket", console.path, ID)
    _, pidfd = console.receive()
    try:
        info = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
        assert f"Pid:\t{oci.state(ID)['pid']}" in info.splitlines()
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        oci.wait_until(ID, "stopped")
    finally:
        os.close(pidfd)


# ---- in the foreground


def test_a_person_types_and_reads(oci: Oci) -> None:
    oci.config("sh", process={"terminal": True})
    with Terminal(oci.words("run", ID), rows=31, columns=91) as terminal:
        terminal.send("stty size; tty\n")
        terminal.expect(r"31 91\r\n/dev/pts/\d")
        terminal.resize(20, 40)
        terminal.send("until [ \"$(stty size)\" = '20 40' ]; do sleep 0.1; done; echo resi''zed\n")
        terminal.expect("resized")
        # Said by the one whom ctrl-C is for: the shell's own word would come before it lets go of the terminal.
        terminal.send("sh -c \"echo go''on; exec sleep 1000\"\n")
        terminal.expect("goon")
        terminal.send(b"\x03")
        terminal.expect("# ")
        terminal.send("exit 9\n")
        assert terminal.wait() == 9


def test_a_terminal_has_its_size_from_the_first_moment(oci: Oci) -> None:
    oci.config("stty", "size", process={"terminal": True})
    script = 'stty rows 31 cols 91; exec "$@"'
    with Terminal(["sh", "-c", script, "sh", *oci.words("run", ID)]) as terminal:
        terminal.expect("31 91")
        assert terminal.wait() == 0


def test_a_size_that_is_asked_for_is_not_that_of_the_callers_terminal(oci: Oci) -> None:
    oci.config("sh", "-c", "stty size; echo ready; read line; stty size", process=TTY)
    with Terminal(oci.words("run", ID)) as terminal:
        terminal.expect("33 77\r\nready")
        terminal.send("\n")
        terminal.expect("33 77\r\n")
        assert terminal.wait() == 0


def test_the_callers_terminal_is_as_before_when_all_is_over(oci: Oci) -> None:
    oci.config("true", process={"terminal": True})
    words = " ".join(oci.words("run", ID))
    with Terminal(["sh", "-c", f"stty -g; {words}; stty -g; echo end"]) as terminal:
        first = terminal.expect(r"([0-9a-f]+:[0-9a-f:]+)\r\n").group(1)
        assert terminal.expect(r"([0-9a-f]+:[0-9a-f:]+)\r\nend").group(1) == first
        terminal.wait()


def run_with_terminal(oci: Oci, script: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a script on a terminal of the container's, our own streams being none."""
    oci.config("sh", "-c", script, process={"terminal": True})
    return subprocess.run(oci.words("run", ID), stdout=subprocess.PIPE, timeout=60, check=False, **options)


def test_a_terminal_is_served_without_one_of_ours(oci: Oci) -> None:
    done = run_with_terminal(oci, "read line; echo got $line; exit 3", input=b"some words\n")
    assert done.returncode == 3
    assert b"got some words" in done.stdout


def test_a_terminal_in_a_read_only_dev(oci: Oci) -> None:
    document = oci.config()
    (dev,) = [mount for mount in document["mounts"] if mount["destination"] == "/dev"]
    dev["options"] = [*dev.get("options", ()), "ro"]
    oci.config(
        "sh",
        "-c",
        "touch /dev/x; tty -s </dev/console && echo on",
        process={"terminal": True},
        mounts=document["mounts"],
    )
    done = subprocess.run(
        oci.words("run", ID), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60, check=False
    )
    assert done.stdout.endswith(b"Read-only file system\r\non\r\n")


def test_input_may_be_the_null_device_or_closed(oci: Oci) -> None:
    done = run_with_terminal(oci, "echo on; exit 3", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (3, b"on\r\n")
    words = ["sh", "-c", 'exec "$@" <&-', "sh", *oci.words("run", ID)]
    shut = subprocess.run(words, stdout=subprocess.PIPE, timeout=60, check=False)
    assert (shut.returncode, shut.stdout) == (3, b"on\r\n")


@pytest.mark.parametrize("typed", [b"", b"exit 3\n"])
def test_a_shell_ends_where_our_input_does(oci: Oci, typed: bytes) -> None:
    """On the shell's own terminal nothing ends by itself: else it would wait for a person for ever."""
    oci.config("sh", process={"terminal": True})
    done = subprocess.run(oci.words("run", ID), input=typed, stdout=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == (3 if typed else 0), done.stdout


def test_a_program_reads_the_end_of_our_input(oci: Oci) -> None:
    done = run_with_terminal(oci, "cat; echo end", input=b"a line\nand a part")
    assert done.returncode == 0
    assert done.stdout.endswith(b"and a partend\r\n")


def test_all_output_arrives_however_much(oci: Oci) -> None:
    done = run_with_terminal(oci, "yes 0123456789abcdef | head -n 100000", stdin=subprocess.DEVNULL)
    assert len(done.stdout) == 1_800_000


def test_much_input_and_much_output_at_once(oci: Oci) -> None:
    """Who writes to the one side and doesn't read the other would wait for ever, as would the program."""
    script = "stty raw -echo; echo ready; head -c 2000000"
    oci.config("sh", "-c", script, process={"terminal": True})
    with subprocess.Popen(oci.words("run", ID), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout
        assert b"ready" in run.stdout.readline()
        out, _ = run.communicate(b"x" * 2_000_000, timeout=60)
        assert out.count(b"x") == 2_000_000
        assert run.returncode == 0


def test_a_reader_that_goes_away_does_not_end_the_program(oci: Oci) -> None:
    script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo > /data/done; exit 6"
    oci.config("sh", "-c", script, process={"terminal": True})
    with subprocess.Popen(oci.words("run", ID), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as run:
        assert run.stdout
        run.stdout.readline()
        run.stdout.close()
        assert run.wait(60) == 6
    assert (oci.rootfs / "data/done").exists()


def test_a_terminal_that_hangs_up_ends_the_container(oci: Oci) -> None:
    oci.config("sh", "-c", "echo ready; cat", process={"terminal": True})
    with Terminal(oci.words("run", ID)) as terminal:
        terminal.expect("ready")
    until("the container to be stopped", lambda: oci.state(ID)["status"] == "stopped")
