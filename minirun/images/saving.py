"""`save`: images become an archive that docker, skopeo, podman and containerd load.

Owns: the form of the archive. Leaves to others: the names that users type (images/reference), reading archives (images/archive).

It is what docker writes since version 25: an OCI image layout with docker's manifest.json beside it, which names the same blobs.

    blobs/sha256/...     configurations, manifests and layers, byte for byte as the store has them: all digests stay
    index.json           a manifest for each name
    manifest.json        for docker: configuration, names, layers
    oci-layout
    repositories         for docker before 1.10

Times are zero and the order is fixed, so that the same images give the same archive. It is written as it is read: a pipe will do.
"""

from __future__ import annotations

import hashlib
import json
import os
from tarfile import DIRTYPE, PAX_FORMAT, USTAR_FORMAT, TarInfo

from .. import database
from ..errors import Corrupt
from ..jsontext import loads
from .blobs import LAYOUT
from .digest import PIECE
from .platform import check_platform
from .reference import id_prefix, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO
    from typing import Any

    from .image import Image
    from .reference import Reference
    from .store import Images

BLOCK = 512


def save(images: Images, names: Sequence[str], platform: str) -> Iterator[bytes]:
    """Give the archive piece by piece; what can't be saved is said before the first. Raises NotFound, InvalidInput, Corrupt."""
    with database.transaction(images.connection):
        for digest in _digests(_choose(images, names, platform)):
            if not images.blobs.has(digest):
                raise _unreadable(digest, "it is missing")
    return _archive(images, names, platform)


def _digests(chosen: Sequence[_Chosen]) -> list[str]:
    return sorted({each for one in chosen for each in (one.image.id, one.manifest, *one.layers)})


class _Chosen:
    """An image with the names that it is saved under, in full."""

    def __init__(self, images: Images, image: Image) -> None:
        self.image = image
        self.names: list[str] = []
        row = images.connection.execute(
            "SELECT manifest_digest, manifest_type, manifest_size, blobs FROM images WHERE id = ?", (image.id,)
        ).fetchone()
        self.manifest, self.manifest_type, self.manifest_size = row[:3]
        self.layers: list[str] = loads(row[3])


def _choose(images: Images, names: Sequence[str], platform: str) -> list[_Chosen]:
    """A name with a tag, or an id, is one image; a repository without a tag is all of it, as docker has it."""
    chosen: dict[str, _Chosen] = {}
    for wanted in names:
        for image, name in _meant(images, wanted):
            check_platform(image, wanted, platform)
            each = chosen.setdefault(image.id, _Chosen(images, image))
            if name and name not in each.names:
                each.names.append(name)
    return list(chosen.values())


def _meant(images: Images, wanted: str) -> list[tuple[Image, str]]:
    digits = id_prefix(wanted)
    if not (digits and (wanted.startswith("sha256:") or len(digits) == 64)):
        reference = parse(wanted)
        if not reference.tag and not reference.digest:
            rows = images.connection.execute(
                "SELECT name, image_id FROM tags WHERE name >= ?1 || ':' AND name < ?1 || ';' ORDER BY name",
                (reference.name,),
            ).fetchall()
            if rows:
                return [(images.resolve(image_id), name) for name, image_id in rows]
        image = images.resolve(wanted)
        return [(image, reference.full if reference.familiar in image.tags and not reference.digest else "")]
    return [(images.resolve(wanted), "")]


def _documents(images: Images, chosen: Sequence[_Chosen]) -> list[tuple[str, bytes]]:
    manifests, entries = [], []
    repositories: dict[str, dict[str, str]] = {}
    for one in chosen:
        references: list[Reference | None] = [parse(name) for name in one.names]
        for reference in references or [None]:
            descriptor: dict[str, Any] = {
                "mediaType": one.manifest_type,
                "digest": one.manifest,
                "size": one.manifest_size,
            }
            if reference is not None:
                descriptor["annotations"] = {
                    "io.containerd.image.name": reference.full,
                    "org.opencontainers.image.ref.name": reference.tag or "latest",
                }
                top = (one.layers[-1] if one.layers else one.image.id)[7:]
                repositories.setdefault(reference.familiar_name, {})[reference.tag or "latest"] = top
            manifests.append(descriptor)
        entries.append(
            {
                "Config": _path(one.image.id),
                "RepoTags": [parse(name).familiar for name in one.names] or None,
                "Layers": [_path(digest) for digest in one.layers],
            }
        )
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
    return [
        ("index.json", _json(index)),
        ("manifest.json", _json(entries)),
        ("oci-layout", LAYOUT),
        *([("repositories", _json(repositories))] if repositories else []),
    ]


def _archive(images: Images, names: Sequence[str], platform: str) -> Iterator[bytes]:
    """Every blob gets a further name while nobody can remove it, so that none is missing later, however many there are."""
    with images.snapshots.stage() as stage:
        with database.transaction(images.connection):
            chosen = _choose(images, names, platform)
            digests = _digests(chosen)
            for digest in digests:
                try:
                    os.link(images.blobs.path(digest), f"{stage.path}/{digest[7:]}")
                except FileNotFoundError as error:
                    raise _unreadable(digest, "it is missing") from error
            documents = _documents(images, chosen)
        yield _header("blobs", directory=True) + _header("blobs/sha256", directory=True)
        for digest in digests:
            with open(f"{stage.path}/{digest[7:]}", "rb", buffering=0) as file:
                yield from _blob(file, digest)
        for name, data in documents:
            yield _header(name, len(data)) + data + bytes(-len(data) % BLOCK)
        yield bytes(2 * BLOCK)


def _blob(file: FileIO, digest: str) -> Iterator[bytes]:
    """Give one member, verified while it is read: what is damaged here isn't to spread."""
    size = os.fstat(file.fileno()).st_size
    yield _header(_path(digest), size)
    hasher = hashlib.sha256()
    while piece := file.read(PIECE):
        hasher.update(piece)
        yield piece
    if hasher.hexdigest() != digest[7:]:
        raise _unreadable(digest, "it has changed")
    yield bytes(-size % BLOCK)


def _unreadable(digest: str, why: str) -> Corrupt:
    return Corrupt(f"blob {digest} can't be saved: {why}: 'minirun system check --repair' may bring it back")


def _header(name: str, size: int = 0, *, directory: bool = False) -> bytes:
    info = TarInfo(name)
    info.size = size
    info.mode = 0o755 if directory else 0o644
    if directory:
        info.type = DIRTYPE
    return info.tobuf(USTAR_FORMAT if size < 1 << 33 else PAX_FORMAT)


def _path(digest: str) -> str:
    return f"blobs/sha256/{digest[7:]}"


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
