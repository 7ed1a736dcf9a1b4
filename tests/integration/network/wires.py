"""Network namespaces for tests: a host, other hosts on its LAN, containers on its bridge.

Owns: namespaces, the wires between them, sockets and programs in them. All of it is gone when its descriptors are closed.
Leaves to others: what is tested.

The main thread lives in the host's namespace for as long as a test runs, so the code under test believes that this is the host.
A socket stays in the namespace that it was made in: threads go there to make one, and the test talks to all of them from here.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self, TypeVar

from pyroute2 import IPRoute

import minirun._native
from minirun.network.networks import Endpoint

DEADLINE_SECONDS = 10.0
SILENCE_SECONDS = 0.4  # long enough for an answer over a veth pair on a busy machine
CLONE_NEWNET = 0x40000000

T = TypeVar("T")

_libc = ctypes.CDLL(None, use_errno=True)
_core = ctypes.CDLL(minirun._native.__file__)


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


class Namespace:
    """A network namespace that lives as long as this object's descriptor."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def new(cls) -> Self:
        def make() -> int:
            _checked(_libc.unshare(CLONE_NEWNET))
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

        namespace = cls(_in_thread(make))
        namespace.run("ip", "link", "set", "lo", "up")
        return namespace

    def close(self) -> None:
        os.close(self.descriptor)

    def enter(self) -> None:
        """Move the calling thread."""
        _checked(_libc.setns(self.descriptor, CLONE_NEWNET))

    def call(self, function: Callable[[], T]) -> T:
        """Give what `function` gives in this namespace."""

        def inside() -> T:
            self.enter()
            return function()

        return _in_thread(inside)

    def run(self, *command: str) -> str:
        """Run a program to its end; its output."""
        return self.call(lambda: subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def open_socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        made = self.call(lambda: socket.socket(family, kind, protocol))
        made.settimeout(DEADLINE_SECONDS)
        return made

    def listen(self, address: str, port: int) -> socket.socket:
        """A TCP server."""
        with ExitStack() as undo:
            server = undo.enter_context(self.open_socket(_family(address), socket.SOCK_STREAM))
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            server.listen()
            undo.pop_all()
            return server

    def bind(self, address: str, port: int) -> socket.socket:
        """A UDP socket."""
        with ExitStack() as undo:
            made = undo.enter_context(self.open_socket(_family(address), socket.SOCK_DGRAM))
            made.bind((address, port))
            undo.pop_all()
            return made

    def connect(self, address: str, port: int) -> socket.socket:
        """A TCP connection, made."""
        with ExitStack() as undo:
            client = undo.enter_context(self.open_socket(_family(address), socket.SOCK_STREAM))
            client.connect((address, port))
            undo.pop_all()
            return client

    def reaches(self, address: str, port: int) -> bool:
        """Whether a TCP connection comes about."""
        with self.open_socket(_family(address), socket.SOCK_STREAM) as probe:
            probe.settimeout(SILENCE_SECONDS)
            return probe.connect_ex((address, port)) == 0


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _in_thread(function: Callable[[], T]) -> T:
    """Give what `function` gives in a thread of its own, which takes its namespace with it when it ends."""
    outcome: list[Any] = []

    def body() -> None:
        try:
            outcome.extend((True, function()))
        except BaseException as error:
            outcome.extend((False, error))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if not outcome[0]:
        raise outcome[1]
    result: T = outcome[1]
    return result


class Container(Namespace):
    """A process in a network namespace of its own, wired to the bridge by the native core as a start does it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()
        super().__init__(os.open(f"/proc/{self._process.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        names = (endpoint.bridge, endpoint.host_interface, endpoint.interface)
        operate("mr_op_veth", *names, endpoint.mac, len(endpoint.mac), self._process.pid)
        self.call(self._configure)
        if endpoint.address6:
            # The kernel joins the multicast group by which neighbours find an address a moment after the address is there.
            # Once the container has asked the bridge for something, the bridge knows the way and asks no more.
            assert not self.reaches(endpoint.gateway6, 1)

    def _configure(self) -> None:
        endpoint = self.endpoint
        operate("mr_op_link_up", "lo")
        operate("mr_op_link_up", endpoint.interface)
        for address, prefix, gateway in (
            (endpoint.address4, endpoint.prefix4, endpoint.gateway4),
            (endpoint.address6, endpoint.prefix6, endpoint.gateway6),
        ):
            if address:
                packed = socket.inet_pton(_family(address), address)
                packed_gateway = socket.inet_pton(_family(address), gateway)
                operate("mr_op_address", endpoint.interface, packed, len(packed), prefix)
                operate("mr_op_route", endpoint.interface, packed_gateway, len(packed))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        super().close()


def operate(name: str, *arguments: str | bytes | int) -> None:
    """Call an operation of native/rtnetlink.c with a netlink socket of the calling thread's namespace; OSError if it fails."""
    channel = _core.mr_netlink_open(0)
    assert channel >= 0
    try:
        encoded = [argument.encode() if isinstance(argument, str) else argument for argument in arguments]
        result = getattr(_core, name)(channel, *encoded)
    finally:
        os.close(channel)
    if result < 0:
        raise OSError(-result, f"{name}{arguments}: {os.strerror(-result)}")


class Lan:
    """A host and its neighbours: a switch in the host's namespace, 198.51.100.1 and 2001:db8:1::1, others from 2 on."""

    NETWORK4 = "198.51.100"
    NETWORK6 = "2001:db8:1:"
    host4 = f"{NETWORK4}.1"
    host6 = f"{NETWORK6}:1"

    def __init__(self) -> None:
        self._undo = ExitStack()
        before = Namespace(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
        self._undo.callback(before.close)
        self.host = Namespace.new()
        self._undo.callback(self.host.close)
        self._undo.callback(before.enter)
        self.host.enter()
        self._neighbours = 0

    def close(self) -> None:
        self._undo.close()

    def neighbour(self) -> Neighbour:
        """A host on the LAN, whose default route is this host as that of a hostile one would be."""
        self._neighbours += 1
        number = self._neighbours + 1
        namespace = Neighbour.new()
        namespace.address4 = f"{self.NETWORK4}.{number}"
        namespace.address6 = f"{self.NETWORK6}:{number}"
        namespace.host_interface = f"lan{number}"
        self._undo.callback(namespace.close)
        with IPRoute() as route:
            # Ends of the same index aren't known for a pair by the kernel, which then takes a second to see the carrier.
            peer = {"ifname": "eth0", "net_ns_fd": namespace.descriptor, "index": 1000 + number}
            route.link("add", ifname=namespace.host_interface, kind="veth", peer=peer)
        name = namespace.host_interface
        for command in (
            f"ip address add {self.host4}/32 peer {namespace.address4} dev {name}",
            f"ip address add {self.host6}/128 dev {name} nodad",
            f"ip link set {name} up",
            f"ip route add {namespace.address6} dev {name}",
        ):
            self.host.run(*command.split())
        for command in (
            f"ip address add {namespace.address4}/24 dev eth0",
            f"ip address add {namespace.address6}/64 dev eth0 nodad",
            "ip link set eth0 up",
            f"ip route add default via {self.host4}",
            f"ip -6 route add default via {self.host6}",
        ):
            namespace.run(*command.split())
        return namespace


class Neighbour(Namespace):
    """A host on the LAN."""

    address4: str
    address6: str
    host_interface: str


def talk(client: socket.socket, server: socket.socket) -> str:
    """Accept at `server` what `client` has connected, send a word each way; the address that the server saw."""
    connection, (address, *_) = server.accept()
    with connection:
        connection.settimeout(DEADLINE_SECONDS)
        client.sendall(b"question")
        assert connection.recv(100) == b"question"
        connection.sendall(b"answer")
        assert client.recv(100) == b"answer"
    return str(address)


def ask(client: socket.socket, address: str, port: int, server: socket.socket) -> str:
    """Send a datagram and answer it; the address that the server saw."""
    client.sendto(b"question", (address, port))
    data, sender = server.recvfrom(100)
    assert data == b"question"
    server.sendto(b"answer", sender)
    data, answerer = client.recvfrom(100)
    assert (data, answerer[0], answerer[1]) == (b"answer", address, port)
    return str(sender[0])


def is_silent(client: Namespace, address: str, port: int) -> bool:
    """Whether nothing at all answers a connection attempt: no handshake, no reset."""
    with client.open_socket(_family(address), socket.SOCK_STREAM) as probe:
        probe.settimeout(SILENCE_SECONDS)
        try:
            probe.connect((address, port))
        except TimeoutError:
            return True
        except ConnectionRefusedError:
            return False
        return False
