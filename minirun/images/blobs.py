"""The blobs of the image store: an OCI image layout on disk, which other tools can read.

Owns: images/oci-layout, images/index.json, images/blobs/sha256/. Leaves to others: which blobs are wanted (images/store), what
they say (images/manifest, images/configuration).

A blob appears under its digest by link(2) when its content has been verified and synced, and is never changed. The directory is
what skopeo calls `oci:/var/lib/minirun/images:NAME`.
"""

from __future__ import annotations

import json
import os

from ..errors import Corrupt
from ..files import write_atomically, write_new
from ..light import suppress
from .manifest import DOCUMENT_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class Blobs:
    """The layout below `root`; made by need."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.directory = f"{root}/blobs/sha256"

    def prepare(self) -> None:
        """Make the layout's directories and its version file."""
        os.makedirs(self.directory, 0o700, exist_ok=True)
        if not os.path.exists(f"{self.root}/oci-layout"):
            write_atomically(f"{self.root}/oci-layout", LAYOUT, 0o644, durable=True)

    def path(self, digest: str) -> str:
        """Give the file of a blob; the digest has been checked where it came in (images/reference)."""
        return f"{self.directory}/{digest[7:]}"

    def has(self, digest: str) -> bool:
        """Say whether the blob is there."""
        return os.path.exists(self.path(digest))

    def size_bytes(self, digest: str) -> int:
        """Give the size of a blob."""
        return os.stat(self.path(digest)).st_size

    def read(self, digest: str) -> bytes:
        """Give a small document, verified; raises Corrupt when it is gone, larger than any document is, or another one by now."""
        from .digest import digest_of  # OpenSSL: not on the way of a start

        try:
            with open(self.path(digest), "rb") as file:
                data = file.read(DOCUMENT_MAX + 1)
        except FileNotFoundError as error:
            raise Corrupt(
                f"blob {digest} is missing below {self.directory}: remove the image and load it again"
            ) from error
        if len(data) > DOCUMENT_MAX:
            raise Corrupt(f"blob {digest} is larger than {DOCUMENT_MAX} bytes")
        if digest_of(data) != digest:
            raise Corrupt(f"blob {digest} has changed: 'minirun system check --repair' may bring it back")
        return data

    def add(self, staged: str, digest: str) -> None:
        """Give a verified, synced file its name; nothing when the blob is there already. `staged` stays. link(2)"""
        with suppress(FileExistsError):
            os.link(staged, self.path(digest))

    def names(self) -> list[str]:
        """Give the digests of all blobs, and the names of files that are none."""
        try:
            return [f"sha256:{name}" for name in os.listdir(self.directory)]
        except FileNotFoundError:
            return []

    def write_index(self, entries: Iterable[tuple[str, str, int, str]]) -> None:
        """Replace index.json: a manifest's (type, digest, size, full name or "") each, which the caller has sorted.

        Under the database's write lock: what lies beside it of another writer is of one that was killed, and goes.
        """
        for name in os.listdir(self.root):
            if name.startswith("index.json."):
                os.unlink(f"{self.root}/{name}")
        write_atomically(f"{self.root}/index.json", _index(entries), 0o644, durable=True)

    def is_index_of(self, entries: Iterable[tuple[str, str, int, str]]) -> bool:
        """Does index.json say what `write_index` would write?"""
        try:
            with open(f"{self.root}/index.json", "rb") as file:
                return file.read() == _index(entries)
        except OSError:
            return False

    def sync(self) -> None:
        """Make the names of added blobs durable. fsync(2)"""
        fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _index(entries: Iterable[tuple[str, str, int, str]]) -> bytes:
    """Give the text of an image index. OCI image specification, image-index.md."""
    manifests = []
    for media_type, digest, size, name in entries:
        descriptor: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size}
        if name:
            descriptor["annotations"] = {
                "org.opencontainers.image.ref.name": name,
                "io.containerd.image.name": name,
            }
        manifests.append(descriptor)
    document = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
    return json.dumps(document, indent=1).encode()


def stage_document(directory: str, name: str, data: bytes) -> str:
    """Write a document into a stage and give its path."""
    path = f"{directory}/{name}"
    write_new(path, data, 0o644)
    return path
