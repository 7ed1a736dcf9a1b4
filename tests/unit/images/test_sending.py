"""What goes to a registry, and to whom: without one."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from minirun.errors import NotFound
from minirun.images.answers import Refused, Unreachable
from minirun.images.authorization import Authorization
from minirun.images.pushing import _Content, _Sending
from minirun.images.registries import Endpoint
from minirun.images.transport import Transport


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


def test_a_name_that_looks_like_this_host_needs_tls() -> None:
    transport = Transport(Endpoint(base="https://r.evil.com", domain=""))
    keychain: Any = None
    with pytest.raises(Exception, match="without TLS"):
        Authorization(transport, keychain, "name").answer_to('Bearer realm="http://127.evil.com/token"', "")
