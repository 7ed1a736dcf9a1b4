"""`pull`: an image from a registry, verified and unpacked as it comes.

Owns: the way of one image: which address, which manifest for this platform, which layers are missing, publishing. Leaves to others:
the requests (images/registry), the bytes (images/fetching, incoming), unpacking and publishing (images/adding).

    name -> manifest or index -> (platform) manifest -> configuration -> layers: up to three fetched at a time,
         unpacked in order while they come -> published at once

Nothing that a registry says is believed: each document and each layer has the digest that led to it, each layer the content
that the configuration names.
"""

from __future__ import annotations

import os
from contextlib import closing

from .. import database
from ..errors import Corrupt, Exhausted, MinirunError, NotFound, NotSupported
from ..jsontext import loads
from ..light import ExitStack, contextmanager
from ..record import Record
from . import configuration, layers
from . import manifest as documents
from .adding import Addition, Vanished, chain_ids_above, index_entries, set_digest, set_tag
from .answers import Refused, Unreachable
from .credentials import Keychain
from .digest import chain_ids
from .fetching import Fetcher
from .incoming import Incoming
from .layers import Layer
from .platform import choose, host
from .reference import DEFAULT_TAG
from .registries import Registries
from .registry import Fetched, Registry
from .transport import Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .adding import NewImage
    from .fetching import Progress
    from .incoming import Part
    from .manifest import Descriptor, Platform
    from .reference import Reference
    from .store import Images

ATTEMPTS = 3
NESTING_MAX = 4


class Pulled(Record):
    """What came: the image, the digest by which the registry knows what was asked for, and whether the name is new to it."""

    id: str
    digest: str
    is_new: bool


class Found(Record):
    """An image at a registry, its documents read and verified."""

    digest: str  # of what the name leads to: an index, or the manifest itself
    manifest: documents.Manifest
    manifest_data: bytes
    config_data: bytes
    settings: configuration.Configuration


def pull(
    images: Images, reference: Reference, platform: Platform | None, progress: Progress, registries: Registries
) -> Pulled:
    """Bring one image. Raises NotFound, Refused, Unreachable, Corrupt, Exhausted; then nothing has changed, and what was
    verified or fetched so far is kept for the next try. Blocks.
    """
    wanted = reference.digest or reference.tag or DEFAULT_TAG
    with answering(reference, registries, wanted) as (registry, fetched):
        asked = f"{reference.name}@{wanted}" if reference.digest else wanted
        progress("", f"{asked}: Pulling from {reference.path}", 0, 0)
        found = _find(registry, fetched, platform)
        before = _led_to(images, reference, found.digest)
        if _adopt(images, reference, found):
            image_id = found.manifest.config.digest
            return Pulled(id=image_id, digest=found.digest, is_new=before != image_id)
        for attempt in range(ATTEMPTS):
            try:
                return _take(images, registry, reference, found, progress)
            except Vanished:
                if attempt == ATTEMPTS - 1:
                    raise Corrupt("layers below were removed while the image was pulled: try again") from None
    raise AssertionError("unreachable")


def remote_tags(reference: Reference, registries: Registries) -> list[str]:
    """Give the tags of a repository, at its own address. Raises NotFound, Refused, Unreachable."""
    failures: list[MinirunError] = []
    for endpoint in registries.endpoints(reference.domain, mirrors=False):
        registry = Registry(Transport(endpoint), reference.path, Keychain())
        try:
            return registry.tags()
        except Unreachable as error:
            failures.append(error)
        except (NotFound, Refused) as error:
            raise _worded([error], reference, "all tags") from error
        finally:
            registry.close()
    raise failures[0]


@contextmanager
def answering(reference: Reference, registries: Registries, wanted: str) -> Iterator[tuple[Registry, Fetched]]:
    """Give the first address of a registry that has the manifest `wanted`, and the manifest; closed at the block's end."""
    failures: list[MinirunError] = []
    keychain = Keychain()
    for endpoint in registries.endpoints(reference.domain):
        registry = Registry(Transport(endpoint), reference.path, keychain)
        with closing(registry):
            try:
                fetched = registry.manifest(wanted)
            except MinirunError as error:  # of a mirror that lies, too: the registry itself is asked next
                failures.append(error)
                if endpoint.domain and not isinstance(error, Unreachable):
                    break  # the registry itself has spoken
                continue
            yield registry, fetched
            return
    raise _worded(failures, reference, wanted)


def _worded(failures: list[MinirunError], reference: Reference, wanted: str) -> MinirunError:
    """Give the reason of the last address that said one, in docker's words where docker has some."""
    last = next((each for each in reversed(failures) if not isinstance(each, Unreachable)), failures[-1])
    name = reference.familiar_name
    if isinstance(last, Refused) and last.status in (401, 403):
        return type(last)(
            f"pull access denied for {name}, repository does not exist or may require 'minirun login': {last}",
            last.status,
            last.code,
        )
    if isinstance(last, NotFound):
        joint = "@" if reference.digest else ":"
        return NotFound(f"manifest for {name}{joint}{wanted} not found: {last}")
    return last


