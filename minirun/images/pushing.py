"""`push`: an image to a registry, byte for byte as it lies here.

Owns: the order (layers, configuration, manifest), what need not be sent. Leaves to others: the requests (images/registry).

A layer that the repository has is skipped; one that another repository of the registry is known to have is taken over there
(mount). The manifest is the one that the image has in the store: what was pulled keeps its digest.
"""

from __future__ import annotations

import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from ..database import transaction
from ..errors import Corrupt, NotFound
from ..jsontext import loads
from ..light import contextmanager
from ..record import Record
from . import manifest as documents
from .adding import set_digest
from .answers import Refused, Unreachable
from .credentials import Keychain
from .platform import check_platform
from .registry import PUSH, Registry
from .transport import AGAIN, ATTEMPTS, PAUSE_SECONDS, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .fetching import Progress
    from .image import Image
    from .manifest import Descriptor
    from .reference import Reference
    from .registries import Registries
    from .store import Images

AT_A_TIME = 5
MONOLITHIC_MAX = (
    64 * 1024 * 1024
)  # larger blobs go in pieces: a proxy before the registry may refuse them, a cut costs one piece
PIECE_BYTES = 16 * 1024 * 1024


class Pushed(Record):
    """Under which digest the image is there, and how large its manifest is."""

    digest: str
    size: int


def push(images: Images, reference: Reference, platform: str, progress: Progress, registries: Registries) -> Pushed:
    """Send one image. Raises NotFound (no such image here, or not for the platform), Refused, Unreachable, Corrupt. Blocks.

    Nothing keeps it here meanwhile: who removes an image that is being pushed ends the push.
    """
    image = _image_of(images, reference)
    check_platform(image, reference.familiar, platform)
    try:
        return _push(images, image, reference, progress, registries)
    except (FileNotFoundError, Corrupt) as error:
        if not images.exists(image.id):
            raise NotFound(f"push {reference.familiar}: the image was removed meanwhile") from error
        if isinstance(error, Corrupt):
            raise
        raise Corrupt(
            f"push {reference.familiar}: {error.filename} is missing: remove the image and load it again"
        ) from error


def _push(images: Images, image: Image, reference: Reference, progress: Progress, registries: Registries) -> Pushed:
    row = images.connection.execute(
        "SELECT manifest_digest, manifest_type, layers FROM images WHERE id = ?", (image.id,)
    ).fetchone()
    if row is None:
        raise Corrupt(f"the image {image.id} isn't there any more")
    digest, media_type, diff_ids = row
    data = images.blobs.read(digest)
    manifest = documents.read_manifest(data, f"manifest {digest}")
    sources = _other_repositories(images, reference)
    with connected(reference, registries) as registry:
        pairs = zip(manifest.layers, loads(diff_ids), strict=True)
        blobs = list({layer.digest: (layer, diff_id[7:19]) for layer, diff_id in pairs}.values())
        for layer, name in blobs:
            progress(name, "Preparing", 0, layer.size)
        sending = _Sending(images, registry, progress)
        with ThreadPoolExecutor(AT_A_TIME, "push") as threads:
            try:
                for each in [threads.submit(sending.send, layer, name, sources) for layer, name in blobs]:
                    each.result()
            except BaseException:
                sending.give_up()  # or the error would be said when all other layers are there
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        _Sending(images, registry, lambda *_: None).send(manifest.config, "", {})
        registry.put_manifest(reference.tag or "latest", data, media_type)
    with transaction(images.connection):
        if images.exists(image.id):
            set_digest(images.connection, reference.name, digest, image.id)
    return Pushed(digest=digest, size=len(data))


def _image_of(images: Images, reference: Reference) -> Image:
    try:
        if reference.digest:
            raise NotFound("cannot push a digest reference")
        return images.resolve(reference.full)
    except NotFound as error:
        if reference.digest:
            raise
        others = "SELECT 1 FROM tags WHERE name >= ?1 || ':' AND name < ?1 || ';' LIMIT 1"
        if images.connection.execute(others, (reference.name,)).fetchone():
            raise NotFound(f"tag does not exist: {reference.familiar}") from error
        raise NotFound(f"An image does not exist locally with the tag: {reference.familiar_name}") from error


