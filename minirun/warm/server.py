"""The preloaded process: imports held, and a worker forked for each command that may have one.

    minirun-warm SOCKET [LOCK]      LOCK: a descriptor with the lock already taken; $LISTEN_FDS=1: the socket is descriptor 3

Owns: the loop. Leaves to others: what is asked (request), by whom (caller), becoming a command (worker), when to go (watch).

    a connection    -> its facts are compared -> its request: SEEN, fork -> the worker takes the token: ACCEPTED, and runs it
                                              \\-> COLD
    a worker        stops -> STOPPED; ends -> EXITED; its caller has ended -> it is killed; its caller is stopped -> it is stopped
    nobody served for long, package changed, SIGTERM  -> no socket any more; the last workers end; the end

It has one thread and no state: nothing but connections with their workers, and workers that wait for one. A worker is killed with
it (PR_SET_PDEATHSIG): its caller sees the connection's end and ends as one that was killed.
"""

from __future__ import annotations

import _signal
import _socket
import os
import select
import sys
import time

from .._native import lib
from ..errors import MinirunError
from ..light import suppress
from . import adopt, caller, request
from .control import Lock, listening_socket
from .preload import preload
from .request import COLD, EXITED, SEEN, STOPPED, Rejected
from .settle import settle
from .spare import Spare, Spares
from .watch import Watch
from .worker import PROGRAMS, become

IDLE_SECONDS = 300
SILENCE_SECONDS = 1.0  # so long a peer may take to say what it wants
DYING_SECONDS = 0.05
ORPHAN_SECONDS = 1.0
LOOK_MS = 20  # how often callers of running commands are looked at: has somebody stopped them?
CGROUP = "minirun-warm"
TIMES_TO_LEARN = 12


class Command:
    """One connection, from accept to the end of its worker."""

    def __init__(self, socket: _socket.socket) -> None:
        self.socket = socket
        self.since = time.monotonic()
        self.peer: caller.Peer | None = None
        self.facts: caller.Facts | None = None
        self.worker = 0
        self.spare: Spare | None = None  # whose memory the worker has, until that is given or put back
        self.status: int | None = None  # of a worker that was killed, until then
        self.token = -1  # who takes it runs the command
        self.ended = 0.0  # when that was
        self.is_stopped = False
        self.is_killed = False
        self.by_us = False  # we have stopped it, because its caller is stopped
        self.is_watched = True

    def close(self) -> None:
        self.socket.close()
        for descriptor in (self.token, -1 if self.peer is None else self.peer.pidfd):
            if descriptor >= 0:
                os.close(descriptor)

    def is_taken(self) -> bool:
        """Say whether somebody runs the command by now."""
        return self.token >= 0 and not _is_ready(self.token)


