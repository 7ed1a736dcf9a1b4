"""A container's file system as `cp`, `export` and `diff` see it: running or at rest, by descriptors alone.

Owns: which mounts make it up, the lock that keeps a container at rest while somebody writes, whose ids its files have. Leaves to
others: making the mounts (linux/view), reading (linux/tar), writing (linux/untar), docker's rules for paths (engine/copy).

What a container shows here is its layers and, for `cp`, its volumes, bind mounts and the three files of /etc, as docker has it;
never /proc, /dev, a tmpfs, or another image. Its content is hostile, and while it runs it changes under our hands: whoever uses a
view opens beneath `root` with IN_ROOT and follows nothing by hand.
"""

from __future__ import annotations

import os

from ..errors import Conflict, MinirunError
from ..light import ExitStack, contextmanager
from ..linux import syscalls, view
from ..linux.flags import MOUNT_ATTR_RDONLY, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..runtime.spec import Mount
    from .container import Container
    from .engine import Engine
    from .userns import IdLease

# openat2(2): `..` and absolute links stay beneath the root; links of /proc lead nowhere.
IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS


class View(Record):
    """An open view. `ids` are those of the host that the container's files have, None when they are the same."""

    root: int
    ids: IdLease | None = None

    def open(self, path: str, flags: int = os.O_PATH) -> int:
        """Open a path as the container would, links followed inside it unless O_NOFOLLOW forbids the last. Raises OSError."""
        return syscalls.openat2(self.root, path, flags, resolve=IN_ROOT)


@contextmanager
def reading(engine: Engine, container: Container, *, volumes: bool = False) -> Iterator[View]:
    """Show what a container's file system holds; `volumes` with what is mounted in it. Raises MinirunError."""
    with ExitStack() as stack:
        root = _of_running(engine, container)
        if root is None:
            if volumes and not container.started_ns:
                _make_places(engine, container)
            root = _at_rest(engine, container)
        yield _finish(engine, container, root, stack, covers=covers_of(engine, container) if volumes else [])


@contextmanager
def writing(engine: Engine, container: Container) -> Iterator[View]:
    """Show a container's file system with its volumes to somebody who writes to it; at rest it stays so meanwhile. Blocks."""
    with ExitStack() as stack:
        root = _of_running(engine, container)
        if root is None:
            stack.enter_context(engine.lock(container.id))
            root = _of_running(engine, container)  # it was being started just now
        if root is None:
            root = _writable_at_rest(engine, container)
        yield _finish(engine, container, root, stack, covers=covers_of(engine, container, make=True))


@contextmanager
def layers(engine: Engine, container: Container) -> Iterator[int | None]:
    """Show what a container's image holds, without what the container changed; None when that is nothing."""
    lowers = _lowers(engine, container)
    if lowers == ("0/fs",):
        yield None
        return
    engine.snapshots.prepare_empty()  # an overlay that can't be written to has two layers at least
    root = _translated(
        container, lambda: view.overlay(engine.layout.mountpoint, engine.snapshots.root, (*lowers, "0/fs"))
    )
    try:
        yield root
    finally:
        os.close(root)


def _finish(engine: Engine, container: Container, root: int, stack: ExitStack, *, covers: list[view.Cover]) -> View:
    if covers:
        root = _cover(engine, container, root, covers)
    stack.callback(os.close, root)
    return View(root=root, ids=_ids(engine, container))


def shows_own_ids(engine: Engine, container: Container, path: str) -> bool:
    """Say whether a path lies in a volume whose files have the container's own ids on disk, and are shown to it by a map."""
    return any(
        mount.id_map and not mount.uid_mappings and f"{path.rstrip('/')}/".startswith(f"{mount.destination}/")
        for mount in _mounts(engine, container)
    )


