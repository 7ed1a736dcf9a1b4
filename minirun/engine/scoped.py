"""Things that go with the block that made them: containers, volumes, images, whatever is raised in it.

Owns: the context managers. Leaves to others: making and removing (the verbs of the same names). What somebody else has removed
meanwhile is no error.
"""

from __future__ import annotations

from ..errors import NotFound
from ..light import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..images.store import Image
    from ..storage.volumes import Volume
    from .config import ContainerConfig
    from .container import Container
    from .engine import Engine
    from .running import Running


@contextmanager
def created(engine: Engine, config: ContainerConfig) -> Iterator[Container]:
    """Make a container; after the block it is killed if it runs, and removed with its anonymous volumes."""
    container = engine.create(config)
    try:
        yield container
    finally:
        with suppress(NotFound):
            engine.remove(container.id, force=True, volumes=True)


@contextmanager
def running(engine: Engine, config: ContainerConfig) -> Iterator[Running]:
    """Make a container and start it; after the block it is removed as `created` does."""
    from .running import Running

    with created(engine, config) as container:
        engine.start(container.id).detach()
        yield Running(engine, container.id)


@contextmanager
def temporary_volume(engine: Engine, labels: Mapping[str, str] | None) -> Iterator[Volume]:
    """Make a volume with a name that nobody has; after the block it is removed. Raises Conflict then if one uses it still."""
    volume = engine.create_volume(labels=labels)
    try:
        yield volume
    finally:
        engine.remove_volume(volume.name, force=True)


@contextmanager
def temporary_image(engine: Engine, image: Image) -> Iterator[Image]:
    """Keep an image (of commit, load, import, pull) for the block; after it the image and all of its names are removed."""
    try:
        yield image
    finally:
        with suppress(NotFound):
            engine.images.remove(image.id, force=True)