class Server:
    """The loop."""

    def __init__(self, path: str, listener: _socket.socket, lock: Lock | None, watch: Watch) -> None:
        self.path = path
        self.listener: _socket.socket | None = listener
        self.lock = lock  # None: the service manager owns the socket
        self.place = _inode(path)
        self.watch = watch
        self.home = os.fsencode(os.path.realpath(os.path.dirname(sys.executable)))
        self.facts = caller.own_facts()
        self.hierarchy = _unified_hierarchy()
        self.commands: dict[int, Command] = {}  # by their connection's descriptor
        self.idle_since = time.monotonic()
        self.poll = select.poll()
        self.woken, self.wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for descriptor in (listener.fileno(), self.watch.descriptor, self.woken):
            self.poll.register(descriptor, select.POLLIN)
        _signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        self.spares: Spares | None = None
        self.is_spare_wanted = self.may_have_spares = True
        self.is_asked_to_leave = False
        _signal.signal(_signal.SIGTERM, self._ask_to_leave)

    def run(self) -> None:
        """Serve until it is time to go. Workers that still run are waited for."""
        self._fork_ahead()
        while self.listener is not None or self.commands:
            for descriptor in self._ready():
                if descriptor == self.woken:
                    self._empty()
                elif self.listener is not None and descriptor == self.listener.fileno():
                    self._accept()
                elif descriptor in self.commands:
                    self._hear(self.commands[descriptor])
                elif self.spares is not None and descriptor in self.spares.found:
                    self._hear_spare(descriptor)
            self._reap()
            self._look_at_callers()
            self._drop_surplus()
            self._fork_ahead()
            if self.is_asked_to_leave or self.watch.has_changed() or self._is_idle():
                self.leave()
        self._await_memory()

    def _await_memory(self) -> None:
        """Nobody of ours is in our cgroup any more when it is to be removed: what is left gives back memory, and ends."""
        deadline = time.monotonic() + DYING_SECONDS * 10
        with suppress(ChildProcessError):
            while time.monotonic() < deadline:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.001)

    def _ask_to_leave(self, *_: object) -> None:
        """In the middle of anything: the loop, which the signal wakes, does it."""
        self.is_asked_to_leave = True

    def _ready(self) -> list[int]:
        """Wait, and give the descriptors that something has happened on: who has ended comes before who begins."""
        found = [descriptor for descriptor, _ in self.poll.poll(self._limit_ms())]
        return sorted(found, key=lambda descriptor: self.listener is not None and descriptor == self.listener.fileno())

    def leave(self) -> None:
        """Let another one take our place; safe to repeat."""
        self.is_asked_to_leave = False
        listener, self.listener = self.listener, None
        if listener is None:
            return
        if self.spares is not None:
            self.spares.close()
            self.spares = None
        for descriptor in (listener.fileno(), self.watch.descriptor):  # more changes of the package are no news
            self.poll.unregister(descriptor)
        if self.lock is not None and _inode(self.path) == self.place:  # or the service manager listens there by now
            os.unlink(self.path)
        listener.close()  # whoever is in its queue runs cold
        if self.lock is not None:
            self.lock.release()

    def _limit_ms(self) -> float:
        if self.commands:
            return LOOK_MS
        look = self.spares.drop_surplus() if self.spares is not None else 0
        return (look or max(0.0, self.idle_since + IDLE_SECONDS - time.monotonic())) * 1000 + 1

    def _is_idle(self) -> bool:
        return not self.commands and time.monotonic() - self.idle_since >= IDLE_SECONDS

    def _empty(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.woken, 4096)

    # ---- callers

    def _accept(self) -> None:
        assert self.listener is not None
        self._await_killed()
        try:
            descriptor, _ = self.listener._accept()  # type: ignore[attr-defined]  # of the C class, which has no accept()
        except OSError:  # it has gone, or there is no descriptor left for it: it runs cold
            return
        socket = request.socket_of(descriptor)
        command = self.commands[descriptor] = Command(socket)
        self.poll.register(descriptor, select.POLLIN)
        try:  # before anything that it sends is taken: to look at a descriptor, or to close it, can take for ever
            command.peer = caller.peer_of(socket)
            command.facts = caller.check(command.peer, self.facts)
        except (Rejected, OSError):
            self._refuse(command)
        else:
            self._hear(command)

    def _await_killed(self) -> None:
        """Whoever has killed a command, waited for it and calls the next finds nobody at work any more, if that is quick."""
        killed = [command.worker for command in self.commands.values() if command.is_killed and command.status is None]
        deadline = time.monotonic() + DYING_SECONDS
        while killed and time.monotonic() < deadline:
            if os.waitid(os.P_PID, killed[-1], os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                time.sleep(0.0005)
            else:
                killed.pop()

    def _ignore(self, command: Command) -> None:
        """Nothing more is to be heard from there but its end, over and over."""
        if command.is_watched:
            self.poll.unregister(command.socket.fileno())
        command.is_watched = False

    def _forget(self, command: Command) -> None:
        self._ignore(command)
        del self.commands[command.socket.fileno()]
        command.close()

    def _hear(self, command: Command) -> None:
        """A request has come; or, when there was one, the caller has ended: so does its worker."""
        if command.worker:
            os.kill(command.worker, _signal.SIGKILL)
            command.is_killed = True
            self._ignore(command)
            return
        try:
            descriptors = request.receive(command.socket, request.SENT)
        except BlockingIOError:
            return
        except OSError:
            self._forget(command)
            return
        try:
            if not descriptors or self.watch.has_changed():
                raise Rejected("its message, or our age")
            self._begin(command, request.read(descriptors), descriptors)
        except (Rejected, OSError):
            self._refuse(command)
        finally:
            request.close_all(descriptors)

    def _refuse(self, command: Command) -> None:
        with suppress(OSError):
            request.answer(command.socket, COLD)
        self._forget(command)

    def _begin(self, command: Command, asked: request.Request, descriptors: list[int]) -> None:
        """Give the command to a worker that waits, or to one forked for it. Raises Rejected, OSError."""
        if asked.home != self.home or asked.program not in PROGRAMS:
            raise Rejected("another installation")
        peer, facts = command.peer, command.facts
        assert peer is not None
        assert facts is not None
        if _is_ready(peer.pidfd):  # whoever asks now is another one
            raise Rejected("its end")
        command.token = os.dup(asked.token)
        request.answer(command.socket, SEEN)
        if facts.cgroup == self.facts.cgroup:
            command.worker = self._spare_worker(command, descriptors) or self._forked_worker(command, asked, -1)
            return
        # Memory is charged to where it was first: a worker that lives elsewhere from its birth is charged there.
        cgroup = os.open(self.hierarchy + os.fsdecode(facts.cgroup), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            command.worker = self._forked_worker(command, asked, cgroup)
        finally:
            os.close(cgroup)

    def _spare_worker(self, command: Command, descriptors: list[int]) -> int:
        """Give the process id of what was a spare worker, 0 when there was none, or none any more."""
        if self.spares is not None and not self.spares.ready() and len(self.commands) == 1:
            descriptor = self.spares.soon()
            if descriptor >= 0:
                self._hear_spare(descriptor)
        spare = next(iter(self.spares.ready()), None) if self.spares is not None else None
        if self.spares is None or spare is None:
            self.is_spare_wanted = True
            return 0
        assert command.facts is not None
        try:
            worker = spare.begin([command.socket.fileno(), *descriptors], command.facts)
        except OSError:
            self.spares.drop(spare)
            self.is_spare_wanted = True
            return 0
        command.spare = spare
        return worker

    def _hear_spare(self, descriptor: int) -> None:
        """A worker waits, so its memory holds nothing of the one before; or it has been lost."""
        assert self.spares is not None
        spare = self.spares.hear(descriptor)
        if spare.worker:
            self._is_back(spare)
        elif spare.was_ready:  # where none can be made, the next command asks for one
            self.is_spare_wanted = True

    def _is_back(self, spare: Spare) -> None:
        """A memory has been put back, or given back; of its worker's end we may have heard, or not yet."""
        for command in [command for command in self.commands.values() if command.spare is spare]:
            command.spare = None
            if command.status is not None:
                self._end(command, command.status)

    def _forked_worker(self, command: Command, asked: request.Request, cgroup: int) -> int:
        """Give the process id of a fork, which doesn't come back. Raises OSError."""
        assert command.peer is not None
        assert command.facts is not None
        parent = os.getpid()
        worker: int = (
            os.fork() if cgroup < 0 else lib.mr_fork_into(cgroup)
        )  # the worker closes all descriptors by itself
        if worker == 0:
            become(asked, command.socket, command.peer, command.facts, parent, self._highest(asked))
        if worker < 0:
            raise OSError(-worker, os.strerror(-worker))
        lib.mr_pages_take()  # the fork has made them everybody's
        return worker

    def _fork_ahead(self) -> None:
        """Let there be a worker for the next command. Without one, it has one forked when it comes."""
        if not self.is_spare_wanted or self.listener is None:
            return
        self.is_spare_wanted = False
        with suppress(OSError):  # no process is left, or no descriptor
            if self.spares is None and self.may_have_spares:
                self.spares = Spares(self.poll)
                lib.mr_pages_take()  # the fork has made them everybody's
            if self.spares is not None:
                self.spares.want(len(self.commands))

    def _drop_surplus(self) -> None:
        """A crowd's memories aren't kept when it has gone; and what doesn't give a memory back was stopped."""
        if self.spares is not None:
            self.spares.drop_surplus()
        for command in self.commands.values():
            if command.status is not None and time.monotonic() - command.ended > ORPHAN_SECONDS:
                assert command.spare is not None
                command.spare.kill()

    def _highest(self, asked: request.Request) -> int:
        """Give a number that none of our descriptors exceeds."""
        probe = os.dup(asked.token)  # the lowest free one: all others are in the tables below
        os.close(probe)
        peers = [command.peer.pidfd for command in self.commands.values() if command.peer is not None]
        tokens = [command.token for command in self.commands.values()]
        own = (self.watch.descriptor, self.woken, self.wake, -1 if self.lock is None else self.lock.descriptor)
        ahead = [] if self.spares is None else self.spares.descriptors()
        return max(*self.commands, *peers, *tokens, *own, *ahead, asked.pair, asked.token, probe)

    # ---- workers

    def _reap(self) -> None:
        """Pass on what became of workers."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            command = next((command for command in self.commands.values() if pid == command.worker), None)
            if command is not None:
                self._has_changed(command, status)
            elif not os.WIFSTOPPED(status) and not os.WIFCONTINUED(status):
                self._has_ended(pid, status)

    def _has_changed(self, command: Command, status: int) -> None:
        """A worker was stopped, or goes on, or has ended."""
        if os.WIFCONTINUED(status):
            command.is_stopped = command.by_us = False
        elif os.WIFSTOPPED(status):
            command.is_stopped = True
            if not command.by_us:
                self._tell(command, STOPPED, os.WSTOPSIG(status))
        elif os.WIFSIGNALED(status) and command.spare is not None and command.spare.keeper:
            command.status = status  # it couldn't let go of the files that it had mapped
            command.ended = time.monotonic()
            self._ignore(command)
        else:
            self._end(command, status)

    def _has_ended(self, pid: int, status: int) -> None:
        """It is a keeper's end, which gives a memory back, or the zygote's; or that of a worker that had no command."""
        if self.spares is not None and pid == self.spares.zygote.pid:
            # One that couldn't even begin: the next one couldn't either.
            self.may_have_spares = self.spares.has_been_of_use or os.WIFSIGNALED(status)
            self.is_spare_wanted = self.spares.has_been_of_use
            self.spares.close()
            self.spares = None
        else:
            self._keeper_has_ended(pid)

    def _keeper_has_ended(self, pid: int) -> None:
        """Its number is nobody's from now on."""
        for command in [one for one in self.commands.values() if one.spare is not None and one.spare.keeper == pid]:
            assert command.spare is not None
            spare, command.spare.keeper = command.spare, 0
            if command.status is not None:
                self._is_back(spare)
        if self.spares is not None and self.spares.has_ended(pid):
            self.is_spare_wanted = True

    def _end(self, command: Command, status: int) -> None:
        if command.is_taken():  # who is refused keeps nobody here that serves none
            self.idle_since = time.monotonic()
        if command.spare is not None and command.spare.keeper:
            command.spare.awaited_since = time.monotonic()
        self._tell(command, EXITED, status)
        self._forget(command)
        if self.spares is not None:  # the zygote shares what hasn't been written to
            lib.mr_pages_note()

    def _tell(self, command: Command, kind: int, value: int) -> None:
        with suppress(OSError):  # it has ended
            request.answer(command.socket, kind, value)

    def _look_at_callers(self) -> None:
        """SIGSTOP can't be passed on by whom it stops. Here, too, ends the time of those who say nothing."""
        now = time.monotonic()
        for command in list(self.commands.values()):
            if not command.worker:
                if now - command.since > SILENCE_SECONDS:
                    self._forget(command)
            elif command.status is None and now - command.since > LOOK_MS / 1000:
                assert command.peer is not None
                is_stopped = caller.state_of(command.peer.pid) in (b"T", b"t")
                if is_stopped and not command.is_stopped:
                    command.by_us = True
                    os.kill(command.worker, _signal.SIGSTOP)
                elif command.by_us and not is_stopped:
                    os.kill(command.worker, _signal.SIGCONT)


def _is_ready(descriptor: int) -> bool:
    """Say whether something can be read of it; of a pidfd: whether its process has ended."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _inode(path: str) -> tuple[int, int]:
    try:
        status = os.lstat(path)
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino


def _unified_hierarchy() -> str:
    """Give where the cgroup v2 hierarchy is mounted, empty where it isn't. proc_pid_mountinfo(5)"""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            if " - cgroup2 " in line:
                return line.split()[4]
    return ""


def _leave_cgroup(ours: caller.Facts) -> bool:
    """Go out of the caller's cgroup (a login's, a service's), which shall be able to end without us; False where that can't be."""
    hierarchy = _unified_hierarchy()
    if not hierarchy or ours.cgroup == b"/":
        return True
    try:
        os.makedirs(f"{hierarchy}/{CGROUP}", exist_ok=True)
        with open(f"{hierarchy}/{CGROUP}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")
    except OSError:
        with suppress(OSError):
            os.rmdir(f"{hierarchy}/{CGROUP}")
        return False
    return True


def _remove_cgroup() -> None:
    """The last process of a cgroup has to be elsewhere before it can go."""
    hierarchy = _unified_hierarchy()
    with suppress(OSError):
        if hierarchy and os.path.isdir(f"{hierarchy}/{CGROUP}"):
            with open(f"{hierarchy}/cgroup.procs", "w", encoding="ascii") as file:
                file.write("0")
            os.rmdir(f"{hierarchy}/{CGROUP}")


def _stand_alone() -> None:
    """Keep nothing of whoever has started us, as far as it can be changed: be as if process 1 had."""
    with suppress(PermissionError):  # we lead a session already
        os.setsid()
    os.chdir("/")
    os.umask(0o022)
    for name in list(os.environ):
        if name not in ("PATH", "LANG", "LC_CTYPE"):
            del os.environ[name]
    for number in _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}:
        _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)
    lib.mr_set_signal_mask(0)
    lib.mr_leave_keyring()
    with suppress(PermissionError):  # user_namespaces(7), setgroups
        os.setgroups([])
    for name in adopt.SETTINGS:
        with suppress(OSError):
            adopt.take_setting(1, name)
    lib.mr_be_as(1)  # limits, processors
    with suppress(OSError):  # process 1 itself may be dearer to the host than what it starts
        os.setpriority(os.PRIO_PROCESS, 0, 0)
        adopt.write_setting("oom_score_adj", b"0")
    _take_room()


