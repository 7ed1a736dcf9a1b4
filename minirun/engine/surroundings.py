"""What a start has to know of this host and of the container's place on it.

Owns: filling in `Surroundings` (for engine/spec), `Placement` and `Target` (for runtime/compile). Leaves to others: what they mean.
"""

from __future__ import annotations

from ..runtime import capabilities
from ..runtime.compile import Placement, Target
from .spec import Surroundings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..monitor.exits import Started
    from ..network.networks import Endpoint
    from .container import Container, ExecConfig
    from .engine import Engine
    from .session import Attachment
    from .userns import IdLease

# The monitor's descriptors of another container's namespaces, by kind. That of mounts isn't joined: memory is shared out of it.
LENT = {"network": 16, "pid": 17, "ipc": 18, "mount": 19}


def of_container(engine: Engine, container: Container) -> Surroundings:
    """Give what engine/spec has to know to build this container's spec."""
    directory = engine.layout.run(container.id)
    return Surroundings(
        id=container.id,
        host_capabilities=capabilities.of_host(),
        hostname=container.hostname,
        hosts_file=f"{directory}/hosts",
        hostname_file=f"{directory}/hostname",
        resolv_file=f"{directory}/resolv.conf",
        counts_processes=engine.hierarchy.has_controller("pids"),
        lent={kind: f"/proc/self/fd/{LENT[kind]}" for kind in container.config.lenders},
        linked=_linked(engine, container),
        layers=_layers(engine, container),
        ids=_ids(engine, container),
    )


def _linked(engine: Engine, container: Container) -> tuple[str, ...]:
    if not container.config.links:
        return ()
    from .links import variables

    return variables(engine, container)


def _layers(engine: Engine, container: Container) -> dict[str, tuple[str, ...]]:
    if not container.config.image_mounts:
        return {}
    from .image_mounts import layers_of

    return layers_of(engine, container.config)


def _ids(engine: Engine, container: Container) -> IdLease | None:
    if not container.config.has_user_namespace:
        return None
    from .userns import lease_of

    return lease_of(engine.connection, container.id)


def placement_of(
    engine: Engine, container: Container, chain_id: str, endpoint: Endpoint | None, cgroup: str
) -> Placement:
    """Give where the container lies and who watches it."""
    from ..storage.overlay import VOLATILE
    from .exit_hook import ENVIRONMENT, command

    layout, snapshots = engine.layout, engine.snapshots
    directory = layout.container(container.id)
    return Placement(
        run_directory=layout.run(container.id),
        mountpoint=layout.mountpoint,
        base=snapshots.root,
        lowers=snapshots.lowers(chain_id),
        upper=f"{directory}/upper",
        work=f"{directory}/work",
        more_overlay_options=(VOLATILE,) if container.config.auto_remove else (),
        cgroup=cgroup,
        log_path=layout.log(container.id) if container.config.log_driver != "none" else "",
        log_max_bytes=container.config.log_max_bytes,
        log_max_files=container.config.log_max_files,
        log_attributes=_log_attributes(engine, container),
        open_stdin=container.config.interactive,
        endpoint=endpoint,
        namespaces={kind: LENT[kind] for kind in (*container.config.lenders, "mount")},
        exit_hook=tuple(command(layout.root, layout.run_root, container.id)),
        exit_hook_environment=ENVIRONMENT,
        keyring=container.id,
        cache_directory=f"{layout.root}/seccomp",
    )


def _log_attributes(engine: Engine, container: Container) -> str:
    if not container.config.has_log_attributes:
        return ""
    from .log_attributes import text_of

    return text_of(container, engine.images.resolve(container.image_id).config)


def target_of(
    engine: Engine, container: Container, started: Started, config: ExecConfig, attachment: Attachment, exec_id: str
) -> Target:
    """Give the running container as the aim of a further process, with the streams that the caller wants to hold."""
    from ..linux import plan
    from .exit_hook import ENVIRONMENT, command

    wanted = attachment.stdin or attachment.stdout or attachment.stderr
    mode = plan.STDIO_INHERIT if attachment.inherit else plan.STDIO_PIPES if wanted else plan.STDIO_NULL
    return Target(
        pid=started.pid,
        start_time=started.start_time,
        cgroup=engine.hierarchy.path(container.cgroup),
        stdio=mode,
        open_stdin=config.interactive,
        rows=attachment.window[0],
        columns=attachment.window[1],
        exit_hook=tuple(command(engine.layout.root, engine.layout.run_root, container.id, "exec", exec_id)),
        exit_hook_environment=ENVIRONMENT,
        keyring=container.id,
        cache_directory=f"{engine.layout.root}/seccomp",
    )
