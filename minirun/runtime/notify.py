"""$NOTIFY_SOCKET: a container's program tells the service manager that it is ready. sd_notify(3)

Owns: a socket of our own that the program sees, and passing on what it says. Leaves to others: the mount (compile/), who calls
(create prepares, start and run listen).

    service manager <-- $NOTIFY_SOCKET -- us <-- ROOT/ID/notify/notify.sock = /run/notify/notify.sock in the container

The host's socket isn't handed in: the kernel tells its owner who has written, and that has to be us. Only READY=1 goes through,
with MAINPID, as with runc; what the program says about itself otherwise would be taken for ours.
"""

from __future__ import annotations

import _socket
import os
import select

from ..errors import MinirunError
from ..light import suppress
from ..linux import flags, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .spec import Spec

_INSIDE = "/run/notify"
_NAME = "notify.sock"
_MESSAGE_MAX = 4096
_BARRIER_MS = 5000
_ATTRIBUTES = flags.MOUNT_ATTR_RDONLY | flags.MOUNT_ATTR_NOSUID | flags.MOUNT_ATTR_NODEV | flags.MOUNT_ATTR_NOEXEC


def manager() -> str:
    """Give the service manager's address, "" when there is none; vsock isn't for programs on this machine."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    return address if address[:1] in ("/", "@") else ""


def prepare(spec: Spec, directory: str) -> Spec:
    """Make the directory that the socket will lie in, and give the spec with it and the variable that names it."""
    from .spec import Mount

    os.mkdir(directory, 0o755)
    mount = Mount(destination=_INSIDE, type="bind", source=directory, attributes=_ATTRIBUTES)
    process = spec.process
    environment = (*process.environment, f"NOTIFY_SOCKET={_INSIDE}/{_NAME}")
    return spec.replace(mounts=(*spec.mounts, mount), process=process.replace(environment=environment))


class Proxy:
    """Listens from its making on, so before the program begins. `pass_on` ends it."""

    def __init__(self, directory: str, pid: int, start_time: int, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._pid = pid
        self._pidfd = syscalls.pidfd_open_verified(pid, start_time)
        self._socket = _datagrams()
        path = f"{directory}/{_NAME}"
        with suppress(FileNotFoundError):
            os.unlink(path)
        below = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # A socket's address takes 107 bytes, the path may be longer.
            self._socket.bind(f"/proc/self/fd/{below}/{_NAME}")
            os.chmod(path, 0o666)  # whoever the program is
        except OSError as error:
            self._close()
            raise MinirunError(f"listen on {path}: {error.strerror}") from error
        finally:
            os.close(below)

    def pass_on(self, *, names_process: bool) -> None:
        """Wait until the program is ready, or has ended, and tell the service manager; with `names_process`, which one it is."""
        try:
            if self._wait():
                text = f"MAINPID={self._pid}\nREADY=1" if names_process else "READY=1"
                self._tell(manager(), text.encode())
        finally:
            self._close()

    def _wait(self) -> bool:
        if self._pidfd is None:
            return False
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        poll.register(self._pidfd, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._socket.fileno() in ready:
                if b"READY=1" in self._socket.recv(_MESSAGE_MAX).split(b"\n"):
                    return True
            elif self._pidfd in ready:
                return False

    def _close(self) -> None:
        self._socket.close()
        if self._pidfd is not None:
            os.close(self._pidfd)

    def _tell(self, address: str, message: bytes) -> None:
        """Send a message, and wait until it was read: of a process that has ended the manager can't say whose it was.

        sd_notify_barrier(3): a pipe's end goes along, and the other end of it is closed when the message has been dealt with.
        """
        reader, writer = os.pipe2(os.O_CLOEXEC)
        socket = _datagrams()
        try:
            socket.connect("\0" + address[1:] if address[0] == "@" else address)
            socket.send(message, _socket.MSG_NOSIGNAL)
            rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, writer.to_bytes(4, "little"))]
            socket.sendmsg([b"BARRIER=1"], rights, _socket.MSG_NOSIGNAL)
            os.close(writer)
            writer = -1
            poll = select.poll()
            poll.register(reader, 0)
            poll.poll(_BARRIER_MS)
        except OSError as error:
            self._warn(f"tell {address} that the container is ready: {error.strerror}")
        finally:
            socket.close()
            for descriptor in (reader, writer):
                if descriptor >= 0:
                    os.close(descriptor)


def _datagrams() -> _socket.socket:
    return _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