def _becomes_inits() -> bool:
    """Say whether process 1 is our parent, or is soon: whoever has started us ends at once, if it is let run."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while os.getppid() != 1 and time.monotonic() < deadline:
        time.sleep(0.005)
    return os.getppid() == 1


def _take_room() -> None:
    """Each command of a crowd takes two descriptors here; its worker takes on its caller's limit."""
    from resource import RLIMIT_NOFILE, getrlimit, setrlimit

    _, hard = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (hard, hard))


def practise() -> None:
    """Let the programs practise what a worker does once, until the interpreter has learnt what it learns. 40 ms."""
    modules = [
        __import__(f"{main.rpartition('.')[0]}.practice", fromlist=["practise"]) for main, _ in PROGRAMS.values()
    ]
    for _ in range(TIMES_TO_LEARN):
        for module in modules:
            module.practise()


def entry() -> None:
    """Be the preloaded process until it is time to go. Never returns."""
    path, *lock_descriptor = sys.argv
    listens = os.environ.get("LISTEN_FDS") == "1" and os.environ.get("LISTEN_PID") == str(os.getpid())
    is_born_of_init = listens or _becomes_inits()
    lock = None
    is_left_behind = bool(lock_descriptor)
    if not listens:
        lock = Lock(path, int(lock_descriptor[0]) if is_left_behind else -1)
        if not is_born_of_init or not lock.is_taken:  # a subreaper's child, which it knows nothing of; or the second
            os._exit(1)
    _stand_alone()
    ours = caller.own_facts()
    if is_left_behind and not caller.is_like_init(ours):
        os._exit(1)  # it would serve nobody else
    if not listens and not _leave_cgroup(ours) and is_left_behind:
        os._exit(1)
    watch = Watch()  # before anything is imported that may be replaced meanwhile
    preload()
    practise()
    settle()
    try:
        listener = listening_socket(path, listens)
    except (OSError, MinirunError):
        os._exit(1)
    Server(path, listener, lock, watch).run()
    if not listens:
        _remove_cgroup()
    os._exit(0)
