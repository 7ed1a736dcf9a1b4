"""`minirun ps`: containers as a table, ids, JSON, or by a template."""

from __future__ import annotations

from ...output import warn, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...engine.container import Container
    from ...engine.engine import Engine
    from ..invocation import Invocation


def run(invocation: Invocation) -> int:
    from ..preferences import text_preference
    from ..present import PS_RAW, PS_TABLE, container_columns, image_shown, short_id
    from ..table import show

    parsed = invocation.parsed
    last = -1 if (given := parsed.number("last")) is None else given  # what was given is stronger than --latest
    filters: dict[str, list[str]] = {}
    for name, value in parsed.many("filter"):
        filters.setdefault(name, []).append(value)
    truncate, quiet = not parsed.flag("no-trunc"), parsed.flag("quiet")
    template = parsed.text("format") or ("" if quiet else text_preference("psFormat"))
    with invocation.engine() as engine:
        containers = engine.containers(
            all=parsed.flag("all"),
            limit=max(0, last),
            latest=parsed.flag("latest") and last == -1,
            filters=filters,
        )
        if quiet:
            if template:
                warn("WARNING: Ignoring custom format, because both --format and --quiet are set.")
            before = "container_id: " if template == "raw" else ""
            ids = (short_id(container.id) if truncate else container.id for container in containers)
            write("".join(f"{before}{each}\n" for each in ids))
            return 0
        names = engine.image_names() if containers else set()
        exposing: dict[str, tuple[str, ...]] = {}
        links = {} if truncate else engine.link_names()
        sizes = parsed.flag("size") or ".Size" in template or "json .}}" in template.replace(" }", "}")
        columns = container_columns(
            truncate=truncate,
            names=lambda container: ",".join((container.name, *links.get(container.id, ()))),
            image=lambda container: image_shown(container, names, truncate=truncate),
            size=(lambda container: _size(engine, container)) if sizes else (lambda _: "0B"),
            health=lambda container: _health(engine, container),
            exposed=lambda container: _exposed(engine, container, exposing),
        )
        default = (*PS_TABLE, "Size") if sizes else PS_TABLE
        raw = (*PS_RAW, ("size", "Size")) if parsed.flag("size") else PS_RAW
        write(show(columns, containers, template, default, raw))
    return 0


def _health(engine: Engine, container: Container) -> str:
    if not container.config.has_health_check:
        return "none"
    from ...engine.health import status

    return status(engine, container)


def _exposed(engine: Engine, container: Container, known: dict[str, tuple[str, ...]]) -> set[tuple[str, int]]:
    """Give the ports that a container exposes; `known` has those of images that were asked for before: hundreds share a few."""
    from ...engine.query import exposed_by_image, exposed_ports

    if container.image_id not in known:
        known[container.image_id] = exposed_by_image(engine, container.image_id)
    return exposed_ports(container, known[container.image_id])


def _size(engine: Engine, container: Container) -> str:
    """Say what a container has written, and what that is together with its image."""
    from ...engine.usage import sizes_of
    from ...units import human_size

    written, whole = sizes_of(engine, container)
    return f"{human_size(written)} (virtual {human_size(whole)})"
