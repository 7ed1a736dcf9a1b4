"""Pulling from a registry that misbehaves: it is either mended by trying again, or said in a sentence, with nothing changed."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import threading
import time
from pathlib import Path

import pytest
import zstandard

from minirun.errors import Corrupt, MinirunError, NotFound, NotSupported
from minirun.images import fetching, pulling
from minirun.images.answers import Refused, Unreachable
from minirun.images.downloading import download
from minirun.images.registries import Registries
from minirun.images.store import Images
from tests.integration.images.conftest import files_of, rows_of
from tests.registries import OCI_INDEX, Fault, Faulty, Handler, Served, digest_of, index_of, layer_of


def once(part: str, act) -> Fault:
    """A fault that happens to the first request of a path only."""
    left = [True]

    def fault(handler: Handler) -> bool:
        if part not in handler.path or not left:
            return False
        left.clear()
        return act(handler) is not False

    return fault


def always(part: str, act) -> Fault:
    def fault(handler: Handler) -> bool:
        if part not in handler.path:
            return False
        return act(handler) is not False

    return fault


def reset(handler: Handler) -> None:
    """Close so that the other side gets RST."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True
    handler.wfile = open(os.devnull, "wb")  # noqa: SIM115 -- nothing more goes out


def nothing_changed(store: Images) -> None:
    assert not rows_of(store.connection)
    kept = [name for name in files_of(store) if "/incoming" not in name and not name.endswith("oci-layout")]
    assert [name for name in kept if "blobs/sha256/" in name or "/fs/" in name] == []


def test_an_image_is_pulled_and_its_content_is_there(store: Images, faulty: Faulty, image: Served) -> None:
    pulled = store.pull(faulty.add("a/b", "1", image))
    assert pulled.id == image.id
    assert pulled.digest == image.digest
    assert pulled.is_new
    found = store.resolve(f"{faulty.name}/a/b:1")
    assert found.id == image.id
    assert found.digests == (f"{faulty.name}/a/b@{image.digest}",)
    assert store.resolve(found.digests[0]).id == image.id
    lowers = store.snapshots.lowers(found.chain_id)
    assert os.path.getsize(f"{store.snapshots.root}/{lowers[0]}/second") == 256 * 4096
    assert os.listdir(f"{store.root}/incoming") == []
    assert not store.check(found)