@contextmanager
def connected(reference: Reference, registries: Registries) -> Iterator[Registry]:
    """Give the registry's own address, the first that answers, until the block's end: mirrors are for reading."""
    failures: list[Unreachable] = []
    keychain = Keychain()
    for endpoint in registries.endpoints(reference.domain, mirrors=False):
        with closing(Registry(Transport(endpoint), reference.path, keychain, PUSH)) as registry:
            try:
                registry.ping()
            except Unreachable as error:
                failures.append(error)
                continue
            except (Refused, NotFound):
                pass  # it is there; what it refuses will be said at the first upload
            yield registry
            return
    raise failures[0]


def _other_repositories(images: Images, reference: Reference) -> dict[str, str]:
    """Give, for each blob, a repository of the same registry that has it, as far as this store knows."""
    found: dict[str, str] = {}
    rows = images.connection.execute(
        "SELECT digests.repository, images.blobs FROM digests JOIN images ON images.id = digests.image_id"
    )
    for repository, blobs in rows:
        domain, _, path = repository.partition("/")
        if domain == reference.domain and path != reference.path:
            found.update(dict.fromkeys(loads(blobs), path))
    return found


class _Sending:
    """Blobs on their way to one repository, by several threads."""

    def __init__(self, images: Images, registry: Registry, progress: Progress) -> None:
        self._images = images
        self._registry = registry
        self._progress = progress
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Let everything that is under way end soon."""
        self._given_up.set()
        self._registry.give_up()

    def send(self, blob: Descriptor, name: str, sources: dict[str, str]) -> None:
        """Bring one blob, unless it is there; begins again when the connection breaks or the registry is busy.

        `name` is the layer's for users: docker shows what it contains, not how it is compressed.
        """
        for attempt in range(ATTEMPTS):
            try:
                if self._registry.has_blob(blob.digest):
                    self._progress(name, "Layer already exists", blob.size, blob.size)
                    return
                source = sources.get(blob.digest, "")
                location = self._begin(blob.digest, source)
                if not location:
                    self._progress(name, f"Mounted from {source}", blob.size, blob.size)
                    return
                self._upload(blob, location, name)
            except (Unreachable, Refused) as error:
                busy = isinstance(error, Unreachable) or error.status in AGAIN
                if not busy or attempt == ATTEMPTS - 1:
                    raise
                self._progress(name, "Retrying", 0, blob.size)
                if self._given_up.wait(PAUSE_SECONDS * 2**attempt):
                    raise
            else:
                self._progress(name, "Pushed", blob.size, blob.size)
                return

    def _begin(self, digest: str, source: str) -> str:
        """Ask for the blob to be taken over from `source`, else where to upload it: a neighbour may be gone, or be closed to us."""
        if source:
            try:
                return self._registry.mount_or_start(digest, source)
            except NotFound:
                pass
            except Refused as error:
                if error.status in AGAIN:
                    raise
        return self._registry.mount_or_start(digest, "")

    def _upload(self, blob: Descriptor, location: str, name: str) -> None:
        size = self._images.blobs.size_bytes(blob.digest)
        with _Content(self._images.blobs.path(blob.digest), self._given_up) as file:
            if size <= MONOLITHIC_MAX:
                self._progress(name, "Pushing", 0, blob.size)
                self._registry.upload(location, blob.digest, file, size)
                return
            offset = 0
            while piece := file.read(PIECE_BYTES):
                location = self._registry.upload_piece(location, piece, offset)
                offset += len(piece)
                self._progress(name, "Pushing", offset, blob.size)
            with open(os.devnull, "rb") as nothing:
                self._registry.upload(location, blob.digest, nothing, 0)


class _Content(io.FileIO):
    """A file that can't be read any more once another part of the push has failed."""

    def __init__(self, path: str, given_up: threading.Event) -> None:
        super().__init__(path, "rb")
        self._given_up = given_up

    def read(self, size: int | None = -1, /) -> bytes:
        if self._given_up.is_set():
            raise Unreachable("given up")
        return super().read(-1 if size is None else size) or b""
