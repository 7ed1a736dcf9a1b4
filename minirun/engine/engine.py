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
from .layout import DATA_ROOT, RUN_ROOT, Layout
from .store import Containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any

    from ..images.store import Images
    from ..monitor.launch import Launcher
    from ..monitor.logs import LogEntry
    from ..network.networks import Networks
    from ..runtime.cgroups.hierarchy import Hierarchy
    from ..storage.snapshots import Snapshots
    from .bring import Brought, Progress
    from .config import ContainerConfig
    from .container import Container, ExecConfig
    from .session import Attachment, Session


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
        self.connection = database.connect(self.layout.database, _schema)
        if until_exit:
            database.leave_open(self.connection)
        self._until_exit = until_exit
        self.rows = Containers(self.connection)
        from .reconcile import reconcile

        reconcile(self)

    def close(self) -> None:
        """Close the database; containers go on."""
        if "launcher" in self.__dict__:
            self.launcher.close()
        if not self._until_exit:
            self.connection.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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
    def networks(self) -> Networks:
        from ..network.networks import Networks

        if self.layout.is_default:
            return Networks(self.connection)
        return Networks(self.connection, bridge=f"mr-{self.layout.tag()}", table=f"minirun_{self.layout.tag()}")

    @cached_property
    def hierarchy(self) -> Hierarchy:
        from ..runtime.cgroups.hierarchy import Hierarchy

        return Hierarchy.detect(directory="minirun" if self.layout.is_default else f"minirun-{self.layout.tag()}")

    @cached_property
    def launcher(self) -> Launcher:
        from ..monitor.launch import Launcher

        return Launcher(keep=not self._until_exit)

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

    def stop(self, reference: str, timeout_seconds: float | None = None, signal: str = "") -> None:
        """Ask a container to end with its stop signal, and kill it when it hasn't after the time-out (10 s unless set). Blocks."""
        from .stop import stop

        stop(self, self.rows.find(reference), timeout_seconds, signal)

    def kill(self, reference: str, signal: str = "KILL") -> None:
        """Send a signal to a container's first process."""
        from .stop import kill

        kill(self, self.rows.find(reference), signal)

    def restart(self, reference: str, timeout_seconds: float | None = None, signal: str = "") -> None:
        """Stop a container if it runs, then start it. Blocks as `stop` does."""
        from .stop import restart

        restart(self, self.rows.find(reference), timeout_seconds, signal)

    def wait(self, reference: str) -> int:
        """Block until a container has ended and give its exit code."""
        from .session import wait

        return wait(self, self.rows.find(reference))

    def remove(self, reference: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container and everything that it wrote; `force` kills it first."""
        from .remove import remove

        remove(self, self.rows.find(reference), force=force, volumes=volumes)

    def container(self, reference: str) -> Container:
        """Give one container; raises NotFound."""
        return self.rows.find(reference)

    def containers(
        self, *, all: bool = False, limit: int = 0, latest: bool = False, filters: dict[str, list[str]] | None = None
    ) -> list[Container]:
        """Give the running containers, the newest first; `all`, `limit` (at most so many) and `latest` include the others too."""
        from .query import select

        return select(self, everything=all, limit=1 if latest else limit, filters=filters or {})

    def logs(
        self,
        reference: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> Iterator[LogEntry]:
        """Give what a container wrote, entry by entry; `follow` goes on until it ends."""
        from ..monitor import exits, logs

        container = self.rows.find(reference)
        run = self.layout.run(container.id)
        return logs.read(
            self.layout.log(container.id),
            tail=tail,
            since_ns=since_ns,
            until_ns=until_ns,
            follow=follow,
            is_alive=lambda: exits.is_running(run),
        )

    def inspect(self, reference: str, kind: str = "") -> dict[str, Any]:
        """Give everything about a container or (else) an image in the form of docker's JSON."""
        from .inspect import inspect

        return inspect(self, reference, kind)

    # ---- images: the store does it; removing asks whether a container needs the image

    def pull(self, name: str, *, platform: str = "", progress: Progress | None = None) -> Brought:
        """Bring an image from its registry. Blocks; `progress`: see engine/bring."""
        from .bring import pull

        return pull(self, name, platform, progress or _silent)

    def pull_all(self, name: str, *, platform: str = "", progress: Progress | None = None) -> list[Brought]:
        """Bring every tag of a repository."""
        from .bring import pull_all

        return pull_all(self, name, platform, progress or _silent)

    def push(self, name: str, *, progress: Progress | None = None) -> Brought:
        """Bring an image to the registry that its name says."""
        from .bring import push

        return push(self, name, progress or _silent)

    def push_all(self, name: str, *, progress: Progress | None = None) -> list[Brought]:
        """Bring every tag that a repository has here to its registry."""
        from .bring import push_all

        return push_all(self, name, progress or _silent)

    # ---- the host

    def info(self) -> dict[str, Any]:
        """Give what this host offers and what is missing, as names and values."""
        from .info import info

        return info(self)


def _silent(layer: str, status: str, done: int, total: int) -> None:
    """Nobody wants to know."""


def _schema() -> str:
    from ..images.schema import SCHEMA as images
    from ..network.schema import SCHEMA as networks
    from ..storage.schema import SCHEMA as storage
    from .schema import SCHEMA as containers

    return ";".join((storage, images, networks, containers))
