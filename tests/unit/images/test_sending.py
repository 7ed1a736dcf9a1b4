"""What goes to a registry, and to whom: without one."""

from __future__ import annotations

import errno
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from minirun.errors import Corrupt, NotFound
from minirun.images import pushing
from minirun.images.answers import Refused, Unreachable
from minirun.images.authorization import Authorization
from minirun.images.pushing import _Content, _Sending
from minirun.images.reference import parse
from minirun.images.registries import Endpoint
from minirun.images.transport import Transport
from tests.waiting import until


class Registry:
    """Takes nothing over from a neighbour; `refusal` is how it says so."""

    def __init__(self, refusal: Exception) -> None:
        self.refusal = refusal

    def mount_or_start(self, _: str, source: str) -> str:
        if source:
            raise self.refusal
        return "https://r.example/upload"


@pytest.mark.parametrize("refusal", [NotFound("no such repository"), Refused("denied", 403, "DENIED")])
def test_a_layer_that_a_neighbour_keeps_to_himself_is_sent(refusal: Exception) -> None:
    stub: Any = Registry(refusal)
    sending = _Sending(stub, stub, lambda *_: None)
    assert sending._begin("sha256:1", "neighbour") == "https://r.example/upload"
    stub.refusal = Refused("busy", 503)
    with pytest.raises(Refused):
        sending._begin("sha256:1", "neighbour")


def test_a_push_that_has_failed_sends_no_more(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"content")
    given_up = threading.Event()
    with _Content(str(tmp_path / "blob"), given_up) as file:
        assert file.read(3) == b"con"
        given_up.set()
        with pytest.raises(Unreachable):
            file.read(3)


@pytest.mark.parametrize(
    ("registry", "realm", "may"),
    [
        ("registry-1.docker.io", "auth.docker.io", True),
        ("r.example.co.uk", "auth.example.co.uk", True),
        ("r.example.co.uk", "evil.co.uk", False),
        ("r.example.com", "evil.com", False),
        ("us.gcr.io", "gcr.io", True),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "11.0.0.1", False),
        ("r.example.com", "x", False),
    ],
)
def test_who_shares_a_domain_may_know_the_password(registry: str, realm: str, may: bool) -> None:
    transport = Transport(Endpoint(base=f"https://{registry}", domain=registry))
    keychain: Any = None
    assert Authorization(transport, keychain, "name")._may_know(realm) == may


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_waits_for_a_connection_that_is_given_up(scheme: str) -> None:
    """With one that isn't accepted, as in a network that drops packets; and with one that is, and says nothing of TLS."""
    with socket.create_server(("127.0.0.1", 0), backlog=0 if scheme == "http" else 5) as server, ExitStack() as stack:
        address = server.getsockname()
        if scheme == "http":
            for _ in range(3):  # what the kernel accepts for a server that doesn't
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(address)
        transport = Transport(Endpoint(base=f"{scheme}://127.0.0.1:{address[1]}", domain="", verify=False))
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(transport.request, "PUT", f"{scheme}://127.0.0.1:{address[1]}/v2/")
            until("it to be begun", lambda: bool(transport._live._begun))
            began = time.monotonic()
            transport.give_up()
            with pytest.raises(Unreachable):
                asked.result()
            assert time.monotonic() - began < 5
        assert not transport._live._begun


def test_an_image_that_is_removed_while_it_is_pushed_is_said_to_be_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_there = True

    def fail(*_: Any) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "blobs/1")

    images: Any = SimpleNamespace(exists=lambda _: is_there)
    image: Any = SimpleNamespace(id="1")
    monkeypatch.setattr(pushing, "_image_of", lambda *_: image)
    monkeypatch.setattr(pushing, "check_platform", lambda *_: None)
    monkeypatch.setattr(pushing, "_push", fail)
    unused: Any = None
    with pytest.raises(Corrupt, match="blobs/1 is missing"):
        pushing.push(images, parse("r.example/app"), "", unused, unused)
    is_there = False
    with pytest.raises(NotFound, match="removed meanwhile"):
        pushing.push(images, parse("r.example/app"), "", unused, unused)


def test_a_name_that_looks_like_this_host_needs_tls() -> None:
    transport = Transport(Endpoint(base="https://r.evil.com", domain=""))
    keychain: Any = None
    with pytest.raises(Exception, match="without TLS"):
        Authorization(transport, keychain, "name").answer_to('Bearer realm="http://127.evil.com/token"', "")
