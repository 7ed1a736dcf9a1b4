"""The engine: what `docker` means, as a library. The command line and every other face only call this.

Owns: putting the storeys together (composition root) and the list of verbs. Leaves to others: each verb, in its own module.

    from minirun import Engine

    with Engine() as engine:
        container = engine.create(ContainerConfig(image="busybox", command=("true",)))
        session = engine.start(container.id)
        print(session.wait())
        engine.remove(container.id)
"""

from __future__ import annotations

import os

from .. import database
from ..files import Lock
from ..light import cached_property
from ..program import ends_soon
from .layout import DATA_ROOT, RUN_ROOT, Layout
from .store import Containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Any

    from ..images.store import Image, Images, Stream
    from ..monitor.launch import Launcher
    from ..monitor.logs import LogEntry
    from ..network.networks import Networks
    from ..runtime.cgroups.hierarchy import Hierarchy
    from ..storage.diff import Change
    from ..storage.snapshots import Snapshots
    from ..storage.usage import Size
    from ..storage.volumes import Volume, Volumes
    from .bring import Brought, Progress
    from .capture import Completed
    from .check import Damage
    from .config import ContainerConfig
    from .container import Container, ExecConfig
    from .events import Event
    from .prune import Pruned
    from .running import Running
    from .session import Attachment, Session
    from .stats import Usage
    from .templates import Templates
    from .top import Processes
    from .update import Limits
    from .usage import DiskUsage
    from .volumes import VolumeUsage


