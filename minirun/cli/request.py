"""From parsed words to what the engine takes: the fields of the option table become a ContainerConfig or an ExecConfig.

Owns: this step, what `--pull` says of the image, and the file that --cidfile names. Leaves to others: everything about single
values (cli/values).
"""

from __future__ import annotations

import os

from ..engine.config import ContainerConfig
from ..errors import Conflict, InvalidInput, NotFound, NotSupported, UsageError
from ..light import contextmanager
from ..output import warn, write_all
from .preferences import proxy_variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from ..command_line import Parsed
    from ..engine.container import Container, ExecConfig
    from ..engine.engine import Engine


def container_config(parsed: Parsed) -> ContainerConfig:
    """Build the request of `run` and `create`: the first argument is the image, the rest its command."""
    fields = parsed.fields()
    for name in ("binds", "volumes", "tmpfs"):
        if len(mounts := fields.get(name, ())) > 1:
            fields[name] = _without_repeats(mounts, last_wins=name == "tmpfs")
    if proxies := proxy_variables():
        fields["environment"] = (*proxies, *fields.get("environment", ()))
    config = ContainerConfig(image=parsed.arguments[0], command=parsed.arguments[1:], **fields)
    if config.auto_remove and config.restart_policy != "no":
        raise UsageError("conflicting options: cannot specify both --restart and --rm")
    refuse_content_trust(parsed)
    if config.no_healthcheck and any(name.startswith("health-") for name in parsed.values):
        raise UsageError("--no-healthcheck conflicts with --health-* options")
    return config


def refuse_content_trust(parsed: Parsed) -> None:
    """Raise NotSupported where signatures of images are to be checked: there are none, so docker's default is what happens."""
    if not parsed.flag("disable-content-trust", default=True):
        raise NotSupported("no signature of an image can be checked: there is no content trust; leave the option out")


def _without_repeats(mounts: Sequence[Any], *, last_wins: bool) -> tuple[Any, ...]:
    """Drop a `-v` that is written twice, and a `--tmpfs` before another one of its place. A --mount's repetition stays an error."""
    kept: dict[Any, Any] = {}
    for place, mount in enumerate(mounts):
        plain = mount.target if last_wins else str(mount)
        kept[place if mount.by_mount else plain] = mount
    return tuple(kept.values())


def exec_config(parsed: Parsed) -> ExecConfig:
    """Build the request of `exec`: the first argument is the container, the rest the command."""
    from ..engine.container import ExecConfig

    return ExecConfig(command=parsed.arguments[1:], **parsed.fields())


def created(engine: Engine, config: ContainerConfig, parsed: Parsed) -> Container:
    """Create what `run` and `create` ask for; an image that isn't here, or with `--pull always` any, is pulled first."""
    policy = parsed.text("pull") or "missing"
    if config.network == "host" and config.ports:
        warn("WARNING: Published ports are discarded when using host network mode")
    if policy == "always":
        _pull(engine, config.image, parsed)
    try:
        _check_platform(engine, config.image, parsed)
        return engine.create(config)
    except NotFound:
        if policy != "missing" or _is_here(engine, config.image, parsed):
            raise
    _pull(engine, config.image, parsed, "Unable to find image '{}' locally")
    return engine.create(config)


def _check_platform(engine: Engine, image: str, parsed: Parsed) -> None:
    """Raise NotFound when the image that is here isn't for the platform that was asked for."""
    if wanted := parsed.text("platform"):
        engine.images.check_platform(image, wanted)


def _is_here(engine: Engine, image: str, parsed: Parsed) -> bool:
    """Was it something else that wasn't found?"""
    try:
        engine.images.resolve(image)
        _check_platform(engine, image, parsed)
    except NotFound:
        return False
    return True


def _pull(engine: Engine, image: str, parsed: Parsed, before: str = "") -> None:
    from ..engine.bring import shown
    from .progress import to_stderr

    layers = to_stderr(quiet=parsed.flag("quiet"))
    if before:
        layers.say(before.format(shown(image)))
    engine.pull(shown(image), platform=parsed.text("platform"), progress=layers)


@contextmanager
def cidfile(path: str) -> Iterator[Callable[[str], None]]:
    """Reserve a file for a container's id before there is a container; gives what writes it. "" means that none is
    wanted.

    An existing file is a Conflict: it may belong to another container. When no id was written the file is removed
    again.
    """
    if not path:
        yield lambda container_id: None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError as error:
        raise Conflict(
            f"container ID file found, make sure the other container isn't running or delete {path}"
        ) from error
    except OSError as error:
        raise InvalidInput(
            f"failed to create the container ID file: open {path}: {(error.strerror or '').lower()}"
        ) from error
    written = False

    def write_id(container_id: str) -> None:
        nonlocal written
        write_all(descriptor, container_id.encode())
        written = True

    try:
        yield write_id
    finally:
        os.close(descriptor)
        if not written:
            os.unlink(path)
