"""Images that are shown inside a container of another: `--mount type=image,source=IMAGE,target=PATH`.

Owns: which image a name means for this container from its creation on, which layers lie behind it, docker's JSON of it. Leaves to
others: the mount (runtime/compile), that an image in use stays (images/removing: it looks for the container's row).

An image is never written to: what is mounted is an overlay of its layers that nobody can change.
"""

from __future__ import annotations

from ..errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import ContainerConfig
    from .engine import Engine


def resolve(engine: Engine, config: ContainerConfig) -> ContainerConfig:
    """Give the configuration with the ids of the images that it names. Raises NotFound."""
    from .create import find_image

    found = (
        mount if mount.image_id else mount.replace(image_id=find_image(engine, mount.name).id)
        for mount in config.image_mounts
    )
    return config.replace(image_mounts=tuple(found))


def check(engine: Engine, config: ContainerConfig) -> None:
    """Raise NotFound when one has been removed since `resolve`; in the transaction that writes the container's row."""
    for mount in config.image_mounts:
        if not engine.images.exists(mount.image_id):
            raise NotFound(f"No such image: {mount.name}: it was removed just now")


def layers_of(engine: Engine, config: ContainerConfig) -> dict[str, tuple[str, ...]]:
    """Give the layers of each image by its id, the top first, relative to the snapshots' root. Raises NotFound, Corrupt."""
    engine.snapshots.prepare_empty()  # an overlay that can't be written to has two layers at least
    layers = {}
    for mount in config.image_mounts:
        lowers = engine.snapshots.lowers(engine.images.resolve(mount.image_id).chain_id)
        layers[mount.image_id] = (*(lower for lower in lowers if lower != "0/fs"), "0/fs")
    return layers


def mounts_json(config: ContainerConfig) -> list[dict[str, object]]:
    """Give them as docker's Mounts have them; what lies behind is no one directory, so no source is said."""
    return [
        {
            "Type": "image",
            "Name": mount.name,
            "Source": "",
            "Destination": mount.target,
            "Driver": "",
            "Mode": "",
            "RW": False,
            "Propagation": "",
        }
        for mount in config.image_mounts
    ]
