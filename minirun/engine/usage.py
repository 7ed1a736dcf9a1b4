"""What lies on disk and how much of it could go: `system df`, `ps --size`, `inspect --size`, and the space that a prune gives back.

Owns: which part belongs to which image or container, what is shared. Leaves to others: counting blocks (storage/usage), words and
columns (cli/).

An image's parts are its blobs and its snapshots (unpacked layers). A part that several images have is counted once in
the sum, and as shared for each of them.
"""

from __future__ import annotations

import os

from ..jsontext import loads
from ..record import Record
from ..storage.usage import Counter, Size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..images.image import Image
    from .container import Container
    from .engine import Engine
    from .volumes import VolumeUsage


class ImageUsage(Record):
    """An image on disk: what it shares with others, what would go with it, how many containers stand on it."""

    image: Image
    shared_bytes: int
    unique_bytes: int
    containers: int


class ContainerUsage(Record):
    """A container on disk: its directory with what it wrote, its log and the rest."""

    container: Container
    size: Size


class Total(Record):
    """One line of `system df`."""

    kind: str
    count: int = 0
    active: int = 0
    size_bytes: int = 0
    reclaimable_bytes: int = 0


class DiskUsage(Record):
    """All of it."""

    totals: tuple[Total, ...]
    images: tuple[ImageUsage, ...]
    containers: tuple[ContainerUsage, ...]
    volumes: tuple[VolumeUsage, ...]


def disk_usage(engine: Engine) -> DiskUsage:
    """Measure everything; blocks while it walks. What changes meanwhile is counted or not."""
    counter = Counter()
    containers = tuple(
        ContainerUsage(container=row, size=counter.measure(engine.layout.container(row.id)))
        for row in engine.rows.all()
        if row.status != "creating"
    )
    images, image_total = _images(engine, counter)
    resting = sum(usage.size.disk_bytes for usage in containers if not usage.container.is_running)
    container_total = Total(
        kind="Containers",
        count=len(containers),
        active=sum(usage.container.is_running for usage in containers),
        size_bytes=sum(usage.size.disk_bytes for usage in containers),
        reclaimable_bytes=resting,
    )
    volumes = engine.volume_usage()
    volume_total = Total(
        kind="Local Volumes",
        count=len(volumes),
        active=sum(usage.links > 0 for usage in volumes),
        size_bytes=sum(usage.size.disk_bytes for usage in volumes),
        reclaimable_bytes=sum(usage.size.disk_bytes for usage in volumes if not usage.links),
    )
    totals = (image_total, container_total, volume_total, Total(kind="Build Cache"))
    return DiskUsage(totals=totals, images=images, containers=containers, volumes=volumes)


def _images(engine: Engine, counter: Counter) -> tuple[tuple[ImageUsage, ...], Total]:
    parts = parts_of_images(engine)
    sizes = {
        path: counter.measure(path).disk_bytes for path in sorted({path for own in parts.values() for path in own})
    }
    owners: dict[str, int] = {}
    for own in parts.values():
        for path in own:
            owners[path] = owners.get(path, 0) + 1
    users: dict[str, int] = {}
    for row in engine.rows.all():
        for image_id in {row.image_id, *(mount.image_id for mount in row.config.image_mounts)}:
            users[image_id] = users.get(image_id, 0) + 1
    usages = []
    for image in engine.images.list():
        own = parts.get(image.id, frozenset())
        unique = sum(sizes[path] for path in own if owners[path] == 1)
        whole = sum(sizes[path] for path in own)
        usages.append(
            ImageUsage(image=image, shared_bytes=whole - unique, unique_bytes=unique, containers=users.get(image.id, 0))
        )
    needed = {path for image_id, own in parts.items() if image_id in users for path in own}
    total = Total(
        kind="Images",
        count=len(usages),
        active=sum(usage.containers > 0 for usage in usages),
        size_bytes=sum(sizes.values()) + _rest(engine, counter, sizes),
        reclaimable_bytes=sum(size for path, size in sizes.items() if path not in needed),
    )
    return tuple(usages), total


def _rest(engine: Engine, counter: Counter, counted: dict[str, int]) -> int:
    """Give what lies beside the parts of images: the directories themselves, the index, what a load is about to unpack."""
    top = engine.images.root
    directories = (top, f"{top}/blobs", f"{top}/blobs/sha256", engine.snapshots.root)
    total = 0
    for directory in directories:
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            continue
        total += os.stat(directory).st_blocks * 512
        paths = (f"{directory}/{name}" for name in names)
        total += sum(
            counter.measure(path).disk_bytes for path in paths if path not in counted and path not in directories
        )
    return total


def parts_of_images(engine: Engine) -> dict[str, frozenset[str]]:
    """Give the paths that each image consists of: its blobs, and the directories of its chain of snapshots."""
    directories = {
        number: (parent, f"{engine.snapshots.root}/{number}")
        for number, parent in engine.connection.execute("SELECT number, parent FROM snapshots")
    }
    tops = dict(engine.connection.execute("SELECT chain_id, number FROM snapshots").fetchall())
    rows = engine.connection.execute("SELECT id, manifest_digest, blobs, chain_id FROM images").fetchall()
    parts = {}
    for image_id, manifest, blobs, chain_id in rows:
        paths = {engine.images.blobs.path(digest) for digest in (image_id, manifest, *loads(blobs))}
        number = tops.get(chain_id)
        while number is not None:
            number, path = directories[number]
            paths.add(path)
        parts[image_id] = frozenset(paths)
    return parts


def changes_size(engine: Engine, container: Container) -> Size:
    """Give what a container has written into its own layer: docker's SizeRw is `content_bytes` of it."""
    return Counter().measure(os.path.join(engine.layout.container(container.id), "upper"))


def sizes_of(engine: Engine, container: Container) -> tuple[int, int]:
    """Give docker's SizeRw and SizeRootFs: the bytes that a container has written, and these together with its image."""
    from ..errors import NotFound

    written = changes_size(engine, container).content_bytes
    try:
        return written, written + engine.images.resolve(container.image_id).size_bytes
    except NotFound:  # the image was removed by force
        return written, written
