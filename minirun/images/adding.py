"""Adding images: everything is prepared in a stage, then appears at once.

Owns: `Addition`, the transaction that publishes blobs, snapshots, rows and names together. Leaves to others: where
images come from (images/loading, images/importing).

    prepare    blobs and unpacked layers lie in the stage; nothing refers to them
    sync       all of it is on disk (syncfs)
    publish    under the database's write lock: rename the layers, link the blobs, write rows, names and index.json, commit
               on any error before the commit: the renames are undone, the stage goes with the rest

What a kill leaves is a stage that nobody holds and maybe files without rows: images/store sweeps both.
"""

from __future__ import annotations

import json
import os
import time

from .. import database
from ..errors import Corrupt, MinirunError
from ..light import ExitStack
from ..record import Record
from . import layers, manifest
from .blobs import stage_document
from .configuration import Configuration
from .digest import chain_ids, digest_of
from .manifest import Descriptor
from .reference import familiar
from .tag_history import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any, Protocol

    from .blobs import Blobs
    from .compression import Source
    from .layers import Layer

    class Stage(Protocol):
        """A private directory that dies with the process (storage/staging)."""

        path: str

        def make_directory(self, name: str) -> str: ...
        def sync(self) -> None: ...
        def __enter__(self) -> Stage: ...
        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None: ...

    class Snapshots(Protocol):
        """What images need of storage/snapshots, which they don't know: the engine hands it in."""

        root: str

        def lowers(self, chain_id: str) -> tuple[str, ...]: ...
        def size_bytes(self, chain_id: str) -> int | None: ...
        def stage(self) -> Stage: ...
        def prepare_empty(self) -> None: ...
        def publish(self, prepared: Sequence[Any], aside: str, undo: ExitStack) -> list[str]: ...
        def release(self, chain_id: str, is_wanted: Callable[[str], bool]) -> list[str]: ...
        def collect(self, aside: str) -> None: ...
        def sweep(self, also: Callable[[str], None] | None = None) -> bool: ...


class Vanished(Exception):
    """Another process removed, between preparing and publishing, what this addition stands on: prepare it again."""


class Unpacked(Record):
    """A layer's tree in the stage; the same shape as storage/snapshots' Prepared."""

    chain_id: str
    parent: str
    directory: str
    size_bytes: int


class NewImage(Record):
    """A row to be, with the names that it gets."""

    id: str
    names: tuple[str, ...]
    configuration: Configuration
    manifest_digest: str
    manifest_type: str
    manifest_size: int
    blobs: tuple[str, ...]
    chain: tuple[str, ...]
    how: str = "load"


