"""Peers of the preloaded process that aren't its launcher: whatever they send, it serves the next command."""

from __future__ import annotations

import array
import os
import socket
import struct
import subprocess
import sys

import pytest

from minirun.warm import request
from tests.waiting import until


@pytest.fixture
def peer(installed):
    """A connection to it."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(installed.socket)
    connection.settimeout(10)
    yield connection
    connection.close()
    assert installed.run("version").stdout.startswith("minirun:")
    assert not installed.ran_cold()
    until("no worker", lambda: not installed.workers())


def send(connection: socket.socket, data: bytes, descriptors: list[int]) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    connection.sendmsg([data], rights)


def answers(connection: socket.socket) -> list[int]:
    """Give the kinds of all answers until it has hung up."""
    kinds = []
    while data := connection.recv(64):
        kinds.append(request.ANSWER.unpack(data)[0])
    return kinds


def memory(data: bytes) -> int:
    descriptor = os.memfd_create("request")
    os.write(descriptor, data)
    return descriptor


def head(arguments=0, variables=0, descriptors=0, version=request.VERSION) -> bytes:
    return request.HEAD.pack(version, arguments, variables, descriptors, 0, 0)


def test_one_that_says_nothing_is_left(peer):
    assert answers(peer) == []


@pytest.mark.parametrize(
    "data", [b"x", bytes((request.VERSION,)), b"\0" * 60_000], ids=["a letter", "the version", "much"]
)
def test_garbage_is_answered_with_no(peer, data):
    send(peer, data, [])
    assert answers(peer) == [request.COLD]


@pytest.mark.parametrize("count", [1, 2, 4, 200])
def test_a_wrong_number_of_descriptors_is_answered_with_no(peer, count):
    send(peer, bytes((request.VERSION,)), [0] * count)
    assert answers(peer) == [request.COLD]


BODY = b"/home\0/path\0minirun\0"
BAD = {
    "empty": b"",
    "half a head": head()[:10],
    "another version": head(version=99) + BODY,
    "more words than there are": head(arguments=1000) + BODY,
    "more words than can be": head(arguments=0xFFFFFFFF, variables=0xFFFFFFFF) + BODY,
    "more variables than there are": head(variables=3) + BODY + b"A=1\0",
    "no end": head() + BODY[:-1],
    "more descriptors than can be": head(descriptors=0xFFFFFFFF) + BODY,
    "a number twice": head(descriptors=2) + struct.pack("=II", 1, 1) + BODY,
    "a number out of reach": head(descriptors=1) + struct.pack("=I", 1 << 30) + BODY,
    "another installation": head() + BODY,
    "no text": bytes(range(256)) * 1000,
}


@pytest.mark.parametrize("name", BAD)
def test_a_request_that_no_launcher_writes_is_answered_with_no(peer, name):
    token, file = os.eventfd(1), memory(BAD[name])
    pair = socket.socketpair()
    try:
        send(peer, bytes((request.VERSION,)), [file, token, pair[0].fileno()])
        assert answers(peer) == [request.COLD]
        assert os.eventfd_read(token) == 1
    finally:
        for end in pair:
            end.close()
        os.close(token)
        os.close(file)


def honest(installed, program: bytes = b"minirun") -> bytes:
    home = os.fsencode(os.path.realpath(os.path.dirname(installed.program())))
    return head(arguments=1) + home + b"\0/path\0" + program + b"\0version\0"


@pytest.mark.parametrize("program", [b"sh", b"", b"../minirun", b"minirun-warm"])
def test_an_unknown_program_is_answered_with_no(installed, peer, program):
    pair = socket.socketpair()
    token, file = os.eventfd(1), memory(honest(installed, program))
    send(peer, bytes((request.VERSION,)), [file, token, pair[0].fileno()])
    assert answers(peer) == [request.COLD]
    for descriptor in (token, file):
        os.close(descriptor)
    for end in pair:
        end.close()


def test_a_worker_without_its_callers_descriptors_does_nothing(installed, peer):
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    token, file = os.eventfd(1), memory(honest(installed))
    send(peer, bytes((request.VERSION,)), [file, token, pair[0].fileno()])
    kinds = answers(peer)
    assert kinds == [request.SEEN, request.EXITED]
    assert os.eventfd_read(token) == 1
    for descriptor in (token, file):
        os.close(descriptor)
    for end in pair:
        end.close()


def test_a_worker_whose_token_is_gone_does_nothing(installed, peer):
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    token, file = os.eventfd(0, os.EFD_NONBLOCK), memory(honest(installed))
    directory = os.open("/", os.O_PATH)
    send(pair[1], bytes((request.VERSION,)), [directory])
    send(peer, bytes((request.VERSION,)), [file, token, pair[0].fileno()])
    assert answers(peer) == [request.SEEN, request.EXITED]
    for descriptor in (token, file, directory):
        os.close(descriptor)
    for end in pair:
        end.close()


def test_others_than_root_cannot_connect(installed):
    script = f"import socket; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect({installed.socket!r})"
    words = ["setpriv", "--reuid", "1000", "--clear-groups", sys.executable, "-I", "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Permission denied" in done.stderr


def test_of_a_process_with_less_nothing_is_taken(installed):
    """To close a descriptor can take for ever (FUSE): whoever isn't served is told so before it has sent one."""
    script = f"""
import socket
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect({installed.socket!r})
print(connection.recv(64)[0])
"""
    words = ["setpriv", "--bounding-set", "-sys_time", sys.executable, "-I", "-c", script]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == f"{request.COLD}\n"


@pytest.mark.parametrize("is_waited_for", [True, False])
def test_who_inherits_a_connection_is_served_by_nobody(installed, is_waited_for):
    """The facts are those of the process that connected; when that has ended, somebody else asks."""
    script = f"""
import array, os, socket, sys
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
if (pid := os.fork()) == 0:
    connection.connect({installed.socket!r})
    os._exit(0)
os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
if {is_waited_for}:
    os.waitpid(pid, 0)
file = os.memfd_create("request")
os.write(file, {honest(installed)!r})
pair, token = socket.socketpair(), os.eventfd(1)
rights = array.array("i", [file, token, pair[0].fileno()])
try:
    connection.sendmsg([b"\\1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    kind = connection.recv(64)[0]
except (BrokenPipeError, ConnectionResetError):
    kind = connection.recv(64)[0]
print(kind, os.eventfd_read(token))
"""
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == f"{request.COLD} 1\n"


def test_a_root_process_with_less_is_refused_even_if_it_lies(installed):
    """The facts are the kernel's: what a request says of itself isn't asked."""
    script = f"""
import contextlib, os, socket, array
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect({installed.socket!r})
file = os.memfd_create("request")
os.write(file, {honest(installed)!r})
pair = socket.socketpair()
rights = array.array("i", [file, os.eventfd(1), pair[0].fileno()])
with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it is refused before it has said anything
    connection.sendmsg([b"\\1"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    print(connection.recv(64)[0])
    raise SystemExit
print(connection.recv(64)[0])
"""
    for less in (["setpriv", "--bounding-set", "-sys_time"], ["unshare", "-n"], ["setpriv", "--no-new-privs"]):
        done = subprocess.run([*less, sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout == f"{request.COLD}\n"