class Engine:
    """All verbs over one data root. Use it as a context manager, or call `close`.

    A container is named by id, by the beginning of its id, or by name. Every verb raises a `MinirunError` subclass.
    Opening it settles what killed commands left behind (engine/reconcile). Not safe for use from several threads at once:
    open one per thread, they share everything through the disk.
    """

    def __init__(self, root: str | None = None, run_root: str | None = None, *, until_exit: bool = False) -> None:
        """Open the data root, made when it is missing. `until_exit`: see database.leave_open."""
        self.layout = Layout(root=os.path.abspath(root or DATA_ROOT), run_root=os.path.abspath(run_root or RUN_ROOT))
        if not os.path.isdir(self.layout.mountpoint) or not os.path.isdir(f"{self.layout.root}/containers"):
            self.layout.make()
        self.connection = database.connect(self.layout.database, _schema, _steps)
        if until_exit:
            database.leave_open(self.connection)
        self.stays = not until_exit  # may start many containers, so that it is worth keeping something for the next
        self.rows = Containers(self.connection)
        from .reconcile import reconcile

        reconcile(self)

    def close(self) -> None:
        """Close the database; containers go on."""
        if "launcher" in self.__dict__:
            self.launcher.close()
        if self.stays:
            self.connection.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def _tag(self) -> str:
        return self.layout.tag()

    # ---- the storeys below, each made when it is first needed (an import is paid for by every command)

    @cached_property
    def snapshots(self) -> Snapshots:
        from ..storage.snapshots import Snapshots

        return Snapshots(f"{self.layout.root}/snapshots", self.connection)

    @cached_property
    def images(self) -> Images:
        from ..images.store import Images

        return Images(f"{self.layout.root}/images", self.connection, self.snapshots)

    @cached_property
    def volume_store(self) -> Volumes:
        from ..storage.volumes import Volumes

        return Volumes(f"{self.layout.root}/volumes", self.connection, self.layout.locks)

    @cached_property
    def networks(self) -> Networks:
        from ..network.networks import Networks

        if self.layout.is_default:
            return Networks(self.connection)
        return Networks(self.connection, bridge=f"mr-{self._tag}", table=f"minirun_{self._tag}")

    @cached_property
    def hierarchy(self) -> Hierarchy:
        from ..runtime.cgroups.hierarchy import Hierarchy

        return Hierarchy.detect(directory="minirun" if self.layout.is_default else f"minirun-{self._tag}")

    @cached_property
    def launcher(self) -> Launcher:
        from ..monitor.launch import Launcher

        return Launcher(keep=self.stays, adopts=ends_soon())

    @cached_property
    def templates(self) -> Templates:
        from .templates import Templates

        return Templates(self)

    def lock(self, container_id: str) -> Lock:
        """The lock that a command holds while it changes this container's state."""
        return Lock(self.layout.locks, int(container_id[:15], 16))  # 60 bits of the id: an offset has 63

    # ---- containers

    def create(self, config: ContainerConfig) -> Container:
        """Make a container from an image without starting it."""
        from .create import create

        return create(self, config)

    def start(self, reference: str, attachment: Attachment | None = None) -> Session:
        """Start a created or exited container; the session is its owner until it is closed."""
        from .start import start

        return start(self, self.rows.find(reference), attachment)

    def explain(self, config: ContainerConfig) -> list[str]:
        """Give the plan of a start as text, one line per operation; nothing is made."""
        from .explain import explain

        return explain(self, config)

    def exec(self, reference: str, config: ExecConfig, attachment: Attachment | None = None) -> Session:
        """Run a further process in a running container."""
        from .exec import exec_

        return exec_(self, self.rows.find(reference), config, attachment)

    def attach(self, reference: str, attachment: Attachment) -> Session:
        """Join the streams of a running container."""
        from .session import join

        return join(self, self.rows.find(reference), attachment)

    def stop(self, reference: str, timeout_seconds: float | None = None, signal: str = "") -> str:
        """Ask a container to end with its stop signal, and kill it when it hasn't after the time-out (10 s unless set). Blocks.

        Gives "", or why it was killed without waiting: its first process can't hear the signal.
        """
        from .stop import stop

        return stop(self, self.rows.find(reference), timeout_seconds, signal)

    def stop_all(self, timeout_seconds: float | None = None) -> list[tuple[Container, str]]:
        """Stop all containers at once, as before a shutdown: none counts as stopped by hand (`after_boot`). Gives them, each with
        what `stop` would give.
        """
        from .stop_all import stop_all

        return stop_all(self, timeout_seconds)

    def kill(self, reference: str, signal: str = "KILL") -> None:
        """Send a signal to a container's first process."""
        from ..errors import NotFound
        from .stop import kill

        try:
            container = self.rows.find(reference)
        except NotFound as error:
            raise NotFound(f"cannot kill container: {reference}: {error}") from error
        kill(self, container, signal)

    def restart(self, reference: str, timeout_seconds: float | None = None, signal: str = "") -> str:
        """Stop a container if it runs, then start it. Blocks as `stop` does, and gives what it gives."""
        from .stop import restart

        return restart(self, self.rows.find(reference), timeout_seconds, signal)

    def pause(self, reference: str) -> None:
        """Stop all processes of a running container in the kernel's freezer; returns when they stand still."""
        from .pause import pause

        pause(self, self.rows.find(reference))

    def unpause(self, reference: str) -> None:
        """Let a paused container go on."""
        from .pause import unpause

        unpause(self, self.rows.find(reference))

    def after_boot(self) -> list[Container]:
        """Give the containers at rest that their restart policy starts with the machine, in the order to start them in."""
        from .restarts import after_boot

        return after_boot(self)

    def rename(self, reference: str, name: str) -> None:
        """Give a container another name; raises Conflict when it is taken, InvalidInput when it can't be one."""
        from .rename import rename

        rename(self, self.rows.find(reference), name)

    def top(self, reference: str, arguments: Sequence[str] = ()) -> Processes:
        """Give the processes of a running container as ps(1) of the host shows them; `arguments` are ps's, -ef unless given."""
        from .top import top

        return top(self, self.rows.find(reference), arguments)

    def stats(
        self, references: Sequence[str] = (), *, all: bool = False, interval_seconds: float = 1.0
    ) -> Iterator[list[Usage]]:
        """Give what containers use, again and again: those that are named, or all that run (`all`: the others too).

        The first answer comes after `interval_seconds`, since a share of the processor takes two looks. Ends when none of the
        named ones is left. Raises NotFound.
        """
        from .stats import stats

        return stats(self, references, everything=all, interval_seconds=interval_seconds)

    def update(self, reference: str, limits: Limits) -> None:
        """Change limits of a container, at once when it runs and for every start from now on.

        Raises NotSupported with the controller's name where this host can't enforce one, InvalidInput; then nothing has changed.
        """
        from .update import update

        update(self, self.rows.find(reference), limits)

    def wait(self, reference: str) -> int:
        """Block until a container has ended and give its exit code."""
        from .session import wait

        return wait(self, self.rows.find(reference))

    def remove(self, reference: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container and everything that it wrote; `force` kills it first."""
        from .remove import remove

        remove(self, self.rows.find(reference), force=force, volumes=volumes)

    def unlink(self, reference: str) -> None:
        """Take a link away, `CONTAINER/ALIAS`. Raises NotFound, InvalidInput."""
        from .links import unlink

        unlink(self, reference)

    def container(self, reference: str) -> Container:
        """Give one container; raises NotFound."""
        return self.rows.find(reference)

    def containers(
        self, *, all: bool = False, limit: int = 0, latest: bool = False, filters: dict[str, list[str]] | None = None
    ) -> list[Container]:
        """Give the running containers, the newest first; `all`, `limit` (at most so many) and `latest` include the others too."""
        from .query import select

        return select(self, everything=all, limit=1 if latest else limit, filters=filters or {})

    def link_names(self) -> dict[str, list[str]]:
        """Give by id the further names that links give to containers: `web/db`."""
        from .links import names

        return names(self)

    def image_names(self) -> set[tuple[str, str]]:
        """Give image id and name, as users write it with its tag, of all images that have one now: for a list of containers."""
        from .query import current_names

        return current_names(self)

    def logs(
        self,
        reference: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> Iterator[LogEntry]:
        """Give what a container wrote, entry by entry; `follow` goes on until it ends. Raises NotFound, NotSupported (no log)."""
        from ..errors import NotSupported
        from ..monitor import exits, logs

        container = self.rows.find(reference)
        if container.config.log_driver == "none":
            raise NotSupported("configured logging driver does not support reading")
        run = self.layout.run(container.id)
        return logs.read(
            self.layout.log(container.id),
            tail=tail,
            since_ns=since_ns,
            until_ns=until_ns,
            follow=follow,
            is_alive=lambda: exits.is_running(run),
        )

    def events(
        self,
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        filters: Mapping[str, Sequence[str]] | None = None,
    ) -> Iterator[Event]:
        """Give what every process on this host did, and then what it does until `until_ns`, or for ever: see engine/events."""
        from .events import events

        return events(self, since_ns=since_ns, until_ns=until_ns, filters=filters or {})

    def inspect(self, reference: str, kind: str = "", *, size: bool = False) -> dict[str, Any]:
        """Give everything about a container or (else) an image in the form of docker's JSON.

        `size` also measures a container (SizeRw, SizeRootFs), and blocks while what it wrote is walked.
        """
        from .inspect import inspect

        return inspect(self, reference, kind, size=size)

    # ---- to the end, or for the length of a block

    def run(self, config: ContainerConfig, *, stdin: bytes | None = None) -> Completed:
        """Create a container, run it to its end, remove it; gives what it wrote. Blocks. Whatever is raised, it is gone."""
        from .capture import run

        return run(self, config, stdin)

    def execute(self, reference: str, config: ExecConfig, *, stdin: bytes | None = None) -> Completed:
        """Run a further process in a running container to its end; gives what it wrote. Blocks."""
        from .capture import execute

        return execute(self, reference, config, stdin)

    def created(self, config: ContainerConfig) -> AbstractContextManager[Container]:
        """A container for the length of a block, not started: `with engine.created(config) as container`."""
        from .scoped import created

        return created(self, config)

    def running(self, config: ContainerConfig) -> AbstractContextManager[Running]:
        """A started container for the length of a block: `with engine.running(config) as box`."""
        from .scoped import running

        return running(self, config)

    def temporary_volume(self, labels: Mapping[str, str] | None = None) -> AbstractContextManager[Volume]:
        """A volume for the length of a block."""
        from .scoped import temporary_volume

        return temporary_volume(self, labels)

    def temporary_image(self, image: Image) -> AbstractContextManager[Image]:
        """Remove an image with all of its names after a block: `with engine.temporary_image(engine.commit(box.id))`."""
        from .scoped import temporary_image

        return temporary_image(self, image)

    # ---- files of containers

    def copy_from(
        self,
        reference: str,
        path: str,
        destination: str,
        *,
        follow: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Copy `path` of a container to the host, as docker's cp does; gives the bytes that went over. Blocks.

        `progress` is told of the bytes so far.
        """
        from .copy import copy_from

        return copy_from(self, reference, path, destination, follow=follow, progress=progress)

    def copy_to(
        self,
        reference: str,
        source: str,
        path: str,
        *,
        archive: bool = False,
        follow: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Copy `source` of the host to `path` of a container, as docker's cp does; gives the bytes that went over. Blocks.

        `progress` is told of the bytes so far.
        """
        from .copy import copy_to

        return copy_to(self, reference, source, path, archive=archive, follow=follow, progress=progress)

    def archive(self, reference: str, path: str, *, follow: bool = False) -> Iterator[bytes]:
        """Give `path` of a container as a tar archive, piece by piece."""
        from .copy import archive

        return archive(self, self.rows.find(reference), path, follow=follow)

    def extract(self, reference: str, path: str, stream: Stream, *, archive: bool = False) -> None:
        """Unpack a tar archive (plain or compressed) into a directory of a container. Blocks."""
        from .copy import extract, plain_pieces

        extract(self, self.rows.find(reference), path, plain_pieces(stream), archive=archive)

    def diff(self, reference: str) -> list[Change]:
        """Give what a container changed about its image, path by path."""
        from .diff import diff

        return diff(self, self.rows.find(reference))

    def export(self, reference: str) -> Iterator[bytes]:
        """Give a container's file system as a tar archive, piece by piece; volumes aren't part of it."""
        from .export import export

        return export(self, self.rows.find(reference))

    def commit(
        self,
        reference: str,
        name: str = "",
        *,
        author: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        pause: bool = True,
    ) -> Image:
        """Make an image of a container; `changes` are Dockerfile instructions. It is paused meanwhile, unless told not to be.
        Blocks.
        """
        from .commit import commit

        container = self.rows.find(reference)
        return commit(self, container, name, author=author, message=message, changes=changes, pause=pause)

    # ---- images and registries; what concerns this host's store alone is `images`

    def pull(self, name: str, *, platform: str = "", progress: Progress | None = None) -> Brought:
        """Bring an image from its registry. Blocks; `progress`: see engine/bring."""
        from .bring import pull

        return pull(self, name, platform, progress or (lambda *_: None))

    def pull_missing(self, name: str, *, platform: str = "", progress: Progress | None = None) -> Image:
        """Give the image that a name leads to, pulled first when it isn't here: what `run` does."""
        from .bring import pull_missing

        return pull_missing(self, name, platform, progress or (lambda *_: None))

    def pull_all(self, name: str, *, platform: str = "", progress: Progress | None = None) -> list[Brought]:
        """Bring every tag of a repository."""
        from .bring import pull_all

        return pull_all(self, name, platform, progress or (lambda *_: None))

    def push(self, name: str, *, platform: str = "", progress: Progress | None = None) -> Brought:
        """Bring an image to the registry that its name says."""
        from .bring import push

        return push(self, name, platform, progress or (lambda *_: None))

    def push_all(self, name: str, *, platform: str = "", progress: Progress | None = None) -> list[Brought]:
        """Bring every tag that a repository has here to its registry."""
        from .bring import push_all

        return push_all(self, name, platform, progress or (lambda *_: None))

    # ---- what lies on disk

    def disk_usage(self) -> DiskUsage:
        """Give what images and containers take on disk, and how much of it nobody uses. Blocks while everything is walked."""
        from .usage import disk_usage

        return disk_usage(self)

    def changes_size(self, container: Container) -> Size:
        """Give what a container has written into its own layer. Blocks while that is walked."""
        from .usage import changes_size

        return changes_size(self, container)

    def prune_containers(self, filters: Mapping[str, Sequence[str]] | None = None) -> Pruned:
        """Remove all containers at rest; filters: until (nanoseconds since the epoch, or a span), label, label!."""
        from .prune import prune_containers

        return prune_containers(self, filters or {})

    def prune_images(
        self,
        filters: Mapping[str, Sequence[str]] | None = None,
        *,
        all: bool = False,
        keep_seconds: float = 0.0,
    ) -> Pruned:
        """Remove images without a name, or (`all`) without a container; filters as `prune_containers` has them.

        Images that a name led to in the last `keep_seconds` are kept for `rollback`.
        """
        from .prune import prune_images

        return prune_images(self, filters or {}, everything=all, keep_seconds=keep_seconds)

    def check(self, *, repair: bool = False) -> list[Damage]:
        """Compare rows, directories, blobs, layers with each other; `repair` removes or rebuilds what can be. Blocks for long."""
        from .check import check

        return check(self, repair=repair)

    # ---- volumes

    def create_volume(
        self,
        name: str = "",
        *,
        driver: str = "local",
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make a volume, or give the one that has this name; without a name it gets one."""
        from .volumes import create_volume

        return create_volume(self, name, driver=driver, labels=labels, options=options)

    def volume(self, name: str) -> Volume:
        """Give one volume; raises NotFound."""
        return self.volume_store.find(name)

    def volumes(self, filters: Mapping[str, Sequence[str]] | None = None) -> list[Volume]:
        """Give the volumes that pass the filters (dangling, driver, label, name), by name."""
        from .volumes import select

        return select(self, filters or {})

    def remove_volume(self, name: str, *, force: bool = False) -> None:
        """Remove a volume that no container uses; `force` is content when there is none."""
        from .volumes import remove_volume

        remove_volume(self, name, force=force)

    def prune_volumes(self, filters: Mapping[str, Sequence[str]] | None = None, *, all: bool = False) -> Pruned:
        """Remove the anonymous volumes that no container uses; `all` removes those with a name too."""
        from .volumes import prune_volumes

        return prune_volumes(self, filters or {}, everything=all)

    def volume_usage(self) -> tuple[VolumeUsage, ...]:
        """Measure all volumes and say how many containers refer to each. Blocks while it walks."""
        from .volumes import disk_usage

        return disk_usage(self)

    # ---- the host

    def info(self) -> dict[str, Any]:
        """Give what this host offers and what is missing, as names and values."""
        from .info import info

        return info(self)


def _schema() -> str:
    from ..images.schema import SCHEMA as images
    from ..network.schema import SCHEMA as networks
    from ..storage.schema import SCHEMA as storage
    from ..storage.schema import VOLUMES as volumes
    from .schema import SCHEMA as containers

    return ";".join((storage, volumes, images, networks, containers, database.EVENTS))


def _steps() -> tuple[tuple[int, str], ...]:
    """Give what databases lack that were made by an older minirun: the version that each step leads to, and its statements."""
    from ..images.schema import DIGESTS, TAG_HISTORY
    from ..storage.schema import VOLUMES
    from .schema import LINKS, RESTARTS

    return ((2, TAG_HISTORY), (3, DIGESTS), (4, VOLUMES), (5, database.EVENTS), (6, RESTARTS), (7, LINKS))