def test_an_answer_that_ends_as_the_pull_does_is_no_error(
    store: Images, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread may have read an answer to its end, and not yet said so, when all has come that was wanted."""

    class Late(set):
        def discard(self, answer: object) -> None:
            pass

    begin = fetching.Fetcher.__enter__

    def enter(self: fetching.Fetcher) -> fetching.Fetcher:
        self._answers = Late()
        return begin(self)

    monkeypatch.setattr(fetching.Fetcher, "__enter__", enter)
    assert store.pull(faulty.add("a", "1", Served(layer_of({"a": b"b"})))).is_new


def test_a_second_pull_fetches_no_layer(store: Images, faulty: Faulty, image: Served) -> None:
    name = faulty.add("a/b", "1", image)
    store.pull(name)
    faulty.seen.clear()
    assert not store.pull(name).is_new
    assert not [path for _, path, _ in faulty.seen if any(layer in path for layer in image.layers)]


def test_a_layer_that_another_image_has_is_not_fetched(store: Images, faulty: Faulty) -> None:
    shared, own = layer_of({"shared": b"s"}), layer_of({"own": b"o"})
    store.pull(faulty.add("a", "1", Served(shared)))
    second = Served(shared, own)
    faulty.seen.clear()
    said = []
    store.pull(faulty.add("b", "1", second), progress=lambda layer, status, *_: said.append((layer, status)))
    assert (second.layers[0][7:19], "Already exists") in said
    assert not faulty.requests(f"blobs/{second.layers[0]}")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_registry_is_asked_again(store: Images, faulty: Faulty, image: Served, status: int) -> None:
    name = faulty.add("a", "1", image)
    for part in ("/manifests/1", f"/blobs/{image.layers[0]}", f"/blobs/{image.id}"):
        faulty.faults.append(once(part, lambda handler: handler.answer(status, b"{}", headers={"Retry-After": "0"})))
    assert store.pull(name).id == image.id


def test_a_registry_that_stays_busy_is_given_up(store: Images, faulty: Faulty, image: Served) -> None:
    name = faulty.add("a", "1", image)
    faulty.faults.append(always("/manifests/", lambda handler: handler.answer(429, b"{}")))
    with pytest.raises(Refused, match="too many requests"):
        store.pull(name)
    assert len(faulty.requests("/manifests/")) == 5
    nothing_changed(store)


def test_resets_are_tried_again(store: Images, faulty: Faulty, image: Served) -> None:
    name = faulty.add("a", "1", image)
    for part in ("/manifests/1", f"/blobs/{image.layers[1]}"):
        faulty.faults.append(once(part, reset))
    assert store.pull(name).id == image.id


def test_a_cut_is_resumed_where_it_was(store: Images, faulty: Faulty, image: Served) -> None:
    name = faulty.add("a", "1", image)
    data = image.blobs[image.layers[1]]
    faulty.faults.append(once(f"/blobs/{image.layers[1]}", lambda handler: handler.cut(data, len(data) // 2)))
    assert store.pull(name).id == image.id
    ranges = [headers.get("Range") for headers in faulty.requests(f"/blobs/{image.layers[1]}")]
    assert ranges == [None, f"bytes={len(data) // 2}-"]


@pytest.mark.parametrize("has_ranges", [True, False])
def test_many_cuts_lead_to_the_end(store: Images, faulty: Faulty, image: Served, has_ranges: bool) -> None:
    """A server without ranges sends from the beginning: what has been read already is passed over."""
    name = faulty.add("a", "1", image)
    faulty.has_ranges = has_ranges
    data = image.blobs[image.layers[1]]
    for sent in (10, 100, 1000, len(data) - 1):
        if has_ranges:
            faulty.faults.append(once(f"/blobs/{image.layers[1]}", lambda handler: _cut_of_range(handler, data)))
        else:
            faulty.faults.append(once(f"/blobs/{image.layers[1]}", lambda handler, sent=sent: handler.cut(data, sent)))
    assert store.pull(name).id == image.id


def _cut_of_range(handler: Handler, data: bytes) -> None:
    start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
    handler.send_header("Content-Length", str(len(data) - start))
    handler.end_headers()
    handler.wfile.write(data[start : start + 50])
    handler.wfile.flush()
    handler.close_connection = True


def test_what_came_before_a_failure_is_not_fetched_again(store: Images, faulty: Faulty, image: Served) -> None:
    name = faulty.add("a", "1", image)
    data = image.blobs[image.layers[1]]
    faulty.faults.append(once(f"/blobs/{image.layers[1]}", lambda handler: handler.cut(data, 500)))
    refuse = always(f"/blobs/{image.layers[1]}", lambda handler: handler.answer(403, b"{}"))
    faulty.faults.append(refuse)
    with pytest.raises(Refused):
        store.pull(name)
    nothing_changed(store)
    faulty.faults.clear()
    faulty.seen.clear()
    assert store.pull(name).id == image.id
    assert [headers.get("Range") for headers in faulty.requests(f"/blobs/{image.layers[1]}")] == ["bytes=500-"]
    assert not faulty.requests(f"/blobs/{image.layers[0]}")  # whole, and verified when it was taken in


def test_what_nobody_came_back_for_is_forgotten(store: Images, faulty: Faulty, image: Served) -> None:
    name = faulty.add("a", "1", image)
    data = image.blobs[image.layers[1]]
    faulty.faults.append(once(f"/blobs/{image.layers[1]}", lambda handler: handler.cut(data, 500)))
    faulty.faults.append(always(f"/blobs/{image.layers[1]}", lambda handler: handler.answer(403, b"{}")))
    with pytest.raises(Refused):
        store.pull(name)
    kept = os.listdir(f"{store.root}/incoming")
    assert image.layers[1][7:] in kept
    with open(f"{store.root}/incoming/{image.layers[1][7:]}", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        store.forget_incoming()
        assert os.listdir(f"{store.root}/incoming") == [image.layers[1][7:]]
    assert store.forget_incoming() > 0
    assert os.listdir(f"{store.root}/incoming") == []


def test_a_stalled_connection_is_dropped_and_resumed(store: Images, faulty: Faulty, image: Served) -> None:
    name = faulty.add("a", "1", image)
    data = image.blobs[image.layers[1]]
    gone = threading.Event()

    def stall(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:100])
        handler.wfile.flush()
        gone.wait(20)
        handler.close_connection = True

    faulty.faults.append(once(f"/blobs/{image.layers[1]}", stall))
    assert store.pull(name).id == image.id
    gone.set()


def test_a_layer_of_other_content_is_refused_and_not_kept(store: Images, faulty: Faulty, image: Served) -> None:
    name = faulty.add("a", "1", image)
    data = bytearray(image.blobs[image.layers[1]])
    data[len(data) // 2] ^= 1
    path = f"/v2/a/blobs/{image.layers[1]}"
    faulty.content[path] = ("application/octet-stream", bytes(data))
    with pytest.raises(Corrupt):
        store.pull(name)
    nothing_changed(store)
    faulty.content[path] = ("application/octet-stream", image.blobs[image.layers[1]])
    assert store.pull(name).id == image.id


def test_more_bytes_than_the_manifest_names_are_refused(store: Images, faulty: Faulty, image: Served) -> None:
    name = faulty.add("a", "1", image)
    path = f"/v2/a/blobs/{image.layers[1]}"
    faulty.content[path] = ("application/octet-stream", image.blobs[image.layers[1]] + b"more")
    with pytest.raises(Corrupt, match="more than the"):
        store.pull(name)
    nothing_changed(store)


def test_a_manifest_of_another_digest_is_refused(store: Images, faulty: Faulty, image: Served) -> None:
    faulty.add("a", "1", image)
    other = Served(layer_of({"x": b"y"}))
    faulty.content[f"/v2/a/manifests/{image.digest}"] = (OCI_INDEX, other.manifest)
    with pytest.raises(Corrupt, match="digest doesn't match"):
        store.pull(f"{faulty.name}/a@{image.digest}")
    nothing_changed(store)


def test_a_configuration_of_another_digest_is_refused(store: Images, faulty: Faulty, image: Served) -> None:
    name = faulty.add("a", "1", image)
    faulty.content[f"/v2/a/blobs/{image.id}"] = ("application/json", image.config + b" ")
    with pytest.raises(Corrupt, match="configuration"):
        store.pull(name)
    nothing_changed(store)


def test_a_layer_that_unpacks_to_something_else_is_refused(store: Images, faulty: Faulty) -> None:
    image = Served(layer_of({"a": b"b"}), rootfs={"type": "layers", "diff_ids": [digest_of(b"another tar")]})
    with pytest.raises(Corrupt, match="doesn't match the image's configuration"):
        store.pull(faulty.add("a", "1", image))
    nothing_changed(store)


def test_a_known_blob_under_a_false_content_is_not_believed(store: Images, faulty: Faulty) -> None:
    """Both the blob and the content are here, but not of each other."""
    one, two = layer_of({"one": b"1"}), layer_of({"two": b"2"})
    first, second = Served(one), Served(two)
    store.pull(faulty.add("a", "1", first))
    store.pull(faulty.add("a", "2", second))
    liar = Served(one, rootfs={"type": "layers", "diff_ids": [digest_of(two)]}, author="liar")
    with pytest.raises(Corrupt, match="doesn't match the image's configuration"):
        store.pull(faulty.add("a", "3", liar))


# ---- documents


def test_the_image_for_this_platform_is_taken(store: Images, faulty: Faulty, image: Served) -> None:
    other = Served(layer_of({"arm": b""}), architecture="arm64")
    faulty.add("a", "x", image)
    faulty.add("a", "y", other)
    entries = (
        (other.digest, len(other.manifest), {"os": "linux", "architecture": "arm64"}),
        (image.digest, len(image.manifest), {"os": "linux", "architecture": "amd64"}),
        (other.digest, len(other.manifest), {"os": "unknown", "architecture": "unknown"}),
    )
    index = index_of(*entries)
    faulty.add_manifest("a", "1", index, OCI_INDEX)
    pulled = store.pull(f"{faulty.name}/a:1", platform="linux/amd64")
    assert (pulled.id, pulled.digest) == (image.id, digest_of(index))
    assert store.pull(f"{faulty.name}/a:1", platform="linux/arm64/v8").id == other.id
    with pytest.raises(NotFound, match="no matching manifest for linux/s390x"):
        store.pull(f"{faulty.name}/a:1", platform="linux/s390x")


def test_an_image_for_another_platform_is_refused_when_one_was_asked_for(
    store: Images, faulty: Faulty, image: Served
) -> None:
    with pytest.raises(NotFound, match="no matching manifest"):
        store.pull(faulty.add("a", "1", image), platform="linux/arm64")


def test_indexes_that_lead_to_each_other_end(store: Images, faulty: Faulty, image: Served) -> None:
    """A cycle of digests can't be made; one that the registry makes up is found, and so are too many."""
    platform = {"os": "linux", "architecture": "amd64"}
    faulty.add("a", "x", image)
    digest, size = image.digest, len(image.manifest)
    kind = "application/vnd.oci.image.manifest.v1+json"
    for depth in range(6):
        index = index_of((digest, size, platform), media_type=kind)
        faulty.add_manifest("a", f"depth-{depth}", index, OCI_INDEX)
        digest, size, kind = digest_of(index), len(index), OCI_INDEX
    assert store.pull(f"{faulty.name}/a:depth-2").id == image.id
    with pytest.raises(Corrupt, match="nested too deeply"):
        store.pull(f"{faulty.name}/a:depth-5")
    itself = index_of(("sha256:" + "0" * 64, 1, platform))
    faulty.content["/v2/a/manifests/itself"] = (OCI_INDEX, itself)
    faulty.content["/v2/a/manifests/sha256:" + "0" * 64] = (OCI_INDEX, itself)
    with pytest.raises(Corrupt):
        store.pull(f"{faulty.name}/a:itself")


@pytest.mark.parametrize(
    ("document", "error", "words"),
    [
        (b"", Corrupt, "no JSON"),
        (b"[]", Corrupt, "no JSON object"),
        (b"{" * 5000, Corrupt, "JSON"),
        (b'{"schemaVersion":1,"fsLayers":[]}', NotSupported, "schema 1"),
        (b'{"schemaVersion":2,"config":{},"manifests":[]}', Corrupt, "calls it a manifest"),
        (b'{"schemaVersion":2,"config":{"digest":"sha256:../../etc/passwd","size":1},"layers":[]}', Corrupt, "malformed digest"),
        (b'{"schemaVersion":2,"mediaType":"application/x-nothing"}', Corrupt, "no image manifest"),
        (b" " * (4 * 1024 * 1024 + 1), Corrupt, "larger than"),
    ],
)  # fmt: skip
def test_malformed_manifests(
    store: Images, faulty: Faulty, document: bytes, error: type[MinirunError], words: str
) -> None:
    faulty.add_manifest("a", "1", document)
    with pytest.raises(error, match=words):
        store.pull(f"{faulty.name}/a:1")
    nothing_changed(store)


def test_an_unknown_media_type_is_said(store: Images, faulty: Faulty, image: Served) -> None:
    faulty.add_manifest("a", "1", image.manifest, "text/html")
    with pytest.raises(NotSupported, match="text/html"):
        store.pull(f"{faulty.name}/a:1")


def test_an_index_called_a_manifest_is_refused(store: Images, faulty: Faulty) -> None:
    faulty.add_manifest("a", "1", index_of(("sha256:" + "1" * 64, 1, None)))
    with pytest.raises(Corrupt, match="calls it a manifest"):
        store.pull(f"{faulty.name}/a:1")


def test_layers_of_zstd_are_read(store: Images, faulty: Faulty) -> None:
    def frames(data: bytes) -> bytes:
        half = len(data) // 2
        pack = zstandard.ZstdCompressor(level=3).compress
        return pack(data[:half]) + b"\x50\x2a\x4d\x18\x05\x00\x00\x00abcde" + pack(data[half:])

    content = layer_of({"file": os.urandom(300_000) + bytes(2_000_000)})
    assert store.pull(faulty.add("a", "1", Served(content, compress=frames))).is_new
    cut = Served(content, compress=lambda data: frames(data)[:-3], author="another")
    with pytest.raises(Corrupt, match="cut off"):
        store.pull(faulty.add("a", "2", cut))


# ---- where secrets go


def test_a_redirect_to_another_host_gets_no_secret(store: Images, faulty: Faulty, image: Served, nobody) -> None:
    name = faulty.add("a", "1", image)
    elsewhere = Faulty()
    try:
        elsewhere.content["/blob"] = ("application/octet-stream", image.blobs[image.layers[1]])
        (nobody / "config.json").write_text(json.dumps({"auths": {faulty.name: {"auth": "YW5uYTpwdw=="}}}))
        target = {"Location": f"http://127.0.0.1:{elsewhere.server_port}/blob?signature=x"}

        def needs_login(handler: Handler) -> bool:
            if handler.headers.get("Authorization"):
                return False
            handler.answer(401, b"{}", headers={"WWW-Authenticate": 'Basic realm="r"'})
            return True

        faulty.faults.append(needs_login)
        faulty.faults.append(
            always(f"/blobs/{image.layers[1]}", lambda handler: handler.answer(307, b"", headers=target))
        )
        assert store.pull(name).id == image.id
        assert all(headers.get("Authorization") for headers in faulty.requests("/manifests/")[1:])
        assert elsewhere.seen
        assert not [headers for _, _, headers in elsewhere.seen if "Authorization" in headers]
    finally:
        elsewhere.end()


def test_a_foreign_realm_gets_no_password(store: Images, faulty: Faulty, image: Served, nobody) -> None:
    """It is asked all the same: the image may be for everybody."""
    name = faulty.add("a", "1", image)
    foreign = Faulty()
    try:
        foreign.content["/token"] = ("application/json", b'{"token": "t0ken"}')
        (nobody / "config.json").write_text(json.dumps({"auths": {faulty.name: {"auth": "YW5uYTpwdw=="}}}))
        challenge = f'Bearer realm="http://localhost:{foreign.server_port}/token",service="s",scope="repository:a:pull"'

        def needs_token(handler: Handler) -> bool:
            if handler.headers.get("Authorization") == "Bearer t0ken":
                return False
            handler.answer(401, b"{}", headers={"WWW-Authenticate": challenge})
            return True

        faulty.faults.append(needs_token)
        assert store.pull(name).id == image.id
        assert len(foreign.seen) == 1
        assert "Authorization" not in foreign.seen[0][2]
        assert "account" not in foreign.seen[0][1]
    finally:
        foreign.end()


def test_too_many_redirects_end(store: Images, faulty: Faulty, image: Served) -> None:
    name = faulty.add("a", "1", image)
    faulty.faults.append(
        always("/manifests/", lambda handler: handler.answer(302, b"", headers={"Location": handler.path}))
    )
    with pytest.raises(MinirunError, match="redirects"):
        store.pull(name)


def test_nobody_there(store: Images, faulty: Faulty) -> None:
    port = faulty.server_port
    faulty.end()
    with pytest.raises(Unreachable, match="connection refused"):
        store.pull(f"127.0.0.1:{port}/a:1")
    faulty.__init__()  # type: ignore[misc]  # for the fixture to end


def test_what_is_not_there_is_said_in_dockers_words(store: Images, faulty: Faulty) -> None:
    faulty.content["/v2/a/manifests/other"] = ("application/json", b"{}")
    with pytest.raises(NotFound, match=f"manifest for {faulty.name}/a:1 not found"):
        store.pull(f"{faulty.name}/a:1")


def test_registries_words_do_not_reach_a_terminal(store: Images, faulty: Faulty) -> None:
    said = b'{"errors":[{"code":"DENIED","message":"\\u001b[2Jgone\\nsecond line"}]}'
    faulty.faults.append(always("/manifests/", lambda handler: handler.answer(403, said)))
    with pytest.raises(Refused) as caught:
        store.pull(f"{faulty.name}/a:1")
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "pull access denied" in str(caught.value)


# ---- answers that are meant to hurt


def test_a_registry_that_denies_each_range_is_given_up(store: Images, faulty: Faulty, image: Served) -> None:
    name = faulty.add("a", "1", image)
    faulty.faults.append(always("/blobs/", lambda handler: handler.answer(416, b"{}")))
    with pytest.raises(Refused, match="416"):
        store.pull(name)


@pytest.mark.parametrize("place", ["http://[::1", "http://host:99999/", "http://host:x/", "ftp://host/"])
@pytest.mark.parametrize("kind", ["redirect", "realm"])
def test_what_is_no_address_is_not_followed(
    store: Images, faulty: Faulty, image: Served, place: str, kind: str
) -> None:
    name = faulty.add("a", "1", image)
    if kind == "redirect":
        faulty.faults.append(
            always("/manifests/", lambda handler: handler.answer(307, b"", headers={"Location": place}))
        )
    else:
        challenge = {"WWW-Authenticate": f'Bearer realm="{place}",service="s"'}
        faulty.faults.append(always("/manifests/", lambda handler: handler.answer(401, b"", headers=challenge)))
    with pytest.raises(Corrupt, match=r"no web address|no place to log in"):
        store.pull(name)


def test_an_answer_that_nobody_wants_is_not_read_to_its_end(store: Images, faulty: Faulty, image: Served) -> None:
    name = faulty.add("a", "1", image)
    sent: list[int] = []
    hung_up = threading.Event()

    def flood(handler: Handler) -> None:
        handler.send_response(503)
        handler.send_header("Content-Length", str(1 << 40))
        handler.end_headers()
        try:
            while len(sent) < 1000:
                handler.wfile.write(bytes(1 << 20))
                sent.append(1)
        except OSError:
            hung_up.set()
        handler.close_connection = True

    faulty.faults.append(once("/manifests/", flood))
    assert store.pull(name).id == image.id
    assert hung_up.wait(10)
    assert len(sent) < 100


def test_a_connection_that_trickles_is_dropped_and_resumed(
    store: Images, faulty: Faulty, image: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SLOW_SECONDS", 0.1)
    name = faulty.add("a", "1", image)
    data = image.blobs[image.layers[1]]
    over = threading.Event()

    def trickle(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        for place in range(len(data)):
            if over.wait(0.02):
                break
            handler.wfile.write(data[place : place + 1])
        handler.close_connection = True

    faulty.faults.append(once(f"/blobs/{image.layers[1]}", trickle))
    assert store.pull(name).id == image.id
    assert not over.is_set()
    over.set()
    first, second = (headers.get("Range") for headers in faulty.requests(f"/blobs/{image.layers[1]}"))
    assert first is None
    assert second not in (None, "bytes=0-")


def test_a_document_that_breaks_off_is_fetched_again(store: Images, faulty: Faulty, image: Served) -> None:
    name = faulty.add("a", "1", image)
    for part, data in (("/manifests/1", image.manifest), (f"/blobs/{image.id}", image.config)):
        faulty.faults.append(once(part, lambda handler, data=data: handler.cut(data, len(data) // 2)))
    assert store.pull(name).id == image.id


def test_a_document_that_takes_for_ever_is_given_up(
    store: Images, faulty: Faulty, image: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minirun.images.answers.READ_SECONDS", 0.05)
    name = faulty.add("a", "1", image)
    over = threading.Event()

    def trickle(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not over.wait(0.01):
            handler.wfile.write(b" ")
        handler.close_connection = True

    faulty.faults.append(always("/manifests/", trickle))
    with pytest.raises(Unreachable, match="wasn't there after"):
        store.pull(name)
    over.set()


def test_a_pull_that_has_failed_waits_for_no_busy_registry(
    store: Images, faulty: Faulty, image: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minirun.images.transport.PAUSE_MAX_SECONDS", 60.0)
    name = faulty.add("a", "1", image)
    waits = threading.Event()

    def busy(handler: Handler) -> None:
        handler.answer(503, b"{}", headers={"Retry-After": "60"})
        waits.set()

    def refuse(handler: Handler) -> None:
        waits.wait(10)
        handler.answer(403, b"{}")

    faulty.faults.append(always(f"/blobs/{image.layers[1]}", busy))
    faulty.faults.append(always(f"/blobs/{image.layers[0]}", refuse))
    began = time.monotonic()
    with pytest.raises(Refused):
        store.pull(name)
    assert time.monotonic() - began < 20


def test_a_pull_that_has_failed_waits_for_no_answer(
    store: Images, faulty: Faulty, image: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is interrupted from the keyboard doesn't."""
    monkeypatch.setattr("minirun.images.transport.SILENCE_SECONDS", 30.0)
    name = faulty.add("a", "1", image)
    asked, over = threading.Event(), threading.Event()

    def silent(handler: Handler) -> None:
        asked.set()
        over.wait(30)
        handler.close_connection = True

    def refuse(handler: Handler) -> None:
        asked.wait(10)
        handler.answer(403, b"{}")

    faulty.faults.append(always(f"/blobs/{image.layers[1]}", silent))
    faulty.faults.append(always(f"/blobs/{image.layers[0]}", refuse))
    began = time.monotonic()
    with pytest.raises(Refused):
        store.pull(name)
    assert time.monotonic() - began < 15
    over.set()


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (lambda data: data.decode().encode("utf-16"), "no JSON"),
        (lambda data: data[:-1] + b', "x": NaN}', "no number"),
        (lambda data: data[:-1] + b', "x": ' + b"[" * 200 + b"]" * 200 + b"}", "nested too deeply"),
    ],
    ids=["utf-16", "NaN", "depth"],
)
@pytest.mark.parametrize("which", ["manifest", "config"])
def test_what_another_reader_reads_differently_is_refused(
    store: Images, faulty: Faulty, lie, said: str, which: str
) -> None:
    image = Served(layer_of({"a": b"b"}))
    if which == "config":
        told = image.config
        image.config = lie(told)
        image.blobs[digest_of(image.config)] = image.config
        manifest = json.loads(image.manifest)
        manifest["config"].update(digest=digest_of(image.config), size=len(image.config))
        image.manifest = json.dumps(manifest).encode()
    else:
        image.manifest = lie(image.manifest)
    with pytest.raises(Corrupt, match=said):
        store.pull(faulty.add("a", "1", image))
    nothing_changed(store)


def test_a_configuration_of_another_size_is_refused(store: Images, faulty: Faulty, image: Served) -> None:
    manifest = json.loads(image.manifest)
    manifest["config"]["size"] += 1
    image.manifest = json.dumps(manifest).encode()
    with pytest.raises(Corrupt, match="its manifest says"):
        store.pull(faulty.add("a", "1", image))


def test_a_manifest_that_is_no_text_is_not_shown(store: Images, faulty: Faulty) -> None:
    faulty.add_manifest("a", "1", b"\xff\xfe\x00")
    with pytest.raises(Corrupt, match="no JSON"):
        store.inspect_list(f"{faulty.name}/a:1")


# ---- what is here already


def test_an_image_that_is_here_in_another_packing_is_not_fetched(store: Images, faulty: Faulty) -> None:
    content = layer_of({"a": b"b"})
    store.pull(faulty.add("plain", "1", Served(content, compress=bytes)))
    name = faulty.add("packed", "1", Served(content))
    before = files_of(store)
    faulty.seen.clear()
    assert store.pull(name).is_new
    assert not store.pull(name).is_new
    assert not [path for _, path, _ in faulty.seen if "/blobs/" in path and "config" not in path][
        2:
    ]  # the configuration, twice
    assert files_of(store) == before
    assert store.resolve(name).tags == (f"{faulty.name}/packed:1", f"{faulty.name}/plain:1")


def test_a_mirror_that_lies_is_passed_over(store: Images, faulty: Faulty, image: Served, tmp_path: Path) -> None:
    mirror = Faulty()
    try:
        mirror.add_manifest("a", "1", b"no manifest")
        mirror.content["/v2/a/manifests/1"] = ("application/json", bytes(5 << 20))
        config = tmp_path / "registries.json"
        config.write_text(json.dumps({"mirrors": {faulty.name: [f"http://{mirror.name}"]}}))
        assert store.pull(faulty.add("a", "1", image), registries=Registries(str(config), ())).id == image.id
        assert mirror.seen
    finally:
        mirror.end()


def test_what_is_removed_while_it_is_wanted_is_fetched(
    store: Images, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = layer_of({"shared": b"s"})
    first, second = Served(shared), Served(shared, layer_of({"own": b"o"}), author="second")
    store.pull(faulty.add("a", "1", first))
    unpack = pulling._unpack
    calls: list[list[str]] = []

    def unpack_late(*arguments):
        if not calls:
            calls.append(store.remove(first.id, force=True))
        return unpack(*arguments)

    monkeypatch.setattr(pulling, "_unpack", unpack_late)
    assert store.pull(faulty.add("b", "1", second)).id == second.id
    assert len(calls) == 1
    assert store.check(store.resolve(second.id)) == []


# ---- import from the web


def test_an_archive_is_imported_from_the_web(store: Images, faulty: Faulty) -> None:
    content = layer_of({"a": b"b"})
    faulty.content["/root.tar"] = ("application/x-tar", content)
    with download(f"http://{faulty.name}/root.tar?key=s3cret") as stream:
        image = store.import_archive(stream, "web", platform="linux/arm64")
    assert image.layers == (digest_of(content),)
    assert image.architecture == "arm64"
    assert store.configuration(image)["history"][0]["comment"] == f"Imported from http://{faulty.name}/root.tar"
    faulty.faults.append(always("/root.tar", lambda handler: handler.cut(content, 700)))
    with download(f"http://{faulty.name}/root.tar") as stream, pytest.raises(Unreachable, match="broke"):
        store.import_archive(stream, "cut")
    with pytest.raises(NotFound), download(f"http://{faulty.name}/none"):
        pass
