"""config-linux.md: "Seccomp", "The Container Process State". System calls are numbers of x86-64."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.bundles import Box
from tests.waiting import until

pytestmark = pytest.mark.needs("x86_64")

GETPGID, GETSID, PERSONALITY = 121, 124, 135


def rule(name: str, action: str, *arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"names": [name], "action": f"SCMP_ACT_{action}", "args": list(arguments), **more}


def argument(index: int, operator: str, value: int, value_two: int = 0) -> dict[str, Any]:
    return {"index": index, "op": f"SCMP_CMP_{operator}", "value": value, "valueTwo": value_two}


def profile(*rules: dict[str, Any], default: str = "ALLOW", **more: Any) -> dict[str, Any]:
    return {"defaultAction": f"SCMP_ACT_{default}", "syscalls": list(rules), **more}


def probe(box: Box, number: int, *arguments: int) -> int:
    """Make the call in the container; give its result, or -errno."""
    return int(box.shell(f"probe native {number} {' '.join(map(str, arguments))}"))


# ---- Actions


@pytest.mark.parametrize(
    ("action", "more", "result"),
    [
        ("ERRNO", {}, -errno.EPERM),
        ("ERRNO", {"errnoRet": errno.EXDEV}, -errno.EXDEV),
        ("ERRNO", {"errnoRet": errno.ENOSYS}, -errno.ENOSYS),
        ("ALLOW", {}, None),
        ("LOG", {}, None),
        ("TRACE", {}, -errno.ENOSYS),
    ],
)
def test_the_action_decides_the_result(box: Box, action: str, more, result: int | None) -> None:
    box.linux["seccomp"] = profile(rule("getpgid", action, **more))
    seen = probe(box, GETPGID, 0)
    assert seen == result if result is not None else seen >= 0


@pytest.mark.parametrize(
    ("action", "number"),
    [("KILL", signal.SIGSYS), ("KILL_THREAD", signal.SIGSYS), ("KILL_PROCESS", signal.SIGSYS), ("TRAP", signal.SIGSYS)],
)
def test_the_action_ends_the_process(box: Box, action: str, number: int) -> None:
    box.linux["seccomp"] = profile(rule("getpgid", action))
    box.process["args"] = ["sh", "-c", f"probe native {GETPGID} 0; echo $?"]
    assert box.run().stdout.split()[-1] == str(128 + number)


def test_the_default_action_is_for_what_no_rule_names(box: Box) -> None:
    box.linux["seccomp"] = profile(rule("getpgid", "ERRNO", errnoRet=errno.EXDEV))
    assert probe(box, GETSID, 0) >= 0


def test_the_default_error_number(box: Box) -> None:
    """Everything that the probe and the shell need is allowed."""
    needed = [
        *(
            "execve",
            "brk",
            "arch_prctl",
            "set_tid_address",
            "set_robust_list",
            "rseq",
            "prlimit64",
            "readlink",
            "readlinkat",
        ),
        *(
            "getrandom",
            "mprotect",
            "fstat",
            "newfstatat",
            "ioctl",
            "write",
            "writev",
            "exit_group",
            "exit",
            "mmap",
            "munmap",
        ),
        *("capget", "prctl", "read", "close", "poll", "uname", "openat", "open", "capset", "access"),
    ]
    allowed = {"names": needed, "action": "SCMP_ACT_ALLOW"}
    box.linux["seccomp"] = profile(allowed, default="ERRNO", defaultErrnoRet=errno.ECHILD)
    box.process.update(args=["probe", "native", str(GETPGID), "0"], noNewPrivileges=True)
    assert box.run().stdout.strip() == str(-errno.ECHILD)


@pytest.mark.parametrize("bit", ["1", "0"])
def test_a_filter_is_there_with_and_without_no_new_privileges(box: Box, bit: str) -> None:
    box.process["noNewPrivileges"] = bit == "1"
    box.linux["seccomp"] = profile(rule("getpgid", "ERRNO"))
    seen = box.shell("grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status").split()
    assert seen == ["NoNewPrivs:", bit, "Seccomp:", "2"]


# ---- Arguments


@pytest.mark.parametrize(
    ("condition", "hit", "missed"),
    [
        (argument(0, "EQ", 5), [5], [4, 6, 5 | 1 << 32]),
        (argument(0, "NE", 5), [4, 6, 5 | 1 << 32], [5]),
        (argument(0, "LT", 5), [0, 4], [5, 6, 1 << 32]),
        (argument(0, "LE", 5), [4, 5], [6, 1 << 32]),
        (argument(0, "GT", 5), [6, 1 << 32], [4, 5]),
        (argument(0, "GE", 5), [5, 6, 1 << 32], [0, 4]),
        (argument(0, "MASKED_EQ", 0xF0, 0x50), [0x50, 0x5F, 0x150], [0x51 ^ 0x10, 0x60]),
        (argument(0, "EQ", 1 << 40 | 3), [1 << 40 | 3], [3, 1 << 40]),
        (argument(1, "EQ", 7), [], [7]),
    ],
    ids=lambda value: f"{value['op'][9:]} {value['index']} {value['value']:#x}" if isinstance(value, dict) else "",
)
def test_an_argument_is_compared_in_all_its_64_bits(box: Box, condition, hit, missed) -> None:
    box.linux["seccomp"] = profile(rule("personality", "ERRNO", condition, errnoRet=errno.EXDEV))
    script = "; ".join(f"probe native {PERSONALITY} {value}" for value in [*hit, *missed])
    seen = [int(line) for line in box.shell(script).split()]
    assert [result == -errno.EXDEV for result in seen] == [True] * len(hit) + [False] * len(missed)


def test_all_arguments_of_a_rule_have_to_match(box: Box) -> None:
    both = (argument(0, "EQ", 1), argument(1, "EQ", 2))
    box.linux["seccomp"] = profile(rule("personality", "ERRNO", *both, errnoRet=errno.EXDEV))
    script = f"probe native {PERSONALITY} 1 2; probe native {PERSONALITY} 1 3; probe native {PERSONALITY} 0 2"
    assert [line == str(-errno.EXDEV) for line in box.shell(script).split()] == [True, False, False]


def test_one_of_several_rules_has_to_match(box: Box) -> None:
    rules = [rule("personality", "ERRNO", argument(0, "EQ", value), errnoRet=errno.EXDEV) for value in (1, 2)]
    box.linux["seccomp"] = profile(*rules)
    script = "; ".join(f"probe native {PERSONALITY} {value}" for value in (1, 2, 3))
    assert [line == str(-errno.EXDEV) for line in box.shell(script).split()] == [True, True, False]


# ---- What is refused


@pytest.mark.parametrize(
    "broken",
    [
        {"defaultAction": "SCMP_ACT_NOSUCH"},
        {},
        profile(rule("getpgid", "NOSUCH")),
        profile({"names": [], "action": "SCMP_ACT_ERRNO"}),
        profile(rule("getpgid", "ERRNO", {"index": 0, "op": "SCMP_CMP_NOSUCH", "value": 0})),
        profile(rule("getpgid", "ERRNO", {"index": 6, "op": "SCMP_CMP_EQ", "value": 0})),
        profile(rule("getpgid", "ALLOW", errnoRet=1)),
        profile(default="KILL", defaultErrnoRet=1),
        profile(architectures=["SCMP_ARCH_NOSUCH"]),
        profile(flags=["SECCOMP_FILTER_FLAG_NOSUCH"]),
        profile(listenerMetadata="without a path"),
        profile(rule("getpgid", "NOTIFY")),
        profile(rule("write", "NOTIFY"), listenerPath="/run/agent"),
        profile(rule("sendmsg", "NOTIFY"), listenerPath="/run/agent"),
    ],
    ids=str,
)
def test_what_a_profile_may_not_say_is_an_error(box: Box, broken) -> None:
    box.linux["seccomp"] = broken
    assert box.create(check=False).returncode == 1
    assert not box.exists()


@pytest.mark.parametrize("flag", ["TSYNC", "LOG", "SPEC_ALLOW"])
def test_flags_are_accepted(box: Box, flag: str) -> None:
    box.linux["seccomp"] = profile(rule("getpgid", "ERRNO"), flags=[f"SECCOMP_FILTER_FLAG_{flag}"])
    assert probe(box, GETPGID, 0) == -errno.EPERM


def test_an_unknown_system_call_is_ignored(box: Box) -> None:
    box.linux["seccomp"] = profile(rule("no_such_call", "ERRNO"), rule("getpgid", "ERRNO"))
    assert probe(box, GETPGID, 0) == -errno.EPERM


# ---- Notifications, and the agent that answers them

_CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, _SEND; linux/seccomp.h


class Agent:
    """A seccomp agent: takes one container's descriptor from a socket, answers every call with an error number; 0: let it be."""

    def __init__(self, path: Path, answer: int) -> None:
        self.answer = answer
        self.states: list[dict[str, Any]] = []
        self.descriptors: list[int] = []
        self.calls: list[int] = []
        self.at_end = False
        self.stop_reader, self.stop_writer = os.pipe()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(1)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        if self.stop_reader in select.select([self.socket.fileno(), self.stop_reader], [], [])[0]:
            return
        connection, _ = self.socket.accept()
        with connection:
            data, self.descriptors, _, _ = socket.recv_fds(connection, 65536, 4)
            while piece := connection.recv(65536):
                data += piece
        self.at_end = True
        self.states.append(json.loads(data))
        (listener,) = self.descriptors
        while True:
            poll = select.poll()
            poll.register(listener, select.POLLIN)
            poll.register(self.stop_reader, select.POLLIN)
            ready = dict(poll.poll())
            if self.stop_reader in ready or not ready.get(listener, 0) & select.POLLIN:
                return
            self._answer(listener)

    def _answer(self, listener: int) -> None:
        notification = bytearray(80)
        try:
            fcntl.ioctl(listener, _RECEIVE, notification)
            identity, _, _, number = struct.unpack_from("QIIi", notification)
            self.calls.append(number)
            goes_on = 0 if self.answer else _CONTINUE
            fcntl.ioctl(listener, _SEND, bytearray(struct.pack("QqiI", identity, 0, -self.answer, goes_on)))
        except FileNotFoundError:
            return  # the process has ended meanwhile

    def state(self) -> dict[str, Any]:
        """Give what the agent was told first: whoever sent it needn't have waited until it was read."""
        return until("the agent to be told", lambda: self.states)[0]

    def end(self) -> None:
        os.write(self.stop_writer, b"x")
        self.thread.join()
        for descriptor in (*self.descriptors, self.stop_reader, self.stop_writer):
            os.close(descriptor)
        self.socket.close()