def covers_of(engine: Engine, container: Container, *, make: bool = False) -> list[view.Cover]:
    """Give what lies over the container's own files: volumes, bind mounts, and the files of /etc while it runs."""
    return [
        view.Cover(
            source=mount.source,
            target=mount.destination,
            part=mount.part,
            read_only=bool((mount.attributes | mount.tree_attributes) & MOUNT_ATTR_RDONLY),
            make=make,
        )
        for mount in _mounts(engine, container)
    ]


def _mounts(engine: Engine, container: Container) -> list[Mount]:
    from . import spec_mounts
    from .spec import Surroundings

    run = engine.layout.run(container.id)
    surroundings = Surroundings(
        id=container.id,
        host_capabilities=0,
        hosts_file=f"{run}/hosts",
        hostname_file=f"{run}/hostname",
        resolv_file=f"{run}/resolv.conf",
    )
    mounts = spec_mounts.mounts_of(container.config, surroundings)
    return [mount for mount in mounts if mount.type == "bind" and mount.source and not mount.of_lender]


def _of_running(engine: Engine, container: Container) -> int | None:
    """Give the root of the running container, None when it is at rest."""
    from ..monitor import exits

    run = engine.layout.run(container.id)
    started = exits.read_started(run) if exits.is_running(run) else None
    pidfd = syscalls.pidfd_open_verified(started.pid, started.start_time) if started else None
    if pidfd is None:
        return None
    try:
        return view.of_running(pidfd)
    except ProcessLookupError:
        return None  # it ended just now
    except OSError as error:
        raise MinirunError(f"container {container.name}: {error.strerror}") from error
    finally:
        os.close(pidfd)


def _lowers(engine: Engine, container: Container) -> tuple[str, ...]:
    return engine.snapshots.lowers(engine.images.resolve(container.image_id).chain_id)


def _at_rest(engine: Engine, container: Container) -> int:
    """What the container wrote is one more layer: nothing is written, and a start meanwhile is no matter."""
    upper = f"{engine.layout.container(container.id)}/upper"
    lowers = (upper, *_lowers(engine, container))
    return _translated(container, lambda: view.overlay(engine.layout.mountpoint, engine.snapshots.root, lowers))


def _writable_at_rest(engine: Engine, container: Container) -> int:
    """For a caller that holds the container's lock: the upper directory can be used by one mount only."""
    directory = engine.layout.container(container.id)
    if not os.path.isdir(f"{directory}/upper"):
        raise Conflict(f"container {container.name} is being removed")
    with _namespace(_ids(engine, container)) as namespace:
        return _translated(
            container,
            lambda: view.overlay(
                engine.layout.mountpoint,
                engine.snapshots.root,
                _lowers(engine, container),
                f"{directory}/upper",
                f"{directory}/work",
                namespace=namespace,
            ),
        )


@contextmanager
def _namespace(ids: IdLease | None) -> Iterator[int]:
    """Make a user namespace that maps a container's ids, -1 for one whose ids are the host's."""
    if ids is None:
        yield -1
        return
    namespace = syscalls.user_namespace(f"0 {ids.uid} {ids.size}\n", f"0 {ids.gid} {ids.size}\n")
    try:
        yield namespace
    finally:
        os.close(namespace)


def _cover(engine: Engine, container: Container, root: int, covers: list[view.Cover]) -> int:
    from .volume_mounts import reachable

    with reachable(engine, container):
        return _translated(container, lambda: view.covered(root, engine.layout.mountpoint, covers))


def _make_places(engine: Engine, container: Container) -> None:
    """Of a container that never ran: make the places of its volumes, as its start would."""
    covers = covers_of(engine, container, make=True)
    if not covers:
        return
    with engine.lock(container.id):
        root = _writable_at_rest(engine, container)
        os.close(_cover(engine, container, root, covers))


def _ids(engine: Engine, container: Container) -> IdLease | None:
    if not container.config.has_user_namespace:
        return None
    from .userns import lease_of

    return lease_of(engine.connection, container.id)


def _translated(container: Container, make: Callable[[], int]) -> int:
    try:
        return make()
    except OSError as error:
        raise MinirunError(f"container {container.name}: {error.strerror}") from error
