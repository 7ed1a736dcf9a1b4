"""Documents, platforms, digests, compression: the parts of a load that need no disk."""

from __future__ import annotations

import gzip
import io
import json
import random

import pytest

from minirun.errors import Corrupt, InvalidInput, NotSupported
from minirun.images import compression
from minirun.images.configuration import nanoseconds, read, timestamp
from minirun.images.digest import chain_ids, digest_of
from minirun.images.manifest import OCI_MANIFEST, Descriptor, Platform, read_index, read_manifest, write_manifest
from minirun.images.platform import MACHINES, choose, host, parse_platform

DIGEST = digest_of(b"")


def test_chain_ids_are_those_of_the_specification():
    one, two = digest_of(b"1"), digest_of(b"2")
    assert chain_ids([one, two]) == [one, digest_of(f"{one} {two}".encode())]
    assert chain_ids([]) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("2024-02-03T04:05:06.789Z", 1706933106_789000000),
        ("2024-02-03T04:05:06.123456789+01:00", 1706929506_123456789),
        ("2024-02-03T04:05:06", 1706933106_000000000),
        ("0001-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59Z", 0),
        ("", 0),
        ("yesterday", 0),
    ],
)
def test_times(text, expected):
    assert nanoseconds(text) == expected


def test_a_time_written_is_read_again():
    assert nanoseconds(timestamp(1_234_567_890_123_456_789)) == 1_234_567_890_123_456_789


