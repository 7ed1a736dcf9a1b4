"""What one start after the other has in common: the plan of the last one, with blanks, for the next container that is just like it.

Owns: `Templates`: which containers are of one kind, and when a template is made. Leaves to others: blanks and filling them in
(runtime/compile/template). For a process that starts many: docs/decisions/0021 has the figures. Who starts one container has
nothing to gain, and doesn't come here.
"""

from __future__ import annotations

import os

from ..runtime import capabilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..images.store import Image
    from ..linux.plan import Plan
    from ..network.networks import Endpoint
    from ..runtime.compile.template import Template
    from ..runtime.spec import Resources
    from .config import ContainerConfig
    from .container import Container
    from .engine import Engine


class Templates:
    """The kind of the last start, and its template once a second one of it has come."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._config: ContainerConfig | None = None
        self._image: Image | None = None
        self._facts: tuple[object, ...] = ()
        self._template: Template | None = None
        self._example: tuple[Container, Endpoint | None] | None = None  # to learn from

    def knows(
        self, container: Container, image: Image, endpoint: Endpoint | None, window: tuple[int, int]
    ) -> Resources | None:
        """Give the resources of this container's cgroup when `fill` has its plan, else None; then `learn` may help the next."""
        self._example = None
        if not _is_plain(container.config):
            return None
        facts = self._look(image, endpoint, window)
        # The store gives the same objects again as long as their rows are the same.
        if container.config is not self._config or image is not self._image or facts != self._facts:
            self._config, self._image, self._facts, self._template = container.config, image, facts, None
            return None
        if self._template is None:
            self._example = (container, endpoint)
            return None
        return self._template.spec.linux.resources

    def fill(self, container: Container, endpoint: Endpoint | None) -> Plan:
        """Give the plan of a container that `knows` has just known."""
        from ..runtime.compile.template import HOSTNAME, ID

        assert self._template is not None
        return self._template.fill({ID: container.id, HOSTNAME: container.hostname}, endpoint)

    def learn(self) -> None:
        """Make the template, when the start that goes on was the second of its kind. To be called when there is time for it.

        Its own plan was encoded, so no text of it holds a NUL; it could be compiled, so its template can.
        """
        if self._example is None:
            return
        from ..runtime.compile.template import HOSTNAME, ID, Template
        from . import spec as specs
        from .surroundings import of_container, placement_of

        container, endpoint = self._example
        self._example = None
        engine, image = self._engine, self._image
        assert image is not None
        cgroup = engine.hierarchy.path(container.cgroup)
        if os.path.dirname(cgroup) != engine.hierarchy.confined:
            return  # without the usual filter the spec depends on what this host refused
        anyone = container.replace(id=ID, hostname=HOSTNAME)
        spec = specs.build(anyone.config, image, of_container(engine, anyone))
        cgroup = f"{engine.hierarchy.confined}/{ID}"
        placement = placement_of(engine, anyone, image.chain_id, endpoint, cgroup)
        self._template = Template(spec, placement.replace(rows=self._facts[0], columns=self._facts[1]))

    def _look(self, image: Image, endpoint: Endpoint | None, window: tuple[int, int]) -> tuple[object, ...]:
        """Give what a plan depends on besides configuration, image, names and addresses."""
        engine = self._engine
        return (
            *window,
            capabilities.of_host(),
            engine.hierarchy.has_controller("pids"),
            engine.snapshots.lowers(image.chain_id),
            endpoint and (endpoint.bridge, endpoint.interface, endpoint.prefix4, bool(endpoint.address6)),
        )


def _is_plain(config: ContainerConfig) -> bool:
    """Does its plan depend on nothing that must be looked at anew: files and devices of the host, other containers, leased ids?"""
    return not (
        config.binds
        or config.volumes
        or config.image_mounts
        or config.devices
        or config.privileged
        or config.lenders
        or config.links
        or config.has_user_namespace
        or config.has_health_check
        or config.network not in ("none", "bridge")
        or config.ipc_mode == "host"
        or config.pid_mode == "host"
        or config.uts_mode == "host"
        or config.cgroupns_mode == "host"
        or config.device_read_bytes
        or config.device_write_bytes
        or config.device_read_operations
        or config.device_write_operations
        or config.block_device_weights
        or config.device_rules
        or config.cgroup_parent
        or config.has_log_attributes
    )
