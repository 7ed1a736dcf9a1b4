"""What is kept of a container between commands: one directory each, beneath the runtime's root.

Owns: the directory's files, writing them whole, the lock, container ids. Leaves to others: what a state means (container).

    ROOT/.shared/       compiled filters, and an empty directory on which every root file system is mounted
    ROOT/ID/            0700; its existence takes the id. flock(2) on it: one command at a time changes a container
      state.json .copy  what `State` has, twice: either tells what there is to be removed when the other is damaged
      config.json       the configuration as it was at creation: the bundle may change or go
      gate verdict      FIFOs, as long as the container waits for its start (native/spawn.c, GATE)
      notify/           a socket that the program sees (notify)
"""

from __future__ import annotations

import errno
import os

from ..errors import Conflict, Corrupt, InvalidInput, MinirunError, NotFound
from ..light import contextmanager, suppress
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

SHARED = ".shared"
_STATE, _COPY = "state.json", ".copy"
_OF_THE_CALLER = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES)
_ID_MAX = 1024
_ID_CHARACTERS = "_+-."
_TAKEN = "container with given ID already exists"


class State(Record):
    """A container as it was recorded. `pid` 0: no process was made yet. `start_time`: field 22 of /proc/PID/stat."""

    version: str = ""
    id: str
    bundle: str
    rootfs: str = ""
    created: str = ""
    pid: int = 0
    start_time: int = 0
    cgroup: str = ""  # absolute; "": none
    cgroups_path: str = ""  # as the configuration asks
    cgroup_driver: str = "cgroupfs"
    annotations: dict[str, str] = {}
    later_hooks: tuple[str, ...] = ()  # kinds that start and delete run: without any, neither reads the configuration
    gate_index: int = 0  # of the plan: operations behind it can fail at the start, ...
    sentences: tuple[str, ...] = ()  # ... and this is what they do


_SAMPLE = State(id="", bundle="")