# ---- documents


def _find(registry: Registry, fetched: Fetched, platform: Platform | None) -> Found:
    digest = fetched.digest
    wanted = platform or host()
    seen = {digest}
    for _ in range(NESTING_MAX + 1):
        what = f"manifest {fetched.digest}"
        if fetched.media_type in documents.INDEXES or _is_index(fetched):
            inner = documents.read_index(fetched.data, what)
            best = choose(inner, wanted)
            if best is None:
                offered = ", ".join(sorted({str(each.platform) for each in inner if each.platform})) or "none"
                raise NotFound(
                    f"no matching manifest for {wanted} in the manifest list entries: there are {ascii(offered[:300])[1:-1]}"
                )
            if best.digest in seen:
                raise Corrupt(f"{what} leads back to itself")
            seen.add(best.digest)
            fetched = registry.manifest(best.digest)
            continue
        if fetched.media_type and fetched.media_type not in documents.MANIFESTS and "json" not in fetched.media_type:
            raise NotSupported(f"{what} is of the type {fetched.media_type[:100]!a}, which is no image")
        return _read(registry, digest, fetched, platform)
    raise Corrupt(f"manifest {digest}: indexes are nested too deeply")


def _is_index(fetched: Fetched) -> bool:
    """The content decides where the header says nothing of use; a header of the other kind is a lie (CVE-2021-41190)."""
    document = documents.read_json(fetched.data, f"manifest {fetched.digest}")
    is_index = isinstance(document, dict) and "manifests" in document
    if is_index and fetched.media_type in documents.MANIFESTS:
        raise Corrupt(f"manifest {fetched.digest} is an index, and the registry calls it a manifest")
    return is_index


def _read(registry: Registry, digest: str, fetched: Fetched, platform: Platform | None) -> Found:
    what = f"manifest {fetched.digest}"
    manifest = documents.read_manifest(fetched.data, what)
    if fetched.media_type in documents.MANIFESTS and fetched.media_type != manifest.media_type:
        raise Corrupt(f"{what} is of another type than the registry says")
    if len(manifest.layers) > documents.LAYERS_MAX:
        raise NotSupported(
            f"{what} has {len(manifest.layers)} layers; {documents.LAYERS_MAX} are the most that can be mounted"
        )
    config_data = registry.configuration(manifest.config)
    settings = configuration.read(config_data, f"configuration {manifest.config.digest}")
    if len(settings.diff_ids) != len(manifest.layers):
        raise Corrupt(f"{what} has {len(manifest.layers)} layers, its configuration names {len(settings.diff_ids)}")
    if platform is not None and platform.architecture and settings.architecture not in ("", platform.architecture):
        raise NotFound(f"no matching manifest for {platform}: the image is for {settings.os}/{settings.architecture}")
    return Found(
        digest=digest, manifest=manifest, manifest_data=fetched.data, config_data=config_data, settings=settings
    )


# ---- an image that is here


def _led_to(images: Images, reference: Reference, digest: str) -> str:
    """Give the id of the image that the name leads to at present, "" for none."""
    query, values = "SELECT image_id FROM tags WHERE name = ?", [reference.full]
    if reference.digest:
        query, values = "SELECT image_id FROM digests WHERE repository = ? AND digest = ?", [reference.name, digest]
    row = images.connection.execute(query, values).fetchone()
    return str(row[0]) if row else ""


def _adopt(images: Images, reference: Reference, found: Found) -> bool:
    """Give an image that is whole here its name. Its id says what its layers hold, however they are packed there."""
    image_id = found.manifest.config.digest
    with database.transaction(images.connection):
        row = images.connection.execute(
            "SELECT manifest_digest, blobs FROM images WHERE id = ?", (image_id,)
        ).fetchone()
        if row is None or not all(images.blobs.has(each) for each in (image_id, row[0], *loads(row[1]))):
            return False
        set_digest(images.connection, reference.name, found.digest, image_id)
        if not reference.digest:
            set_tag(images.connection, reference.full, image_id, how="pull")
        images.blobs.write_index(index_entries(images.connection))
    return True


# ---- layers


