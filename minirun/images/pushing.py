"""`push`: an image to a registry, byte for byte as it lies here.

Owns: the order (layers, configuration, manifest), what need not be sent. Leaves to others: the requests (images/registry).

A layer that the repository has is skipped; one that another repository of the registry is known to have is taken over there
(mount). The manifest is the one that the image has in the store: what was pulled keeps its digest.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from ..database import transaction
from ..errors import NotFound
from ..jsontext import loads
from ..light import contextmanager
from ..record import Record
from . import manifest as documents
from .adding import set_digest
from .answers import Refused
from .credentials import Keychain
from .platform import check_platform
from .registry import PUSH, Registry
from .transport import AGAIN, ATTEMPTS, PAUSE_SECONDS, Transport, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    """Send one image. Raises NotFound (no such image here, or not for the platform), Refused, Unreachable. Blocks."""
    image = _image_of(images, reference)
    check_platform(image, reference.familiar, platform)
    row = images.connection.execute(
        "SELECT manifest_digest, manifest_type, layers FROM images WHERE id = ?", (image.id,)
    ).fetchone()
    digest, media_type, diff_ids = row
    data = images.blobs.read(digest)
    manifest = documents.read_manifest(data, f"manifest {digest}")
    sources = _other_repositories(images, reference)
    with connected(reference, registries) as registry:
        pairs = zip(manifest.layers, loads(diff_ids), strict=True)
        blobs = list({layer.digest: (layer, diff_id[7:19]) for layer, diff_id in pairs}.values())
        for layer, name in blobs:
            progress(name, "Preparing", 0, layer.size)
        with ThreadPoolExecutor(AT_A_TIME, "push") as threads:
            work = [threads.submit(_send, images, registry, layer, name, sources, progress) for layer, name in blobs]
            for each in work:
                each.result()
        _send(images, registry, manifest.config, "", {}, lambda *_: None)
        registry.put_manifest(reference.tag or "latest", data, media_type)
    with transaction(images.connection):
        set_digest(images.connection, reference.name, digest, image.id)
    return Pushed(digest=digest, size=len(data))


def _image_of(images: Images, reference: Reference) -> Image:
    try:
        if reference.digest:
            raise NotFound("cannot push a digest reference")
        return images.resolve(reference.full)
    except NotFound as error:
        raise NotFound(
            f"An image does not exist locally with the tag: {reference.familiar_name}"
            if not reference.digest
            else str(error)
        ) from error


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


def _send(
    images: Images, registry: Registry, blob: Descriptor, name: str, sources: dict[str, str], progress: Progress
) -> None:
    """Bring one blob, unless it is there; begins again when the connection breaks or the registry is busy.

    `name` is the layer's for users: docker shows what it contains, not how it is compressed.
    """
    for attempt in range(ATTEMPTS):
        try:
            if registry.has_blob(blob.digest):
                progress(name, "Layer already exists", blob.size, blob.size)
                return
            source = sources.get(blob.digest, "")
            location = registry.mount_or_start(blob.digest, source)
            if not location:
                progress(name, f"Mounted from {source}", blob.size, blob.size)
                return
            _upload(images, registry, blob, location, lambda done: progress(name, "Pushing", done, blob.size))
        except (Unreachable, Refused) as error:
            busy = isinstance(error, Unreachable) or error.status in AGAIN
            if not busy or attempt == ATTEMPTS - 1:
                raise
            progress(name, "Retrying", 0, blob.size)
            time.sleep(PAUSE_SECONDS * 2**attempt)
        else:
            progress(name, "Pushed", blob.size, blob.size)
            return


def _upload(
    images: Images, registry: Registry, blob: Descriptor, location: str, progress: Callable[[int], None]
) -> None:
    path = images.blobs.path(blob.digest)
    size = images.blobs.size_bytes(blob.digest)
    with open(path, "rb") as file:
        if size <= MONOLITHIC_MAX:
            progress(0)
            registry.upload(location, blob.digest, file, size)
            return
        offset = 0
        while piece := file.read(PIECE_BYTES):
            location = registry.upload_piece(location, piece, offset)
            offset += len(piece)
            progress(offset)
        with open(os.devnull, "rb") as nothing:
            registry.upload(location, blob.digest, nothing, 0)
