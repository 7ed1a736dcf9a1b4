"""`import`: the archive of a root file system becomes an image with one layer.

Owns: the way of such an archive. Leaves to others: the `-c` changes (images/changes), unpacking (images/layers).

The archive goes as it comes (gzip stays gzip) into the blob, through both digests and onto disk in one pass.
"""

from __future__ import annotations

import os
import time

from . import changes, configuration, layers
from .adding import Addition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .compression import Source
    from .manifest import Platform
    from .store import Images


def import_archive(
    images: Images, read: Source, what: str, name: str, requested: Sequence[str], message: str, wanted: Platform
) -> str:
    """Make an image for a platform and give its id; `name` is a full reference or "".

    Raises as images/layers does, then nothing has changed.
    """
    settings = changes.apply(requested)
    with images.snapshots.stage() as stage:
        addition = Addition(images.blobs, images.snapshots, stage)
        kept = os.open(f"{stage.path}/layer", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            layer = addition.read_layer(read, what, below="", unpack=True, keep=kept, needs_end_mark=True)
            document = configuration.write(
                config=settings,
                platform=wanted,
                created_ns=time.time_ns(),
                diff_id=layer.diff_id,
                comment=message or f"Imported from {what}",
            )
            addition.add_file(layer.digest, kept)
            image = addition.add_image(
                configuration.read(document, what), document, [layer], (name,) if name else (), how="import"
            )
            addition.publish(images.connection)
        except OSError as error:
            raise layers.host_error(error, what) from error
        finally:
            os.close(kept)
    return image.id
