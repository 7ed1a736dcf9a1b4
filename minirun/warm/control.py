"""The preloaded process from outside: where it listens, starting it, stopping it, its state.

Owns: the socket's place and its lock, for both sides. Leaves to others: what it does (server), what a user is told (cli).
The lock is held by the one process that listens, or is about to; the file stays. Who starts one where there is none takes it first.
Where the service manager listens, it starts the process and there is no lock.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import sys
import time

from ..errors import MinirunError
from ..light import suppress
from ..linux import syscalls
from ..record import Record

SOCKET = "/run/minirun/warm.sock"
VARIABLE = "MINIRUN_WARM"  # native/launcher.c: "0", or another place for the socket
SCRIPT = "minirun-warm"
_WITHOUT_SCRIPT = "import sys; del sys.argv[0]; from minirun.warm.server import entry; entry()"
BACKLOG = 1024
START_SECONDS = 20
STOP_SECONDS = 5
_LOOK_SECONDS = 0.005
_LISTENED = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)
_PEER = 12  # struct ucred: pid, uid, gid
_SIGTERM = 15
ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8")


class State(Record):
    """A preloaded process that listens."""

    pid: int
    memory_bytes: int  # resident
    home: str  # the directory of its interpreter: it serves the launchers there, no others


def socket_path() -> str:
    """Give where this process's caller looks for the preloaded process."""
    place = os.environ.get(VARIABLE, "")
    return place if place.startswith("/") else SOCKET


class Lock:
    """The lock beside a socket, tried once; `descriptor` is one that has it already, or -1."""

    def __init__(self, path: str, descriptor: int = -1) -> None:
        if descriptor < 0:
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        else:
            os.set_inheritable(descriptor, False)
        self.descriptor = descriptor
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.is_taken = True
        except BlockingIOError:
            self.is_taken = False

    def release(self) -> None:
        os.close(self.descriptor)


def listening_socket(path: str, inherited: bool) -> _socket.socket:
    """Give the socket that commands connect to, for root alone; what a killed process left in its place goes.

    Raises OSError; MinirunError where somebody listens there.
    """
    if inherited:
        listener = _socket.socket(fileno=os.dup(_LISTENED))
        os.set_inheritable(listener.fileno(), False)
        os.close(_LISTENED)
    else:
        if _listener(path):
            raise MinirunError(f"listen at {path}: the service manager does")
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        with suppress(FileNotFoundError):
            os.unlink(path)
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
    listener.setblocking(False)
    listener.listen(
        BACKLOG
    )  # once more, where it was inherited: callers see whose it is by who called this last. unix(7)
    return listener


def find(path: str) -> State | None:
    """Give the preloaded process that listens at `path`, None where none does."""
    pid = _listener(path)
    if pid <= 1:  # the service manager, which starts one for the next command; or one that has ended
        return None
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="surrogateescape") as file:
            python = file.read().partition("\0")[0]
    except OSError:
        return None
    return State(pid=pid, memory_bytes=pages * os.sysconf("SC_PAGESIZE"), home=home_of(python))


def home_of(python: str) -> str:
    """Give the directory of an interpreter as it was called, by which installations are told apart."""
    return os.path.realpath(os.path.dirname(python))


def _listener(path: str) -> int:
    """Give who listens at `path`, 0 for nobody. MinirunError when so many wait there already that nobody can be at work."""
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
    try:
        socket.connect(path)
        return int.from_bytes(socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _PEER)[:4], sys.byteorder)
    except (FileNotFoundError, ConnectionRefusedError):
        return 0
    except BlockingIOError as error:
        raise MinirunError(
            f"connect to {path}: its queue is full, so whoever listens there hangs: kill that process"
        ) from error
    finally:
        socket.close()


def start(path: str) -> State:
    """Start one where none listens, and give it once it does.

    Raises MinirunError when it doesn't within START_SECONDS, or when others than root could put a socket there.
    """
    found = find(path)  # where the service manager listens, this lets it start one
    if found is not None:
        return found
    if not _listener(path):
        _spawn(path)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = find(path)
        if found is not None:
            return found
        time.sleep(_LOOK_SECONDS)
    raise MinirunError(f"start the preloaded process: it doesn't listen at {path} after {START_SECONDS} s")


def _spawn(path: str) -> None:
    directory = os.path.dirname(path)
    os.makedirs(directory, 0o700, exist_ok=True)
    if not _is_roots_alone(os.path.realpath(directory)):
        raise MinirunError(f"start the preloaded process: others than root can write to {directory}, or above it")
    folder = os.path.dirname(sys.executable)
    python, script = f"{folder}/python3", f"{os.path.dirname(folder)}/share/minirun/{SCRIPT}"
    words = [python, "-IS", script] if os.path.exists(script) else [python, "-I", "-c", _WITHOUT_SCRIPT]
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        syscalls.spawn(python, (*words, path), ENVIRONMENT, {0: null, 1: null, 2: null}, orphan=True)
    finally:
        os.close(null)


def _is_roots_alone(directory: str) -> bool:
    """Say whether only root can put something there. native/launcher.c looks in the same way."""
    place = directory
    while True:
        status = os.lstat(place)
        is_sticky = place != directory and status.st_mode & 0o1000
        if status.st_uid != 0 or (status.st_mode & 0o022 and not is_sticky):
            return False
        if place == "/":
            return True
        place = os.path.dirname(place)


def stop(path: str) -> bool:
    """Let the preloaded process go: it takes no command any more, and ends with its last worker. Gives whether there was one.

    Raises MinirunError when it goes on after STOP_SECONDS, TimeoutError never.
    """
    found = find(path)
    if found is None:
        return False
    with suppress(ProcessLookupError):
        process = syscalls.pidfd_open(found.pid)
        try:
            if _listener(path) == found.pid:  # and so it was the process behind the descriptor
                syscalls.pidfd_send_signal(process, _SIGTERM)
        finally:
            os.close(process)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        lock = Lock(path)
        lock.release()
        if lock.is_taken:
            return True
        time.sleep(_LOOK_SECONDS)
    raise MinirunError(
        f"stop the preloaded process: process {found.pid} goes on; kill -9 {found.pid} harms only its own commands"
    )