@pytest.fixture
def agent(box: Box) -> Iterator[Agent]:
    found = Agent(box.path / "agent", errno.EXDEV)
    yield found
    found.end()


def test_an_agent_gets_the_state_and_answers_the_calls(box: Box, agent: Agent) -> None:
    box.config["annotations"] = {"com.example.key": "value"}
    box.linux["seccomp"] = profile(
        rule("getpgid", "NOTIFY"), listenerPath=str(box.path / "agent"), listenerMetadata="opaque é"
    )
    box.process["args"] = ["sh", "-c", f"probe native {GETPGID} 0; probe native {GETSID} 0"]
    box.create()
    pid = box.state()["pid"]
    box.start()
    box.wait_until_stopped()
    first, second = box.printed.split()
    assert first == str(-errno.EXDEV)
    assert int(second) >= 0
    assert agent.calls == [GETPGID]
    (state,) = agent.states
    assert agent.at_end, "exactly one state, and then the connection is closed"
    assert state["ociVersion"].startswith("1.")
    assert (state["fds"], state["pid"], state["metadata"]) == (["seccompFd"], pid, "opaque é")
    assert (state["state"]["id"], state["state"]["status"]) == (box.id, "creating")
    assert state["state"]["bundle"] == str(box.path)
    assert state["state"]["annotations"] == {"com.example.key": "value"}


