"""The image store: what names and ids lead to, and the verbs that change it.

Owns: `Images`, its queries. Leaves to others: each verb's way (loading, importing, removing), blobs, references, snapshots.

`resolve` is on the way of every start: one query for a name, one more for an id; no blob is read.
"""

from __future__ import annotations

from .. import database
from ..errors import InvalidInput, NotFound
from ..jsontext import loads
from ..light import cached_property
from .image import SELECT, Image, Loaded, from_row
from .reference import id_prefix, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from builtins import list as list_  # the class has a method of that name
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, Protocol

    from .adding import Snapshots
    from .blobs import Blobs
    from .committing import Committed
    from .compression import Source
    from .history import Step
    from .list_registry import PushedList
    from .pulling import Pulled
    from .pushing import Pushed
    from .registries import Registries
    from .tag_history import Move

    class Stream(Protocol):
        """A binary file or pipe, read from where it stands."""

        def read(self, size: int, /) -> bytes: ...


__all__ = ["Image", "Images", "Loaded"]


class Images:
    """All images of one data root."""

    def __init__(self, root: str, connection: sqlite3.Connection, snapshots: Snapshots) -> None:
        self.root = root
        self.connection = connection
        self.snapshots = snapshots
        self._seen: tuple[tuple[Any, ...], Image] | None = None  # a verb resolves its image several times

    @cached_property
    def blobs(self) -> Blobs:
        """The blobs of this store; a start needs none of them."""
        from .blobs import Blobs

        return Blobs(self.root)

    # ---- questions

    def resolve(self, wanted: str) -> Image:
        """Give the image that a name, an id or the beginning of an id leads to; a name wins. Raises NotFound, InvalidInput."""
        row = None
        shown = wanted
        digits = id_prefix(wanted)
        if not (digits and (wanted.startswith("sha256:") or len(digits) == 64)):
            reference = parse(wanted)
            if reference.digest:
                known = "SELECT image_id FROM digests WHERE digest = ?1 ORDER BY repository = ?2 DESC LIMIT 1"
                row = self._first(
                    f"WHERE id = ({known}) OR manifest_digest = ?1 OR id = ?1 ORDER BY id = ({known}) DESC",
                    reference.digest,
                    reference.name,
                )
            else:
                shown = reference.familiar
                row = self._first("WHERE id = (SELECT image_id FROM tags WHERE name = ?1)", reference.full)
        if row is None and digits:
            rows = self.connection.execute(
                f"{SELECT} WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2", (f"sha256:{digits}",)
            ).fetchall()
            if len(rows) > 1:
                raise InvalidInput(f"'{wanted}' is ambiguous: more than one image id begins so; give more digits")
            row = rows[0] if rows else None
        if row is None:
            raise NotFound(f"No such image: {shown}")
        if self._seen is None or self._seen[0] != row:
            self._seen = (row, from_row(row))
        return self._seen[1]

    def of_container(self, image_id: str) -> Image:
        """Give the image with this full id, which a container's row keeps: its names may be those of an earlier look."""
        if self._seen is not None and self._seen[1].id == image_id:
            return self._seen[1]
        return self.resolve(image_id)

    def exists(self, image_id: str) -> bool:
        """Tell whether the image with this full id is here."""
        return self.connection.execute("SELECT 1 FROM images WHERE id = ?", (image_id,)).fetchone() is not None

    def configuration(self, image: Image) -> dict[str, Any]:
        """Give the whole configuration document of an image (history, author and what else it holds). Raises Corrupt."""
        from .manifest import read_json

        document = read_json(self.blobs.read(image.id), f"the configuration {image.id}")
        return document if isinstance(document, dict) else {}

    def document(self, wanted: str, kind: str, platform: str = "") -> bytes:
        """Give an image's "config" or "manifest", byte for byte. Raises NotFound (also: not for the platform), Corrupt."""
        image = self.check_platform(wanted, platform) if platform else self.resolve(wanted)
        (manifest,) = self.connection.execute("SELECT manifest_digest FROM images WHERE id = ?", (image.id,)).fetchone()
        return self.blobs.read(image.id if kind == "config" else manifest)

    def check_platform(self, wanted: str, platform: str) -> Image:
        """Give an image that has to be for "os[/arch[/variant]]". Raises NotFound, InvalidInput."""
        from .platform import check_platform

        image = self.resolve(wanted)
        check_platform(image, wanted, platform)
        return image

    def content_bytes(self, image: Image) -> int:
        """Give the size of an image's blobs: what a registry keeps of it."""
        manifest, blobs = self.connection.execute(
            "SELECT manifest_digest, blobs FROM images WHERE id = ?", (image.id,)
        ).fetchone()
        return sum(self.blobs.size_bytes(each) for each in {image.id, manifest, *loads(blobs)} if self.blobs.has(each))

    def wanted_blobs(self) -> set[str]:
        """Give the digests of all blobs that images refer to."""
        wanted: set[str] = set()
        for image_id, manifest, layers in self.connection.execute("SELECT id, manifest_digest, blobs FROM images"):
            wanted.update((image_id, manifest, *loads(layers)))
        return wanted

    # ---- verbs

    def import_archive(
        self,
        stream: Stream,
        reference: str = "",
        changes: Sequence[str] = (),
        message: str = "",
        *,
        platform: str = "",
    ) -> Image:
        """Make an image with one layer of the archive of a root file system (tar, gzip or plain); blocks.

        It is for `platform`, this host's unless it is set. Raises InvalidInput (name, changes, platform), Corrupt, Exhausted,
        MinirunError; then nothing is left behind.
        """
        from .importing import import_archive
        from .platform import host, parse_platform

        name = new_name(reference) if reference else ""
        wanted = parse_platform(platform) if platform else host().replace(variant="")
        return self.resolve(import_archive(self, stream.read, _name_of(stream), name, changes, message, wanted))

    def load(
        self, stream: Stream, progress: Callable[[str], None] | None = None, *, platform: str = ""
    ) -> list[Loaded]:
        """Load all images of an archive of `docker save` or of an OCI layout; blocks. Raises as `import_archive` does.

        Of an image for several platforms the one for `platform` comes, this host's unless it is set; NotFound when there is
        none.
        """
        from .loading import load
        from .platform import parse_platform

        wanted = parse_platform(platform) if platform else None
        return load(self, stream.read, _name_of(stream), progress, wanted)

    def pull(
        self,
        name: str,
        *,
        platform: str = "",
        progress: Callable[[str, str, int, int], None] | None = None,
        registries: Registries | None = None,
    ) -> Pulled:
        """Bring an image from its registry; blocks. `progress` is told of each layer: id, status, bytes so far, bytes in all.

        Raises InvalidInput, NotFound, Refused, Unreachable, Corrupt, Exhausted; then nothing has changed, and what has come is
        kept for the next try.
        """
        from .platform import parse_platform
        from .pulling import pull
        from .registries import Registries

        wanted = parse_platform(platform) if platform else None
        return pull(self, parse(name), wanted, progress or (lambda *_: None), registries or Registries())

    def remote_tags(self, name: str, registries: Registries | None = None) -> list[str]:
        """Give the tags that a repository has at its registry. Raises as `pull` does."""
        from .pulling import remote_tags
        from .registries import Registries

        return remote_tags(parse(name), registries or Registries())

    def push(
        self,
        name: str,
        *,
        platform: str = "",
        progress: Callable[[str, str, int, int], None] | None = None,
        registries: Registries | None = None,
    ) -> Pushed:
        """Bring an image to its registry under the name that it has here; blocks. Raises as `pull` does."""
        from .pushing import push
        from .registries import Registries

        return push(self, parse(name), platform, progress or (lambda *_: None), registries or Registries())

    # ---- manifest lists

    def create_list(
        self, name: str, sources: Sequence[str], *, amend: bool = False, registries: Registries | None = None
    ) -> str:
        """Put images that registries have together under one name, for `push_list`; gives the name in full.

        Raises Conflict, InvalidInput, NotFound, Refused, Unreachable, Corrupt; then nothing has changed. Blocks.
        """
        from .list_registry import create
        from .lists import Lists
        from .registries import Registries

        return create(Lists(self.root), name, sources, registries or Registries(), amend=amend)

    def annotate_list(self, name: str, image: str, **said: Any) -> None:
        """Say what an image of a list runs on: os, architecture, variant, os_version, os_features. Raises NotFound."""
        from .list_registry import annotate
        from .lists import Lists

        annotate(Lists(self.root), name, image, **said)

    def inspect_list(
        self, name: str, image: str = "", *, verbose: bool = False, registries: Registries | None = None
    ) -> str:
        """Give a list, an image of it, or what a registry has under the name, as JSON. Raises as `create_list` does."""
        from .list_registry import inspect
        from .lists import Lists
        from .registries import Registries

        return inspect(Lists(self.root), name, image, registries or Registries(), verbose=verbose)

    def push_list(
        self,
        name: str,
        *,
        progress: Callable[[str], object] | None = None,
        purge: bool = False,
        registries: Registries | None = None,
    ) -> PushedList:
        """Bring a list to its registry, and with `purge` forget it here. Raises as `create_list` does. Blocks."""
        from .list_registry import push
        from .lists import Lists
        from .registries import Registries

        return push(Lists(self.root), name, registries or Registries(), progress or (lambda _: None), purge=purge)

    def remove_list(self, name: str) -> None:
        """Forget a list. Raises NotFound."""
        from .list_registry import list_name
        from .lists import Lists

        Lists(self.root).remove(list_name(name))

    # ---- names

    def tag(self, source: str, target: str) -> None:
        """Give an image one more name; a name that leads elsewhere is moved. Raises NotFound, InvalidInput."""
        from .adding import index_entries, set_tag

        name = new_name(target)
        with database.transaction(self.connection):
            set_tag(self.connection, name, self.resolve(source).id)
            self.blobs.write_index(index_entries(self.connection))

    def remove(self, wanted: str, force: bool = False, keep_seconds: float = 0.0) -> list[str]:
        """Take a name away, and the image with its last one; gives docker's lines. Raises NotFound, Conflict.

        `keep_seconds`: an image that a name led to within that time stays, without a name, for `rollback`.
        """
        from .removing import remove

        return remove(self, wanted, force=force, keep_seconds=keep_seconds)

    def commit(
        self, parent: Image, read: Source, what: str, wanted: Committed, check: Callable[[], object] = bool
    ) -> Image:
        """Make an image of another one and one more layer; blocks. Raises as `import_archive` does, and what `check` raises."""
        from .committing import commit

        return self.resolve(commit(self, parent, read, what, wanted, check))

    def save(self, names: Sequence[str], platform: str = "") -> Iterator[bytes]:
        """Give an archive of images, in docker's form and as an OCI layout, piece by piece. Raises NotFound, InvalidInput,
        Corrupt.
        """
        from .saving import save

        return save(self, names, platform)

    def history(self, wanted: str, platform: str = "") -> list_[Step]:
        """Give the steps that made an image, the newest first. Raises NotFound, InvalidInput, Corrupt."""
        from .history import history

        return history(self, wanted, platform)

    def last_tagged_ns(self, image: Image) -> int:
        """Give when a name was last made to lead to an image, 0 for never."""
        from .tag_history import last_tagged_ns

        return last_tagged_ns(self.connection, image.id)

    def log(self, name: str) -> list_[Move]:
        """Give what a name has led to, the newest first. Raises NotFound, InvalidInput."""
        from .tag_history import moves

        return moves(self.connection, name)

    def rollback(self, name: str, to: str = "") -> Move:
        """Let a name lead to what it led to before: one move back, to a move's number, or to an image's id. Raises NotFound."""
        from .tag_history import rollback

        return rollback(self, name, to)

    def still_reachable(self, image_id: str, keep_seconds: float) -> bool:
        """Say whether `rollback` may still be meant to lead to an image: for who removes images without a name."""
        from .tag_history import still_reachable

        return still_reachable(self.connection, image_id, keep_seconds)

    def forget_incoming(self) -> int:
        """Remove what pulls have left unfinished, but for those that are under way; gives how many bytes that were."""
        from .incoming import Incoming

        return Incoming(self.root).sweep(0)

    def sweep(self) -> bool:
        """Remove what killed loads and removals have left, snapshots included; costs one listing when there is nothing."""
        return self.snapshots.sweep(self._collect)

    def check(self, image: Image) -> list[str]:
        """Read an image's blobs and layers again and give a sentence for each thing that is wrong; blocks."""
        from .check import check

        return check(self, image)

    def refetch(self, digest: str, registries: Registries | None = None) -> str:
        """Replace a damaged blob by what a registry has; gives the repository. Raises NotFound (none is known), Unreachable."""
        from .refetching import refetch
        from .registries import Registries

        return refetch(self, digest, registries or Registries())

    def _collect(self, aside: str) -> None:
        from .adding import index_entries
        from .removing import collect_blobs

        collect_blobs(self, aside)
        with database.transaction(self.connection):
            self.blobs.prepare()
            self.blobs.write_index(index_entries(self.connection))

    def _first(self, condition: str, *values: str) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self.connection.execute(f"{SELECT} {condition} LIMIT 1", values).fetchone()
        return row

    def list(  # the last one: its name hides the type in what follows
        self, filters: Mapping[str, Sequence[str]] | None = None
    ) -> list[Image]:
        """Give all images, or those that pass the filters of `images`, the newest first. Raises InvalidInput, NotFound."""
        if filters:
            from .filters import select

            return select(self, filters)
        return [from_row(row) for row in self.connection.execute(f"{SELECT} ORDER BY created_ns DESC, id")]


def new_name(text: str) -> str:
    """Parse the name that an image is to get; raises InvalidInput."""
    reference = parse(text)
    if reference.digest:
        raise InvalidInput(f"'{text}': a digest can't be given to an image, only a name and a tag")
    if reference.familiar_name == "sha256":  # `sha256:beef` would be a name and the beginning of an id
        raise InvalidInput("refusing to create an ambiguous tag using digest algorithm as name")
    return reference.full


def _name_of(stream: Stream) -> str:
    """Give what errors call an archive: its path, or that it is no file with a name."""
    name = getattr(stream, "name", None)
    return ascii(name)[1:-1] if isinstance(name, str) and not name.startswith("<") else "standard input"
