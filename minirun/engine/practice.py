"""Practice for a process that others are forked from: what a `run` and an `exec` do to the store, and their plans, in memory.

Owns: that way. Rows are written to a database in memory, plans are made and encoded, and none is carried out: the host notices
nothing. Leaves to others: everything on the way; when it is done, and how often (warm/server).

The interpreter replaces instructions by quicker ones once they have run a few times (PEP 659), and a plan's encoder remembers
operations, both in memory that all workers share. A worker runs one command: to it, all code would be new every time.
"""

from __future__ import annotations

from .. import database
from ..jsontext import dumps
from ..monitor.exits import Started
from ..runtime.cgroups.hierarchy import Hierarchy
from ..runtime.compile import compile_container, compile_exec
from . import spec as specs
from .create import describe
from .engine import Engine, _schema
from .layout import Layout
from .session import Attachment
from .start import RUNNING, STARTING_BY_HAND
from .store import Containers
from .surroundings import of_container, placement_of, target_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..images.store import Image
    from ..runtime.spec import Spec
    from .config import ContainerConfig
    from .container import Container, ExecConfig

NOWHERE = "/dev/null/nowhere"  # no file can be there
IMAGE = "nothing"
_IMAGE_ID = f"sha256:{'0' * 64}"
_LAYER = f"sha256:{'1' * 64}"
_EXEC_ID = "2" * 64


class _Tree(Hierarchy):
    def has_controller(self, name: str) -> bool:
        return name == "pids"


class _Nowhere(Engine):
    """An engine whose store is in memory and has one image."""

    def __init__(self) -> None:
        self.layout = Layout(root=NOWHERE, run_root=NOWHERE)
        self.connection = database.connect(":memory:", _schema)
        self.stays = True
        self.rows = Containers(self.connection)
        self.hierarchy = _Tree(NOWHERE)
        with database.transaction(self.connection):
            self.connection.execute("INSERT INTO snapshots VALUES (1, ?, NULL, 0)", (_LAYER,))
            self.connection.execute(
                "INSERT INTO images VALUES (?, '', '', 0, '{}', '', '', '', 0, 0, ?, '[]', ?)",
                (_IMAGE_ID, dumps([_LAYER]), _LAYER),
            )
            self.connection.execute(
                "INSERT INTO tags VALUES (?, ?, 0)", (f"docker.io/library/{IMAGE}:latest", _IMAGE_ID)
            )


def practise(config: ContainerConfig, request: ExecConfig) -> None:
    """Go the way of a container of IMAGE, from its creation to its removal, with a further process in between."""
    with _Nowhere() as engine:
        image = engine.images.resolve(config.image)
        container = describe(config, image)
        rows = engine.rows
        rows.unsettled()
        with database.transaction(engine.connection):
            engine.images.exists(image.id)
            rows.insert(container)
        with database.transaction(engine.connection):
            rows.update(container.id, status="created")
            rows.note(container, "create")
        container = rows.find(container.id)
        rows.update(container.id, **STARTING_BY_HAND)
        spec = _without_filter(specs.build(container.config, image, of_container(engine, container)))
        compile_container(spec, placement_of(engine, container, image.chain_id, None, NOWHERE)).encode()
        with database.transaction(engine.connection):
            rows.update(container.id, **RUNNING, pid=1, started_ns=1, ports=())
            rows.note_network(container, "connect")
        _practise_exec(engine, container, image, request)
        with database.transaction(engine.connection):
            rows.delete(container.id)
            rows.note(container, "destroy")


def _practise_exec(engine: Engine, container: Container, image: Image, request: ExecConfig) -> None:
    spec = _without_filter(specs.build_exec(container.config, image, request, of_container(engine, container)))
    started = Started(pid=1, start_time=1, time_ns=1)
    compile_exec(spec, target_of(engine, container, started, request, Attachment(stdout=True), _EXEC_ID)).encode()


def _without_filter(spec: Spec) -> Spec:
    """Without seccomp's: a store on the disk keeps it in its compiled form, and to compile it takes longer than all the rest."""
    return spec.replace(linux=spec.linux.replace(seccomp=None))
