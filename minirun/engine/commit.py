"""`commit`: what a container changed becomes a layer, and container and image together a new image.

Owns: what goes into the layer, what the image says (docker's merging of container, image and `--change`), the pause meanwhile.
Leaves to others: writing the layer (linux/tar), the comparison (storage/diff), making the image appear (images/committing).

The container is frozen while its files are read, unless it is told not to be. If this process is killed meanwhile, what says so
is a file in a stage that nobody holds any more; the next command thaws the container (engine/reconcile calls `thaw_abandoned`).
"""

from __future__ import annotations

import os

from ..errors import Conflict, MinirunError
from ..light import ExitStack, contextmanager, suppress
from ..linux.tar import Tar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ..images.store import Image
    from .container import Container
    from .engine import Engine

THAW = "thaw"  # in a stage: the id of the container that its process has frozen


def commit(
    engine: Engine,
    container: Container,
    reference: str = "",
    *,
    author: str = "",
    message: str = "",
    changes: Sequence[str] = (),
    pause: bool = True,
) -> Image:
    """Make an image of a container and give it. Raises InvalidInput (name, changes), Conflict, Exhausted; then nothing is left.
    Blocks.
    """
    from ..images import changes as instructions
    from ..images.committing import Committed
    from ..images.reference import familiar
    from ..images.store import new_name
    from .diff import compare, upper_of

    parent = engine.images.resolve(container.image_id)
    before = image_config(container, parent.config)
    wanted = Committed(
        name=new_name(reference) if reference else "",
        config=instructions.apply(changes, before),
        author=author,
        comment=message,
        created_by=" ".join(before.get("Cmd") or ()),
    )
    what = f"commit container {container.name}"
    with ExitStack() as stack:
        if not _stays_at_rest(engine, container, stack) and pause and not container.is_paused:
            stack.enter_context(frozen(engine, container))
        upper = stack.enter_context(upper_of(engine, container))
        tar = stack.enter_context(Tar(upper, layer=True))
        tar.exclude(_as_entries(compare(engine, container, upper)[1]))
        if container.config.has_user_namespace:
            from .userns import lease_of

            ids = lease_of(engine.connection, container.id)
            assert ids is not None
            tar.map_ids(ids.uid, ids.gid, ids.size)
        image = engine.images.commit(parent, tar.read, what, wanted, lambda: _check_still_there(engine, container))
    engine.rows.note_alone(
        container, "commit", comment=message, imageID=image.id, imageRef=familiar(wanted.name) if wanted.name else ""
    )
    return image


def _as_entries(paths: Sequence[str]) -> list[str]:
    """A directory's name has a slash in an archive, and what it is isn't known here: leave out both spellings."""
    return [spelling for path in paths for spelling in (path, f"{path}/")]


def _stays_at_rest(engine: Engine, container: Container, stack: ExitStack) -> bool:
    """Say whether a container doesn't run; then nobody starts or removes it until the stack's end."""
    if _is_running(engine, container):
        return False
    with ExitStack() as held:
        held.enter_context(engine.lock(container.id))
        if _is_running(engine, container):  # it was being started just now
            return False
        stack.callback(held.pop_all().close)
        return True


def _is_running(engine: Engine, container: Container) -> bool:
    from ..monitor import exits

    return exits.is_running(engine.layout.run(container.id))


def _check_still_there(engine: Engine, container: Container) -> None:
    """Somebody who removes a container while it is read takes its files away one by one."""
    current = engine.rows.get(container.id)
    if current is None or current.status == "removing":
        raise Conflict(f"commit container {container.name}: it was removed meanwhile")


def image_config(container: Container, of_image: dict[str, Any]) -> dict[str, Any]:
    """Give the "config" object of a committed image: the image's, with what the container was given on top of it."""
    from .inspect import config_json

    config = dict(of_image)
    given = config_json(container, of_image)
    kept = ("User", "ExposedPorts", "Env", "Cmd", "Entrypoint", "WorkingDir", "Labels", "Volumes", "Healthcheck")
    for key in kept:
        if given.get(key):
            config[key] = given[key]
        else:
            config.pop(key, None)
    if container.config.stop_signal:
        config["StopSignal"] = container.config.stop_signal
    return config


# ---- the pause


@contextmanager
def frozen(engine: Engine, container: Container) -> Iterator[None]:
    """Freeze a running container for the length of a block, however the block or this process ends."""
    with engine.snapshots.stage() as stage:
        with open(f"{stage.path}/{THAW}", "w", encoding="ascii") as file:
            file.write(container.id)
        try:
            _freeze(engine, container, frozen=True)
            yield
        finally:
            _go_on(engine, container)


def _go_on(engine: Engine, container: Container) -> None:
    """Thaw, unless somebody has paused the container meanwhile: then it stays as he wants it."""
    with engine.lock(container.id):
        current = engine.rows.get(container.id)
        if current is None or not current.is_paused:
            _freeze(engine, container, frozen=False)


def _freeze(engine: Engine, container: Container, *, frozen: bool) -> None:
    try:
        engine.hierarchy.freeze(container.cgroup, frozen)
    except FileNotFoundError:
        pass  # it has ended
    except OSError as error:
        word = "pause" if frozen else "unpause"
        raise MinirunError(f"{word} container {container.name}: {error.strerror or error}") from error


def thaw_abandoned(engine: Engine, stages: Sequence[str]) -> None:
    """Let containers go on whose `commit` was killed; `stages` are the names in the staging directory. Safe to repeat."""
    from ..storage.staging import is_held

    for name in stages:
        path = f"{engine.layout.root}/snapshots/staging/{name}"
        with suppress(OSError, MinirunError):
            with open(f"{path}/{THAW}", encoding="ascii") as file:
                container = engine.rows.get(file.read(64))
            if container is None or is_held(path) or container.is_paused:
                continue
            _freeze(engine, container, frozen=False)
            os.unlink(f"{path}/{THAW}")