def _run_without_agent(box: Box, call: str) -> Path:
    """Start a container whose agent is asked about a call, and take the agent's socket away: give its place."""
    path = box.path / "agent"
    box.linux["seccomp"] = profile(rule(call, "NOTIFY"), listenerPath=str(path))
    box.process["args"] = ["sleep", "1000"]
    box.create()
    box.start()
    path.unlink()
    return path


def test_an_agent_gets_the_calls_of_a_further_process(box: Box, agent: Agent) -> None:
    """Else such a call would wait for an answer for ever."""
    second = Agent(_run_without_agent(box, "getpgid"), errno.EDOM)
    try:
        done = box.runtime("exec", box.id, "probe", "native", str(GETPGID), "0")
        first, further = agent.state(), second.state()
    finally:
        second.end()
    assert done.stdout.split() == [str(-errno.EDOM)]
    assert (agent.calls, second.calls) == ([], [GETPGID])
    assert further["pid"] not in (0, first["pid"])
    assert (further["state"]["pid"], further["state"]["status"]) == (first["pid"], "running")


@pytest.mark.parametrize("privileged", [False, True])
@pytest.mark.parametrize("call", ["execve", "close", "capset", "prctl", "read", "mmap"])
def test_a_call_of_ours_behind_the_filter_is_answered_too(box: Box, agent: Agent, call: str, privileged: bool) -> None:
    """The agent has the descriptor before anything else is done: both ways, while the container begins and for an `exec`."""
    box.process["noNewPrivileges"] = privileged  # then the filter comes last
    agent.answer = 0
    second = Agent(_run_without_agent(box, call), 0)
    try:
        assert box.runtime("exec", box.id, "echo", "entered").stdout == "entered\n"
        first, further = agent.state(), second.state()
    finally:
        second.end()
    assert call != "execve" or (agent.calls and second.calls)
    assert further["pid"] not in (0, first["pid"])
    assert (further["state"]["pid"], further["state"]["status"]) == (first["pid"], "running")


def test_an_agent_that_does_not_listen_ends_a_further_process(box: Box, agent: Agent) -> None:
    _run_without_agent(box, "getpgid")
    done = box.runtime("exec", box.id, "touch", "/tmp/ran", check=False)
    assert (done.returncode, "send the seccomp listener" in done.stderr) == (255, True)
    assert not (box.rootfs / "tmp/ran").exists()


def test_a_socket_that_nobody_listens_to_is_an_error(box: Box) -> None:
    box.linux["seccomp"] = profile(rule("getpgid", "NOTIFY"), listenerPath=str(box.path / "nobody"))
    assert box.create(check=False).returncode == 1
    assert not box.exists()


def test_a_profile_that_lets_nothing_begin_is_named(box: Box) -> None:
    box.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ERRNO"}
    done = box.create(check=False)
    assert (done.returncode, "seccomp profile" in done.stderr) == (1, True)
    assert not box.exists()


def test_a_path_without_notifications_is_ignored(box: Box) -> None:
    box.linux["seccomp"] = profile(rule("getpgid", "ERRNO"), listenerPath=str(box.path / "nobody"))
    assert probe(box, GETPGID, 0) == -errno.EPERM
