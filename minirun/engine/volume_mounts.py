"""A container's volumes: which it gets, when they are made and filled, which go with it.

Owns: `resolve` (the request, the image's VOLUMEs and --volumes-from become one list with names), `claim`, `furnish`, `give_up`.
Leaves to others: volumes without containers (engine/volumes), their directories (storage/volumes), the mounts (engine/spec_mounts).

    resolve -> [ container's row, volumes' rows: one transaction ] -> furnish -> ... -> give_up

An empty volume begins with what the image has in its place (copy-up). The image is hostile: the copy is read through a mount of
its layers that nobody else sees, and made by linux/trees.
"""

from __future__ import annotations

import os

from ..errors import Exhausted, InvalidInput, MinirunError
from ..light import ExitStack, contextmanager, suppress
from ..storage.mounting import failure, options_of
from ..storage.volumes import ANONYMOUS, check_name
from .config import BindMount, VolumeMount
from .volumes import DRIVER, check_driver, is_in_use, new_name, users

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..images.store import Image
    from ..storage.mounting import Options
    from .config import ContainerConfig, ImageMount, TmpfsMount
    from .container import Container
    from .engine import Engine


def resolve(engine: Engine, config: ContainerConfig, image: Image) -> ContainerConfig:
    """Give the configuration with every volume that the container will have, by name. Raises NotFound, InvalidInput."""
    # `-v PATH` says, as VOLUME does, that a volume is to be there: whose, --volumes-from may say.
    bare = [mount for mount in config.volumes if not (mount.name or mount.by_mount)]
    volumes = [_named(engine, mount) for mount in config.volumes if mount not in bare]
    binds, images = list(config.binds), list(config.image_mounts)
    taken = _places(volumes) | _places(binds) | _places(images) | _places(config.tmpfs)
    for text in config.volumes_from:
        lent_volumes, lent_binds, lent_images = _lent(engine, text)
        volumes += [mount for mount in lent_volumes if _clean(mount.target) not in taken]
        binds += [bind for bind in lent_binds if _clean(bind.target) not in taken]
        images += [mount for mount in lent_images if _clean(mount.target) not in taken]
        taken |= _places(volumes) | _places(binds) | _places(images)
    bare += [VolumeMount(target=_clean(path)) for path in sorted(image.config.get("Volumes") or {})]
    for mount in bare:
        if _clean(mount.target) not in taken:
            taken.add(_clean(mount.target))
            volumes.append(_named(engine, mount))
    if not volumes and not config.volumes_from:
        return config
    return config.replace(volumes=tuple(volumes), binds=tuple(binds), image_mounts=tuple(images))


def _places(mounts: Iterable[VolumeMount | BindMount | ImageMount | TmpfsMount]) -> set[str]:
    return {_clean(mount.target) for mount in mounts}


def _clean(path: str) -> str:
    return "/" + os.path.normpath(path).lstrip("/")


def _named(engine: Engine, mount: VolumeMount) -> VolumeMount:
    name = check_name(mount.name) if mount.name else new_name()
    check_driver(name, mount.driver)
    existing = engine.volume_store.get(name)
    options = options_of(name, mount.options if existing is None else existing.options)
    labels = mount.labels if mount.name else {**mount.labels, ANONYMOUS: ""}
    return mount.replace(
        name=name,
        source=options.device if options.is_plain_bind else engine.volume_store.data(name),
        labels=labels,
        is_anonymous=not mount.name,
        is_device=options.is_plain_bind,
        is_mounted=options.is_mounted,
    )


def _lent(engine: Engine, text: str) -> tuple[list[VolumeMount], list[BindMount], tuple[ImageMount, ...]]:
    """Give the mounts of another container, read-only if that is said: `NAME[:ro|rw]`."""
    reference, colon, mode = text.partition(":")
    if not reference or (colon and mode not in ("ro", "rw", "z", "Z")):
        raise InvalidInput(
            f"invalid mode: {mode}" if reference else "volumes-from specification cannot be an empty string"
        )
    lender = engine.rows.find(reference).config
    forbids = mode == "ro"
    volumes = [mount.replace(copy=False, mode="", read_only=mount.read_only or forbids) for mount in lender.volumes]
    binds = [bind.replace(read_only=bind.read_only or forbids) for bind in lender.binds]
    return volumes, binds, lender.image_mounts


def claim(engine: Engine, config: ContainerConfig) -> None:
    """Write down the volumes that aren't there yet, in the transaction that writes the container's row."""
    for mount in config.volumes:
        engine.volume_store.claim(mount.name, mount.labels, mount.options)


def furnish(engine: Engine, container: Container, image: Image) -> None:
    """Make the container's volumes, and fill those that are empty with what the image has in their place. Blocks meanwhile.

    Raises MinirunError, Exhausted; a volume then is as empty as before.
    """
    root = -1
    try:
        for mount in container.config.volumes:
            engine.volume_store.settle(mount.name)
            if not mount.copy or mount.part:
                continue
            with _reachable(engine, mount) as directory:
                if _is_empty(directory):
                    root = root if root >= 0 else _view(engine, image)
                    _fill(engine, mount, root)
    except NotADirectoryError as error:
        raise InvalidInput(f"source {error.filename} is not directory") from error
    except OSError as error:
        import errno

        kind = Exhausted if error.errno in (errno.ENOSPC, errno.EDQUOT) else MinirunError
        raise kind(f"fill a volume of container {container.name}: {error.strerror}") from error
    finally:
        if root >= 0:
            os.close(root)


