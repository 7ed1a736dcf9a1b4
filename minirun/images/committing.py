"""`commit`: one more layer on top of an image becomes a new image.

Owns: the configuration and manifest of such an image. Leaves to others: what is in the layer and what the image is to say
(engine/commit), how it appears at once (images/adding).

The layer goes through both digests, into its blob and onto disk in one pass, above its parents: what could not be read back
could not be committed. An archive without entries adds no layer, as docker has it, only a line of history.
"""

from __future__ import annotations

import json
import os
import time

from ..errors import Corrupt
from ..record import Record
from . import configuration, layers, manifest
from .adding import Addition, Vanished
from .layers import Layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .compression import Source
    from .image import Image
    from .store import Images

EMPTY = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"  # of two zero blocks


class Committed(Record):
    """What the new image says of itself; `name` is a full reference or ""."""

    name: str
    config: dict[str, Any]
    author: str = ""
    comment: str = ""
    created_by: str = ""


def commit(
    images: Images, parent: Image, read: Source, what: str, wanted: Committed, check: Callable[[], object]
) -> str:
    """Make an image of `parent` and the layer that `read` gives; gives its id. `check` is called when the layer was read, and
    may raise.

    Raises as images/layers does, NotSupported (too many layers), Corrupt (the parent is damaged or gone); then nothing has changed.
    """
    with images.snapshots.stage() as stage:
        addition = Addition(images.blobs, images.snapshots, stage)
        kept = os.open(f"{stage.path}/layer", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            layer = addition.read_layer(read, what, below=parent.chain_id, unpack=True, keep=kept, needs_end_mark=True)
            check()
            taken, kind = _layers_of(images, parent)
            if layer.diff_id != EMPTY:
                addition.add_file(layer.digest, kept)
                taken.append(layer)
            document = _document(images.configuration(parent), parent, layer, wanted)
            image = addition.add_image(
                configuration.read(document, what),
                document,
                taken,
                (wanted.name,) if wanted.name else (),
                manifest_type=kind,
                how="commit",
            )
            addition.publish(images.connection)
        except Vanished as error:
            raise Corrupt(f"{what}: its image was removed meanwhile") from error
        except OSError as error:
            raise layers.host_error(error, what) from error
        finally:
            os.close(kept)
    return image.id


def _layers_of(images: Images, image: Image) -> tuple[list[Layer], str]:
    """Give the layers of an image as its manifest has them, and the manifest's type: docker's stay docker's."""
    (digest,) = images.connection.execute("SELECT manifest_digest FROM images WHERE id = ?", (image.id,)).fetchone()
    found = manifest.read_manifest(images.blobs.read(digest), f"the manifest {digest}")
    taken = [
        Layer(digest=each.digest, size=each.size, diff_id="", media_type=each.media_type, unpacked_bytes=0)
        for each in found.layers
    ]
    return taken, found.media_type


def _document(below: dict[str, Any], parent: Image, layer: Layer, wanted: Committed) -> bytes:
    created = configuration.timestamp(time.time_ns())
    step: dict[str, Any] = {"created": created, "created_by": wanted.created_by}
    said = {"author": wanted.author, "comment": wanted.comment}
    step.update({key: value for key, value in said.items() if value})
    diff_ids = list(parent.layers)
    if layer.diff_id == EMPTY:
        step["empty_layer"] = True
    else:
        diff_ids.append(layer.diff_id)
    history = below.get("history")
    document: dict[str, Any] = {
        "created": created,
        "architecture": parent.architecture,
        "os": parent.os,
        "config": wanted.config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [*(history if isinstance(history, list) else []), step],
    }
    for key in ("variant", "os.version", "os.features"):
        if key in below:
            document[key] = below[key]
    document.update({key: value for key, value in said.items() if value})
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