class Addition:
    """One load or import in the making."""

    def __init__(self, blobs: Blobs, snapshots: Snapshots, stage: Stage) -> None:
        self._blobs = blobs
        self._snapshots = snapshots
        self._stage = stage
        self._home = stage.make_directory(os.urandom(4).hex())  # a second attempt has its own
        os.mkdir(f"{self._home}/blobs", 0o700)
        self._staged: dict[str, str] = {}  # digest -> file in the stage
        self._unpacked: dict[str, Unpacked] = {}  # chain id -> tree in the stage
        self._images: list[NewImage] = []
        self._digests: list[tuple[str, str, str]] = []  # repository, digest there, image
        self._count = 0

    def has_chain(self, chain_id: str) -> bool:
        """Say whether a chain needs no unpacking: it is in the store or in this addition."""
        return chain_id in self._unpacked or self._snapshots.size_bytes(chain_id) is not None

    def has_blob(self, digest: str) -> bool:
        """Say whether a blob needs no reading: it is in the store or in this addition, verified."""
        return digest in self._staged or self._blobs.has(digest)

    def read_layer(
        self,
        read: Source,
        what: str,
        *,
        below: str,
        unpack: bool,
        keep: int = -1,
        needs_end_mark: bool = False,
        interrupt: Callable[[], object] | None = None,
    ) -> Layer:
        """Hash a layer and, with `unpack`, unpack it above the chain `below` ("" for none); raises as images/layers, Vanished."""
        target = ""
        if unpack:
            self._count += 1
            directory = f"{self._home}/tree-{self._count}"
            os.mkdir(directory, 0o700)
            target = f"{directory}/fs"
        lowers = self._lowers(below) if unpack and below else ()
        try:
            layer = layers.read_layer(
                read, what, target=target, lowers=lowers, keep=keep, needs_end_mark=needs_end_mark, interrupt=interrupt
            )
        except MinirunError as error:
            if all(os.path.isdir(path) for path in lowers):
                raise
            raise Vanished from error  # whatever it seemed to be
        if unpack:
            chain_id = chain_ids_above(below, layer.diff_id)
            self._unpacked.setdefault(
                chain_id,
                Unpacked(
                    chain_id=chain_id, parent=below, directory=os.path.dirname(target), size_bytes=layer.unpacked_bytes
                ),
            )
        return layer

    def add_file(self, digest: str, descriptor: int) -> None:
        """Take an open, verified file of the stage as a blob: by its inode, so that no path is resolved twice. linkat(2)"""
        if digest not in self._staged:
            path = f"{self._home}/blobs/{digest[7:]}"
            # Without a directory descriptor (which an absolute path leaves unused) os.link calls link(2), which follows nothing.
            os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)
            os.chmod(path, 0o644)
            self._staged[digest] = path

    def add_document(self, data: bytes) -> str:
        """Take a document as a blob and give its digest."""
        digest = digest_of(data)
        if digest not in self._staged:
            self._staged[digest] = stage_document(f"{self._home}/blobs", digest[7:], data)
        return digest

    def add_image(
        self,
        configuration: Configuration,
        config_data: bytes,
        taken: Sequence[Layer],
        names: tuple[str, ...],
        manifest_data: bytes = b"",
        manifest_type: str = "",
        how: str = "load",
    ) -> NewImage:
        """Take an image whose layers have all been taken; without a manifest one is written, of `manifest_type` (OCI's for "")."""
        config_digest = self.add_document(config_data)
        if not manifest_data:
            found = [Descriptor(media_type=each.media_type, digest=each.digest, size=each.size) for each in taken]
            manifest_type = manifest.type_of_manifest(found, manifest_type or manifest.OCI_MANIFEST)
            media_type = manifest.config_type(manifest_type)
            config = Descriptor(media_type=media_type, digest=config_digest, size=len(config_data))
            above = [each.replace(media_type=manifest.layer_type(manifest_type, each.media_type)) for each in found]
            manifest_data = manifest.write_manifest(config, above, manifest_type)
        image = NewImage(
            id=config_digest,
            names=names,
            configuration=configuration,
            manifest_digest=self.add_document(manifest_data),
            manifest_type=manifest_type,
            manifest_size=len(manifest_data),
            blobs=tuple(each.digest for each in taken),
            chain=tuple(chain_ids(configuration.diff_ids)),
            how=how,
        )
        self._images.append(image)
        return image

    def note_digest(self, repository: str, digest: str, image_id: str) -> None:
        """Remember by which digest a repository knows an image."""
        self._digests.append((repository, digest, image_id))

    def publish(self, connection: sqlite3.Connection) -> None:
        """Make it all appear. Raises Vanished, OSError, sqlite3.Error; then nothing has appeared. Blocks for the sync."""
        self._blobs.prepare()
        self._stage.sync()
        with ExitStack() as undo:
            with database.transaction(connection):
                self._publish_snapshots(undo)
                self._publish_blobs(undo)
                for image in self._images:
                    self._insert(connection, image)
                for noted in self._digests:
                    set_digest(connection, *noted)
                self._blobs.write_index(index_entries(connection))
            undo.pop_all()

    def _publish_snapshots(self, undo: ExitStack) -> None:
        try:
            wanted = {link for image in self._images for link in image.chain}
            prepared = [each for each in self._unpacked.values() if each.chain_id in wanted]
            self._snapshots.publish(prepared, self._home, undo)
        except KeyError as error:
            raise Vanished from error
        for image in self._images:
            if not image.chain:
                self._snapshots.prepare_empty()
            if any(self._snapshots.size_bytes(link) is None for link in image.chain):
                raise Vanished

    def _publish_blobs(self, undo: ExitStack) -> None:
        for digest, path in self._staged.items():
            if not self._blobs.has(digest):
                self._blobs.add(path, digest)
                undo.callback(os.unlink, self._blobs.path(digest))
        if not all(self._blobs.has(digest) for image in self._images for digest in image.blobs):
            raise Vanished
        self._blobs.sync()

    def _insert(self, connection: sqlite3.Connection, image: NewImage) -> None:
        configuration = image.configuration
        size = sum(self._snapshots.size_bytes(link) or 0 for link in image.chain)
        connection.execute(
            "INSERT OR IGNORE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                image.id,
                image.manifest_digest,
                image.manifest_type,
                image.manifest_size,
                json.dumps(configuration.config),
                configuration.architecture,
                configuration.os,
                configuration.created,
                configuration.created_ns,
                size,
                json.dumps(configuration.diff_ids),
                json.dumps(image.blobs),
                image.chain[-1] if image.chain else "",
            ),
        )
        for name in image.names:
            set_tag(connection, name, image.id, how=image.how)
        if not image.names and image.how != "commit":
            database.record_event(connection, "image", image.how, image.id, {"name": image.id})

    def _lowers(self, chain_id: str) -> list[str]:
        """Give the directories of a chain, the top first: staged links, then those of the store."""
        paths = []
        while chain_id in self._unpacked:
            link = self._unpacked[chain_id]
            paths.append(f"{link.directory}/fs")
            chain_id = link.parent
        if chain_id:
            try:
                paths += [f"{self._snapshots.root}/{name}" for name in self._snapshots.lowers(chain_id)]
            except Corrupt as error:
                raise Vanished from error
        return paths


def chain_ids_above(below: str, diff_id: str) -> str:
    """Give the chain id of one layer above a chain."""
    return digest_of(f"{below} {diff_id}".encode()) if below else diff_id


def set_tag(connection: sqlite3.Connection, name: str, image_id: str, how: str = "tag") -> None:
    """Let a full name lead to an image, whatever it led to before; `how` is the command's name, for the name's history."""
    note(connection, name, image_id, how)
    action = "tag" if how == "commit" else how  # docker's commit is an event of the container
    database.record_event(connection, "image", action, image_id, {"name": familiar(name)})
    connection.execute("INSERT OR REPLACE INTO tags VALUES (?, ?, ?)", (name, image_id, time.time_ns()))


def set_digest(connection: sqlite3.Connection, repository: str, digest: str, image_id: str) -> None:
    """Let a digest of a repository lead to an image."""
    connection.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", (repository, digest, image_id))


def index_entries(connection: sqlite3.Connection) -> list[tuple[str, str, int, str]]:
    """Give what index.json lists: each image once per name, those without a name once."""
    return connection.execute(
        "SELECT manifest_type, manifest_digest, manifest_size, coalesce(name, '') FROM images"
        " LEFT JOIN tags ON tags.image_id = images.id ORDER BY coalesce(name, ''), manifest_digest"
    ).fetchall()