@contextmanager
def _reachable(engine: Engine, mount: VolumeMount) -> Iterator[str]:
    """Give the directory that a volume's content lies in; what has to be mounted for it is, for that long, under its lock."""
    if not mount.is_mounted:
        if mount.is_device and not os.path.isdir(mount.source):
            place = engine.volume_store.data(mount.name)
            what = f"mount {mount.source}:{place}, flags: 0x1000: no such file or directory"
            raise failure(place, f"failed to mount local volume: {what}")
        yield mount.source
        return
    with engine.volume_store.lock(mount.name):
        engine.volume_store.mount(mount.name, _options(engine, mount))
        try:
            yield mount.source
        finally:
            _unmount_unused(engine, mount.name)


def _unmount_unused(engine: Engine, name: str, *, but: str = "") -> None:
    """For who holds the volume's lock."""
    if not is_in_use(engine, name, but=but):
        engine.volume_store.unmount(name)


def _options(engine: Engine, mount: VolumeMount) -> Options:
    return options_of(mount.name, engine.volume_store.find(mount.name).options)


def _is_empty(directory: str) -> bool:
    with os.scandir(directory) as entries:
        return next(entries, None) is None


def _fill(engine: Engine, mount: VolumeMount, root: int) -> None:
    """All of it or nothing; but what isn't ours, a directory of the host's or a file system, is filled in place, as docker does."""
    from ..linux import trees

    if not (mount.is_device or mount.is_mounted):
        engine.volume_store.fill(mount.name, lambda target: trees.copy_beneath(root, mount.target, target))
        return
    target = os.open(mount.source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        trees.copy_beneath(root, mount.target, target)
    finally:
        os.close(target)


def mount_all(engine: Engine, container: Container) -> None:
    """Mount those of a container's volumes that are file systems of their own. Its row says by then that it starts. Blocks."""
    for mount in container.config.volumes:
        if mount.is_mounted:
            with engine.volume_store.lock(mount.name):
                engine.volume_store.mount(mount.name, _options(engine, mount))


def unmount_all(engine: Engine, container: Container) -> None:
    """Let go of what `mount_all` has mounted, unless another container uses it. Safe to repeat.

    The end of a container waits for no volume that somebody is at, and fails for none: engine/reconcile comes back to it.
    """
    for mount in container.config.volumes:
        if not mount.is_mounted:
            continue
        lock = engine.volume_store.lock(mount.name)
        if lock.acquire(wait=False):
            try:
                with suppress(OSError, MinirunError):
                    _unmount_unused(engine, mount.name, but=container.id)
            finally:
                lock.release()


@contextmanager
def reachable(engine: Engine, container: Container) -> Iterator[None]:
    """Have all volumes of a container, running or not, where `source` says, for the time of a look at them."""
    with ExitStack() as stack:
        mounted = {mount.name: mount for mount in container.config.volumes if mount.is_mounted}
        for name in sorted(mounted):  # two that do so wait for each other, and not in a circle
            stack.enter_context(_reachable(engine, mounted[name]))
        yield


def _view(engine: Engine, image: Image) -> int:
    """Show what the image holds, to us alone."""
    from ..linux import view

    engine.snapshots.prepare_empty()  # an overlay that can't be written to has two layers at least
    lowers = (*(lower for lower in engine.snapshots.lowers(image.chain_id) if lower != "0/fs"), "0/fs")
    if len(lowers) == 1:
        return os.open(f"{engine.snapshots.root}/0/fs", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return view.overlay(engine.layout.mountpoint, engine.snapshots.root, lowers)


def give_up(engine: Engine, container: Container) -> list[str]:
    """Mark the container's anonymous volumes for removal, but for those that another one uses; gives their names.

    In the transaction that decides about the container: from then on `settle` finishes it, whoever comes.
    """
    names = [mount.name for mount in container.config.volumes if mount.is_anonymous]
    if not names:
        return []
    used = users(engine)
    spare = [name for name in names if set(used.get(name, ())) <= {container.id}]
    for name in spare:
        engine.connection.execute("UPDATE volumes SET status = 'removing' WHERE name = ?", (name,))
    return spare


def mounts_json(config: ContainerConfig) -> list[dict[str, object]]:
    """Give the container's volumes as docker's Mounts have them."""
    return [
        {
            "Type": "volume",
            "Name": mount.name,
            "Source": mount.source,
            "Destination": mount.target,
            "Driver": DRIVER,
            "Mode": mount.mode,
            "RW": not mount.read_only,
            "Propagation": "",
        }
        for mount in config.volumes
    ]


def settle_all(engine: Engine) -> None:
    """Finish what killed commands have begun with volumes; one that somebody is at is left to them."""
    rows = engine.connection.execute("SELECT name, status FROM volumes WHERE status != 'ready'").fetchall()
    for name, status in rows:
        lock = engine.volume_store.lock(name)
        if not lock.acquire(wait=False):
            continue
        try:
            engine.volume_store.settle_locked(name)
            if status == "mounted":
                _unmount_unused(engine, name)
        except MinirunError:
            continue  # its own `rm` says what is wrong
        finally:
            lock.release()
