"""Creating a container: the image is resolved, the row written, the directories made. Nothing runs yet.

Owns: `create`. Leaves to others: what the configuration means (engine/spec), the start.
"""

from __future__ import annotations

import os
import time

from .. import database
from ..errors import Conflict, Exhausted, MinirunError, NotFound
from ..linux import syscalls
from .container import Container
from .names import check_name, new_id, new_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..images.store import Image
    from .config import ContainerConfig
    from .engine import Engine


def create(engine: Engine, config: ContainerConfig) -> Container:
    """Make a container at rest; raises NotFound (image), Conflict (name), InvalidInput. Nothing is left behind on failure."""
    image = find_image(engine, config.image)
    config = _resolve(engine, config, image)
    container = describe(config, image)
    container = container.replace(config=with_ids_of_lenders(engine, container.config))
    if config.links:
        from .links import resolve as resolve_links

        container = container.replace(config=resolve_links(engine, container.config))
    _check(engine, config)
    with engine.lock(container.id):
        container = _insert(engine, container)
        try:
            _furnish(engine, container, config, image)
        except BaseException:
            from .remove import erase

            erase(engine, container)
            raise
        with database.transaction(engine.connection):
            engine.rows.update(container.id, status="created")
            engine.rows.note(container, "create")
    return container.replace(status="created")


def _resolve(engine: Engine, config: ContainerConfig, image: Image) -> ContainerConfig:
    """Fill in what the image, or other containers, say of volumes, images to mount, and health. Raises NotFound, InvalidInput."""
    if config.volumes or config.volumes_from or image.config.get("Volumes"):
        from .volume_mounts import resolve

        config = resolve(engine, config, image)
    if config.image_mounts:
        from .image_mounts import resolve as resolve_images

        config = resolve_images(engine, config)
    if config.health_fields_given or image.config.get("Healthcheck"):
        from .health import resolve as resolve_health

        config = resolve_health(config, image)
    return config


def _check(engine: Engine, config: ContainerConfig) -> None:
    """Find out before anything is made what the host can't. Raises InvalidInput, NotSupported, OSError."""
    if config.binds:
        from .spec_mounts import check_sources

        check_sources(config)
    syscalls.require_openat2()
    if config.has_user_namespace:
        from .userns import check_host

        check_host(engine)


def _furnish(engine: Engine, container: Container, config: ContainerConfig, image: Image) -> None:
    """Make what a container has on the disk."""
    make_directory(engine, container.id)
    if config.has_user_namespace:
        from . import userns

        userns.give(engine, container, f"{engine.layout.container(container.id)}/upper")
    if config.volumes:
        from .volume_mounts import furnish

        furnish(engine, container, image)


def find_image(engine: Engine, name: str) -> Image:
    """Give the image that a container is asked for; NotFound says how an image gets here."""
    try:
        return engine.images.resolve(name)
    except NotFound as error:
        raise NotFound(
            f"{error}: bring it with 'minirun pull' or 'minirun load'; 'minirun images' lists what is here"
        ) from error


def with_ids_of_lenders(engine: Engine, config: ContainerConfig) -> ContainerConfig:
    """Give the configuration with the ids of the containers whose namespaces it uses: their names may change. Raises NotFound."""
    fields = {"network": "network", "pid": "pid_mode", "ipc": "ipc_mode"}
    lenders = {kind: reference for kind, reference in config.lenders.items() if reference}
    found = {fields[kind]: f"container:{engine.rows.find(reference).id}" for kind, reference in lenders.items()}
    return config.replace(**found) if found else config


def describe(config: ContainerConfig, image: Image) -> Container:
    """Give the container that `config` asks for, as a value: checked as far as that is possible without the host."""
    from .spec import arguments_of, check

    check(config, image)
    container_id = new_id()
    config = config.replace(labels={**(image.config.get("Labels") or {}), **config.labels})
    shares_name = "host" in (config.network, config.uts_mode)
    return Container(
        id=container_id,
        name=check_name(config.name) if config.name else new_name(),
        image_id=image.id,
        image_name=config.image,
        config=config,
        arguments=arguments_of(config, image),
        hostname=config.hostname or (os.uname().nodename if shares_name else container_id[:12]),
        status="creating",
        created_ns=time.time_ns(),
    )


def _insert(engine: Engine, container: Container) -> Container:
    """Write the row; a name that was drawn is drawn again when taken, a name that was asked for is a Conflict."""
    for attempt in range(20):
        try:
            with database.transaction(engine.connection):
                if not engine.images.exists(container.image_id):  # from now on the row keeps it
                    raise NotFound(f"No such image: {container.image_name}: it was removed just now")
                engine.rows.insert(container)
                if container.config.volumes:
                    from .volume_mounts import claim

                    claim(engine, container.config)
                if container.config.image_mounts:
                    from .image_mounts import check

                    check(engine, container.config)
                if container.config.has_user_namespace:
                    from .userns import lease

                    lease(engine.connection, container)
            return container
        except Conflict:
            if container.config.name:
                raise
            suffix = "" if attempt < 3 else os.urandom(2).hex()
            container = container.replace(name=new_name() + suffix)
    raise Conflict("no free name was found in 20 tries: give one with --name")


def make_directory(engine: Engine, container_id: str) -> None:
    """Make containers/ID with the overlay's upper and work directories."""
    from ..storage import overlay

    path = engine.layout.container(container_id)
    try:
        os.mkdir(path, 0o700)
        overlay.create(path)
    except OSError as error:
        import errno

        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Exhausted(
                f"make the container's directory {path}: {error.strerror}; free some space below {engine.layout.root}"
            ) from error
        raise MinirunError(f"make the container's directory {path}: {error.strerror}") from error