def _take(images: Images, registry: Registry, reference: Reference, found: Found, progress: Progress) -> Pulled:
    incoming = Incoming(images.root)
    incoming.sweep()
    pairs = _known_pairs(images)
    parts: dict[str, Part] = {}
    with images.snapshots.stage() as stage, ExitStack() as stack:
        addition = Addition(images.blobs, images.snapshots, stage)
        chain = chain_ids(found.settings.diff_ids)
        for layer, diff_id, chain_id in zip(found.manifest.layers, found.settings.diff_ids, chain, strict=True):
            name = layer.digest[7:19]
            if addition.has_chain(chain_id) and images.blobs.has(layer.digest) and (layer.digest, diff_id) in pairs:
                progress(name, "Already exists", 0, 0)
            elif not images.blobs.has(layer.digest) and layer.digest not in parts:
                progress(name, "Pulling fs layer", 0, 0)
                parts[layer.digest] = incoming.part(layer.digest, images.blobs.path(layer.digest), layer.size)
                stack.callback(parts[layer.digest].close)
        _check_room(images, parts)
        wanted = {layer.digest: layer for layer in found.manifest.layers if layer.digest in parts}
        with Fetcher(registry, [(wanted[digest], part) for digest, part in parts.items()], progress):
            new = _unpack(images, addition, found, parts, pairs, reference, progress)
        addition.note_digest(reference.name, found.digest, new.id)
        try:
            addition.publish(images.connection)
        except OSError as error:
            raise layers.host_error(error, "publish the image") from error
        for part in parts.values():
            part.discard()
    return Pulled(id=new.id, digest=found.digest, is_new=True)


def _unpack(
    images: Images,
    addition: Addition,
    found: Found,
    parts: dict[str, Part],
    pairs: set[tuple[str, str]],
    reference: Reference,
    progress: Progress,
) -> NewImage:
    taken: list[Layer] = []
    below = ""
    for layer, diff_id in zip(found.manifest.layers, found.settings.diff_ids, strict=True):
        chain_id = chain_ids_above(below, diff_id)
        has_chain = addition.has_chain(chain_id)
        if has_chain and layer.digest not in parts and (layer.digest, diff_id) in pairs:
            taken.append(_as_known(layer, diff_id))
        else:
            taken.append(_read_one(images, addition, layer, diff_id, below, parts.get(layer.digest), progress))
            pairs.add((layer.digest, diff_id))
        below = chain_id
    names = () if reference.digest else (reference.full,)
    return addition.add_image(
        found.settings, found.config_data, taken, names, found.manifest_data, found.manifest.media_type, how="pull"
    )


def _as_known(layer: Descriptor, diff_id: str) -> Layer:
    return Layer(digest=layer.digest, size=layer.size, diff_id=diff_id, media_type=layer.media_type, unpacked_bytes=0)


def _open(images: Images, layer: Descriptor, part: Part | None, stack: ExitStack) -> tuple[int, Callable[[int], bytes]]:
    """Give the descriptor of a layer that is on its way, or here, and what reads it. Raises Vanished."""
    if part is not None:
        part.wait_taken()
        part.rewind()
        return part.fd, part.read
    try:
        descriptor = os.open(images.blobs.path(layer.digest), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise Vanished from error
    stack.callback(os.close, descriptor)
    return descriptor, lambda size: os.read(descriptor, size)


def _read_one(
    images: Images,
    addition: Addition,
    layer: Descriptor,
    diff_id: str,
    below: str,
    part: Part | None,
    progress: Progress,
) -> Layer:
    """Hash one layer as it comes, and unpack it where its chain is new."""
    name = layer.digest[7:19]
    what = f"layer {name}"
    unpack = not addition.has_chain(chain_ids_above(below, diff_id))
    with ExitStack() as stack:
        descriptor, read = _open(images, layer, part, stack)
        done = 0

        def tapped(size: int) -> bytes:
            nonlocal done
            data = read(size)
            done += len(data)
            if part is not None and part.written == part.size:
                progress(name, "Extracting", done, layer.size)
            return data

        try:
            interrupt = part.interrupt if part is not None else bool
            result = addition.read_layer(tapped, what, below=below, unpack=unpack, interrupt=interrupt)
            if result.digest != layer.digest or result.size != layer.size:
                raise Corrupt(
                    f"{what}: the digest doesn't match: the registry sent {result.digest} ({result.size} bytes)"
                )
        except Corrupt:
            if part is not None:
                part.discard()  # or the next try would read the same again
            raise
        if result.diff_id != diff_id:
            raise Corrupt(f"{what}: the content doesn't match the image's configuration ({result.diff_id})")
        if part is not None and not addition.has_blob(layer.digest):
            addition.add_file(layer.digest, descriptor)
    progress(name, "Pull complete", layer.size, layer.size)
    return result.replace(media_type=layer.media_type)


def _known_pairs(images: Images) -> set[tuple[str, str]]:
    """Give which blob is known to unpack to which content: a manifest may claim anything."""
    found: set[tuple[str, str]] = set()
    for blobs, diff_ids in images.connection.execute("SELECT blobs, layers FROM images"):
        found.update(zip(loads(blobs), loads(diff_ids), strict=False))
    return found


def _check_room(images: Images, parts: dict[str, Part]) -> None:
    """What can't fit isn't begun."""
    needed = sum(part.size for part in parts.values())
    if parts and needed > layers.free_bytes(images.root):
        raise Exhausted(f"{images.root}: {needed} bytes are to be fetched, and there is no room: free some space")
