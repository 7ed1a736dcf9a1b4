"""`python stepper.py COUNT VICTIM WORD...`: run a command, and kill a part of it at the COUNT-th system call of the C core.

Counted are the calls of `minirun-spawn` and of the process that it makes, until that executes its program: every operation of a
plan is one or several of them. VICTIM is `command`, `spawner` or `made`; whoever makes the call if that one isn't there. The
call itself is not made before the victim is dead. Prints how many calls were counted, and ends when the command has. ptrace(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_LIBC.ptrace.restype = ctypes.c_long
CONT, SYSCALL, SEIZE, GETEVENTMSG, LISTEN = 7, 24, 0x4206, 0x4201, 0x4208
SYSGOOD, FORK, VFORK, CLONE, EXEC = 0x01, 0x02, 0x04, 0x08, 0x10
EVENT_NEW, EVENT_EXEC, EVENT_STOP = (1, 2, 3), 4, 128
_WALL = 0x40000000
_SPAWNER = b"minirun-spawn"


def ptrace(request: int, pid: int, data: int = 0) -> None:
    """ptrace(2); a process that has died meanwhile is no error."""
    _LIBC.ptrace(request, pid, None, data)


def event_message(pid: int) -> int:
    """Give the process that a fork, vfork or clone has made."""
    value = ctypes.c_ulong()
    _LIBC.ptrace(GETEVENTMSG, pid, None, ctypes.addressof(value))
    return value.value


def program(pid: int) -> bytes:
    """Give the name that a process was called by; its executable is a mount without a path."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")[0]
    except OSError:
        return b""


class Tracer:
    """Follows a command and everything that it starts."""

    def __init__(self, command: int, count: int, victim: str) -> None:
        self._wanted = count
        self._victim = victim
        self._processes = {"command": [command], "spawner": [], "made": []}
        self._core: set[int] = set()
        self._inside: set[int] = set()  # between a call's beginning and its end
        self.calls = 0

    def run(self) -> None:
        """Step until the call is reached, or the command has ended: a container goes on."""
        while True:
            try:
                pid, status = os.waitpid(-1, _WALL)
            except ChildProcessError:
                return
            if not os.WIFSTOPPED(status):
                if pid in self._processes["command"]:
                    return
                self._ended(pid)
                continue
            number, event = os.WSTOPSIG(status), status >> 16
            if number == signal.SIGTRAP | 0x80:
                self._at_call(pid)
                if self.calls == self._wanted:
                    os.kill(next(iter(self._processes[self._victim]), pid), signal.SIGKILL)
                    return
                number = 0
            elif event in EVENT_NEW:
                self._born(pid, event_message(pid))
                number = 0
            elif event == EVENT_EXEC:
                self._executed(pid)
                number = 0
            elif event == EVENT_STOP:
                if number in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
                    ptrace(LISTEN, pid)
                    continue
                number = 0
            ptrace(SYSCALL if pid in self._core else CONT, pid, number)

    def _at_call(self, pid: int) -> None:
        if pid in self._inside:
            self._inside.discard(pid)
            return
        self._inside.add(pid)
        self.calls += 1

    def _born(self, parent: int, pid: int) -> None:
        if parent in self._core:
            self._core.add(pid)
            self._inside.discard(pid)
            self._processes["made"].append(pid)

    def _executed(self, pid: int) -> None:
        self._core.discard(pid)
        self._inside.discard(pid)
        if program(pid) == _SPAWNER:
            self._core.add(pid)
            self._inside.add(pid)  # the end of execve comes next
            self._processes["spawner"].append(pid)

    def _ended(self, pid: int) -> None:
        for processes in self._processes.values():
            if pid in processes:
                processes.remove(pid)


def main() -> int:
    count, victim, *words = sys.argv[1:]
    ready, go = os.pipe()
    command = os.fork()
    if command == 0:
        os.close(go)
        os.read(ready, 1)
        os.execv(words[0], words)
    os.close(ready)
    if (tracer := os.fork()) == 0:
        ptrace(SEIZE, command, SYSGOOD | FORK | VFORK | CLONE | EXEC)
        os.close(go)
        following = Tracer(command, int(count), victim)
        following.run()
        print(following.calls, flush=True)
        os._exit(0)  # and whoever was traced goes on
    os.close(go)
    os.waitpid(tracer, 0)
    os.waitpid(command, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