def test_a_manifest_written_is_read_again():
    config = Descriptor(media_type="c", digest=DIGEST, size=1)
    layers = [Descriptor(media_type="l", digest=digest_of(b"x"), size=2)]
    data = write_manifest(config, layers)
    assert data == write_manifest(config, layers)
    manifest = read_manifest(data, "m")
    assert (manifest.config, manifest.layers, manifest.media_type) == (config, tuple(layers), OCI_MANIFEST)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A document with some bytes changed, doubled or lost."""
    out = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(out))
        how = chance.randrange(4)
        if how == 0:
            out[at] = chance.randrange(256)
        elif how == 1:
            del out[at : at + chance.randrange(1, 20)]
        elif how == 2:
            out[at:at] = chance.choice([b"[", b"{", b'"', b"null", b"-1", b"1e999", b"\\u0000", b"true", b"[[[["])
        else:
            out[at:at] = out[at : at + 30]
        if not out:
            break
    return bytes(out)


def test_mutated_documents_are_read_or_refused():
    chance = random.Random(7)
    manifest = write_manifest(
        Descriptor(media_type="c", digest=DIGEST, size=1), [Descriptor(media_type="l", digest=DIGEST, size=2)]
    )
    index = json.dumps(
        {"manifests": [{"mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 1, "platform": {"os": "linux"}}]}
    ).encode()
    config = json.dumps(
        {
            "os": "linux",
            "config": {"Env": ["A=1"], "Labels": {"a": "b"}},
            "rootfs": {"diff_ids": [DIGEST]},
            "created": "2024-01-01T00:00:00Z",
        }
    ).encode()
    refusals = []
    for document, reader in ((manifest, read_manifest), (index, read_index), (config, read)):
        for _ in range(3000):
            try:
                reader(mutated(document, chance), "x")
            except (Corrupt, NotSupported) as error:
                refusals.append(str(error))
    assert len(refusals) > 1000
    assert all(text.isprintable() for text in refusals)


@pytest.mark.parametrize("data", [b"", b"null", b"1", b"[" * 100_000, b"\xff\xfe", b'{"a":' * 50_000])
def test_what_is_no_document_is_refused(data):
    for reader in (read_manifest, read_index, read):
        with pytest.raises(Corrupt):
            reader(data, "x")


def offered(*platforms: str) -> list[Descriptor]:
    made = []
    for text in platforms:
        os_, architecture, variant = (*text.split("/"), "", "")[:3]
        made.append(
            Descriptor(
                media_type=OCI_MANIFEST,
                digest=digest_of(text.encode()),
                size=1,
                platform=Platform(os=os_, architecture=architecture, variant=variant),
            )
        )
    return made


@pytest.mark.parametrize(
    ("wanted", "platforms", "expected"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/amd64/v3"], None),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v4", "linux/amd64/v2"], "linux/amd64/v2"),
        ("linux/amd64", ["linux/386", "linux/arm64"], "linux/386"),
        ("linux/amd64", ["linux/386", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["windows/386"], None),
        ("linux/amd64", ["windows/amd64"], None),
        ("linux/arm64/v8", ["linux/arm64"], "linux/arm64"),
        ("linux/arm64/v8", ["linux/arm64/v8"], "linux/arm64/v8"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], "linux/arm/v6"),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/amd64", ["unknown/unknown"], None),
        ("linux/riscv64", ["linux/riscv64"], "linux/riscv64"),
    ],
)
def test_the_platform_that_fits(wanted, platforms, expected):
    os_, architecture, variant = (*wanted.split("/"), "")[:3]
    chosen = choose(offered(*platforms), Platform(os=os_, architecture=architecture, variant=variant))
    assert (str(chosen.platform) if chosen and chosen.platform else None) == expected


def test_this_machine_is_known():
    import os

    assert os.uname().machine in MACHINES


def read_all(data: bytes, piece: int = 1 << 18) -> bytes:
    source = io.BytesIO(data)
    return b"".join(compression.pieces(lambda size: source.read(min(size, piece)), source.read(max(piece, 600))))


@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 18])
def test_gzip_in_pieces_of_any_size(piece):
    plain = random.Random(1).randbytes(5000) + b"\0" * (100_000 if piece < 10 else 3_000_000)
    assert read_all(gzip.compress(plain), piece) == plain


def test_gzip_with_members_and_padding():
    plain = b"".join(gzip.compress(bytes([i]) * 1000) for i in range(50)) + b"\0" * 10_000
    assert read_all(plain) == b"".join(bytes([i]) * 1000 for i in range(50))
    assert read_all(plain, 100) == read_all(plain)


def test_a_cut_is_noticed_everywhere():
    data = gzip.compress(random.Random(2).randbytes(3000))
    for length in range(2, len(data)):
        with pytest.raises(Corrupt, match="cut off"):
            read_all(data[:length])


def test_memory_stays_flat_while_zeros_expand():
    data = gzip.compress(b"\0" * (64 << 20))
    source = io.BytesIO(data)
    largest = max(len(piece) for piece in compression.pieces(source.read, source.read(1000)))
    assert largest <= 1 << 18


@pytest.mark.parametrize(
    ("text", "meant"),
    [("arm64", "linux/arm64"), ("Linux/x86_64", "linux/amd64"), ("x86-64", "linux/amd64"), ("armhf", "linux/arm/v7")],
)
def test_a_platform_as_users_write_it(text, meant):
    assert str(parse_platform(text)) == meant
    assert parse_platform("linux") == host()


@pytest.mark.parametrize("text", ["bogus", "a/b/c/d", "linux/", "/", ""])
def test_what_is_no_platform(text):
    with pytest.raises(InvalidInput, match=r"platform|unknown operating system"):
        parse_platform(text)


def test_a_user_may_allow_more_expansion(monkeypatch):
    monkeypatch.setattr(compression, "BOMB_BYTES", 1 << 20)
    bomb = gzip.compress(bytes(8 << 20))
    with pytest.raises(Corrupt, match="MINIRUN_MAX_EXPANSION"):
        read_all(bomb)
    monkeypatch.setenv("MINIRUN_MAX_EXPANSION", "2000")
    assert len(read_all(bomb)) == 8 << 20
    monkeypatch.setenv("MINIRUN_MAX_EXPANSION", "many")
    with pytest.raises(InvalidInput, match="a number"):
        read_all(bomb)
