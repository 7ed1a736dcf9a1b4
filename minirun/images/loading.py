"""`load`: an archive of images becomes images.

Owns: the way of one archive: spooled, read, verified layer by layer, unpacked above its parents, published. Leaves to others:
each of these steps.

An archive from a pipe can't be read twice and its manifest may come last, so it is spooled first; the spooled files
become the blobs by link(2), without another copy.
"""

from __future__ import annotations

import os

from ..errors import Corrupt, NotFound
from . import configuration, layers, platform
from .adding import Addition, Vanished, chain_ids_above
from .archive import Archive
from .image import Loaded
from .reference import familiar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .archive import ArchivedImage, ArchivedLayer
    from .compression import Source
    from .layers import Layer
    from .manifest import Platform
    from .store import Images

    Progress = Callable[[str], None]

ATTEMPTS = 3


def load(
    images: Images, read: Source, what: str, progress: Progress | None, wanted: Platform | None = None
) -> list[Loaded]:
    """Load every image of an archive; raises Corrupt and others (images/layers), then nothing has changed.

    With `wanted`, an image that is for another platform is NotFound.
    """
    with images.snapshots.stage() as stage:
        spooled = f"{stage.path}/archive"
        layers.spool(read, spooled, what)
        directory = os.open(spooled, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            archive = Archive(directory, what, wanted or platform.host())
            archived = archive.images()
            if wanted is not None:
                _check(archived, wanted, what)
            for attempt in range(ATTEMPTS):
                try:
                    addition = Addition(images.blobs, images.snapshots, stage)
                    loaded = [each for image in archived for each in _add(addition, archive, image, progress)]
                    addition.publish(images.connection)
                    return loaded
                except Vanished:
                    if attempt == ATTEMPTS - 1:
                        raise Corrupt(f"{what}: layers below were removed while it was loaded: try again") from None
        except OSError as error:
            raise layers.host_error(error, what) from error
        finally:
            os.close(directory)
    raise AssertionError("unreachable")


def _check(archived: list[ArchivedImage], wanted: Platform, what: str) -> None:
    for image in archived:
        settings = configuration.read(image.config_data, f"{what}: configuration")
        if (settings.os, settings.architecture) != (wanted.os, wanted.architecture):
            raise NotFound(f"{what} has no image for {wanted}: it has one for {settings.os}/{settings.architecture}")


def _add(addition: Addition, archive: Archive, image: ArchivedImage, progress: Progress | None) -> list[Loaded]:
    settings = configuration.read(image.config_data, f"{archive.what}: configuration")
    if len(settings.diff_ids) != len(image.layers):
        raise Corrupt(
            f"{archive.what}: the image has {len(image.layers)} layers, its configuration names {len(settings.diff_ids)}"
        )
    taken, below = [], ""
    for layer, diff_id in zip(image.layers, settings.diff_ids, strict=True):
        if progress is not None:
            progress(f"{diff_id[7:19]}: unpacking")
        taken.append(_take(addition, archive, layer, diff_id, below))
        below = chain_ids_above(below, diff_id)
    new = addition.add_image(settings, image.config_data, taken, image.names, image.manifest_data, image.manifest_type)
    return [Loaded(id=new.id, reference=familiar(name)) for name in image.names] or [Loaded(id=new.id)]


def _take(addition: Addition, archive: Archive, layer: ArchivedLayer, diff_id: str, below: str) -> Layer:
    """Verify one layer, unpack it if its chain is new, take its file as a blob."""
    what = f"{archive.what}: layer {diff_id[7:19]}"
    descriptor = archive.open(layer.member)
    try:
        unpack = not addition.has_chain(chain_ids_above(below, diff_id))
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            result = addition.read_layer(file.read, what, below=below, unpack=unpack, interrupt=bool)
        if layer.digest and result.digest != layer.digest:
            raise Corrupt(f"{what}: the digest doesn't match, the content was changed ({result.digest})")
        if layer.size >= 0 and result.size != layer.size:
            raise Corrupt(f"{what} has {result.size} bytes, its manifest says {layer.size}")
        if result.diff_id != diff_id:
            raise Corrupt(f"{what}: the content doesn't match the image's configuration ({result.diff_id})")
        addition.add_file(result.digest, descriptor)
    finally:
        os.close(descriptor)
    return result
