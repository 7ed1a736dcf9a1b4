"""A blob that is damaged comes again from a registry that has it.

Owns: `refetch`, which repositories are asked. Leaves to others: who finds the damage (images/check), what is said of it
(engine/check).

An image that was pulled or pushed is known by a digest in its repository (table `digests`): there its blobs are.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import closing

import urllib3

from ..errors import Corrupt, Exhausted, MinirunError, NotFound
from ..jsontext import loads
from ..light import suppress
from .answers import Unreachable
from .credentials import Keychain
from .incoming import Incoming
from .layers import free_bytes, host_error
from .reference import familiar, parse
from .registry import Registry
from .transport import Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .registries import Registries
    from .store import Images

READ_BYTES = 1 << 20


def refetch(images: Images, digest: str, registries: Registries) -> str:
    """Replace a blob by what a registry has under its digest, verified and synced; gives the repository. Blocks.

    Raises NotFound when no repository is known to have it, else what the last one failed with; then nothing has changed.
    """
    failure: MinirunError | None = None
    for name, is_manifest in _sources(images, digest):
        reference = parse(name)
        for endpoint in registries.endpoints(reference.domain):
            with closing(Registry(Transport(endpoint), reference.path, Keychain())) as registry:
                try:
                    _replace(images, registry, digest, is_manifest=is_manifest)
                    return familiar(name)
                except MinirunError as error:
                    failure = error
    raise failure or NotFound(f"no repository is known that has {digest}")


def _sources(images: Images, digest: str) -> list[tuple[str, bool]]:
    """Give the repositories of all images that have a blob, and whether it is their manifest."""
    rows = images.connection.execute(
        "SELECT DISTINCT digests.repository, images.id, images.manifest_digest, images.blobs"
        " FROM digests JOIN images ON images.id = digests.image_id ORDER BY digests.repository"
    )
    return [
        (repository, digest == manifest)
        for repository, image_id, manifest, blobs in rows.fetchall()
        if digest in (image_id, manifest) or digest in loads(blobs)
    ]


def _replace(images: Images, registry: Registry, digest: str, *, is_manifest: bool) -> None:
    path = images.blobs.path(digest)
    incoming = Incoming(images.root).directory  # what a kill leaves there is swept
    partial = f"{incoming}/again-{os.getpid()}"
    images.blobs.prepare()
    os.makedirs(incoming, 0o700, exist_ok=True)
    try:
        with open(partial, "wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # nobody sweeps it
            if is_manifest:
                file.write(registry.manifest(digest).data)
            else:
                _copy(registry, digest, file.fileno(), free_bytes(incoming))
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.rename(partial, path)
        images.blobs.sync()
    except OSError as error:
        raise host_error(error, f"fetch {digest} again") from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(partial)


def _copy(registry: Registry, digest: str, descriptor: int, left: int) -> None:
    """Write a blob, of `left` bytes at most. Raises Exhausted, Corrupt, Unreachable."""
    answer, _ = registry.blob(digest)
    hasher = hashlib.sha256()
    try:
        while data := answer.read(READ_BYTES):
            left -= len(data)
            if left < 0:
                raise Exhausted(f"{registry.address}: it sends more than there is room for")
            hasher.update(data)
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
    except urllib3.exceptions.HTTPError as error:
        answer.close()
        raise Unreachable(f"{registry.address}: the connection broke: try again") from error
    except BaseException:
        answer.close()
        raise
    answer.release_conn()
    if hasher.hexdigest() != digest[7:]:
        raise Corrupt(f"{registry.address} has something else under {digest}")