class Directory:
    """The files of one container."""

    def __init__(self, root: str, container_id: str) -> None:
        self.path = f"{root}/{check_id(container_id)}"
        self.id = container_id

    @property
    def gate(self) -> str:
        return f"{self.path}/gate"

    @property
    def verdict(self) -> str:
        return f"{self.path}/verdict"

    @property
    def notify(self) -> str:
        return f"{self.path}/notify"

    @property
    def config(self) -> str:
        return f"{self.path}/config.json"

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take the id, and hold the lock from the first moment on. Raises Conflict when it is taken, MinirunError.

        What is in the directory at the end stays.
        """
        try:
            os.makedirs(os.path.dirname(self.path), 0o711, exist_ok=True)
            descriptor = self._take()
        except OSError as error:
            raise MinirunError(f"make the directory {self.path}: {error.strerror}") from error
        try:
            yield
        finally:
            os.close(descriptor)

    def _take(self) -> int:
        """Make the directory and lock it: again, when somebody has deleted it in between, until it is ours or another's."""
        while True:
            try:
                os.mkdir(self.path, 0o700)
            except FileExistsError:
                raise Conflict(_TAKEN) from None
            try:
                descriptor = self._lock()
            except NotFound:
                continue
            if not os.listdir(descriptor):
                return descriptor
            os.close(descriptor)
            raise Conflict(_TAKEN)

    def make_gate(self) -> None:
        """Make the FIFOs at which the first process will wait. MinirunError."""
        try:
            os.mkfifo(self.gate, 0o600)
            os.mkfifo(self.verdict, 0o600)
        except OSError as error:
            raise MinirunError(f"make {self.gate}: {error.strerror}") from error

    def write(self, state: State) -> None:
        """Replace state.json in one step, and its copy before that: it never knows less."""
        from ..jsontext import dumps

        content = dumps(state.as_json()).encode("utf-8", "surrogateescape")
        for name in (_COPY, _STATE):
            self._replace(name, content)

    def write_config(self, content: bytes) -> None:
        """Keep the configuration."""
        self._replace("config.json", content)

    def _replace(self, name: str, content: bytes) -> None:
        temporary = f"{self.path}/.{name}"
        try:
            with open(temporary, "wb") as file:
                file.write(content)
        except OSError as error:
            error.filename = f"{self.path}/{name}"  # a write names none
            raise
        os.rename(temporary, f"{self.path}/{name}")

    def read(self) -> State:
        """Give the state. NotFound when there is no such container; one that was never completed has an empty one.

        Corrupt when a power cut, a full disk or a hand has left nothing that can be read. Conflict when another runtime has
        written it: containerd gives all of its runtimes one root.
        """
        damage: Exception | None = None
        for name in (_STATE, _COPY):
            try:
                return self._recorded(name)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                if isinstance(error, OSError) and error.errno in _OF_THE_CALLER:
                    raise  # nothing is wrong with the file
                damage = damage or error
        if damage is not None:
            raise Corrupt(f"{self.path}/{_STATE} can't be read: {damage}; delete --force removes it") from damage
        if not os.path.isdir(self.path):
            raise NotFound("container does not exist")
        return State(id=self.id, bundle="")

    def _recorded(self, name: str) -> State:
        """Give what one file holds; ValueError, KeyError, TypeError when that is no state, Conflict for another runtime's."""
        from ..jsontext import loads

        with open(f"{self.path}/{name}", "rb") as file:
            data: Any = loads(file.read().decode("utf-8", "surrogateescape"))
        if isinstance(data, dict) and data.get("id") == self.id and "later_hooks" not in data:
            raise Conflict(f"{self.path}/{name} was written by another runtime, which alone knows the container")
        for key in ("later_hooks", "sentences"):
            data[key] = tuple(data[key])
        state = State(**data)
        for key, value in data.items():
            if type(value) is not type(getattr(_SAMPLE, key)):
                raise TypeError(f"{key} can't be {value!r:.60}")
        return state

    def open_gate(self) -> int | None:
        """Give the gate open for writing; None when nobody waits there. fifo(7)"""
        try:
            return os.open(self.gate, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENOENT):
                return None
            raise

    def is_waited_at(self) -> bool:
        """Does a process wait at the gate for its start? One that has passed has closed it by executing its program."""
        gate = self.open_gate()
        if gate is None:
            return False
        os.close(gate)
        return True

    def close_gate(self) -> None:
        """The container waits no more."""
        for path in (self.gate, self.verdict):
            _unlink(path)

    def remove(self) -> None:
        """Give the id back; the state last but one, so that what a killed command leaves can be removed again."""
        try:
            if os.path.isdir(self.notify):
                for name in os.listdir(self.notify):
                    _unlink(f"{self.notify}/{name}")
                os.rmdir(self.notify)
            for name in sorted(os.listdir(self.path), key=lambda name: name == "state.json"):
                _unlink(f"{self.path}/{name}")
            os.rmdir(self.path)
        except FileNotFoundError:
            pass

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the container's lock; NotFound when it doesn't exist, or has gone while we waited."""
        descriptor = self._lock()
        try:
            yield
        finally:
            os.close(descriptor)

    def is_held(self) -> bool:
        """Does another command hold the lock at this moment? NotFound when the directory doesn't exist."""
        import fcntl

        try:
            os.close(self._lock(fcntl.LOCK_SH | fcntl.LOCK_NB))
        except BlockingIOError:
            return True
        return False

    def _lock(self, how: int = 0) -> int:
        """Give a descriptor of the directory, which holds the lock as long as it is open. Blocks; NotFound."""
        import fcntl

        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound("container does not exist") from None
        try:
            fcntl.flock(descriptor, how or fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink == 0:
                raise NotFound("container does not exist")
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def check_id(container_id: str) -> str:
    """Give the id; InvalidInput for one that can't name a directory."""
    plain = all(letter.isascii() and (letter.isalnum() or letter in _ID_CHARACTERS) for letter in container_id)
    if not container_id or len(container_id) > _ID_MAX or not plain or container_id[0] == ".":
        raise InvalidInput("invalid container ID format")
    return container_id


def ids(root: str) -> list[str]:
    """Give the ids beneath a root, which need not exist and isn't made."""
    try:
        return sorted(entry.name for entry in os.scandir(root) if os.path.exists(f"{entry.path}/state.json"))
    except FileNotFoundError:
        return []


def remove_shared(root: str) -> None:
    """Remove what containers beneath a root had in common, and the root, unless one is there or being made."""
    import shutil

    with suppress(OSError):
        if os.listdir(root) == [SHARED]:
            shutil.rmtree(f"{root}/{SHARED}")
        os.rmdir(root)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
