"""Changing the limits of a container that exists: in its cgroup at once, in its configuration for every later start. Its restart
policy, too, which is asked when its process ends.

Owns: `update`, and what docker makes of a value that isn't given. Leaves to others: what limits mean and which can't be
(engine/spec_limits), cgroup files and putting them back after a failure (runtime/cgroups/making).
"""

from __future__ import annotations

from .. import database
from ..errors import Conflict, NotFound
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..runtime.spec import Resources
    from .config import ContainerConfig
    from .container import Container
    from .engine import Engine

_MEMORY = ("memory_bytes", "memory_swap_bytes", "memory_reservation_bytes")


class Limits(Record):
    """What is to change, as ContainerConfig has it; 0 and "" leave what is there, as docker does. `pids_limit` -1 takes it away."""

    memory_bytes: int = 0
    memory_swap_bytes: int = 0
    memory_reservation_bytes: int = 0
    nano_cpus: int = 0
    cpu_period_us: int = 0
    cpu_quota_us: int = 0
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    block_weight: int = 0
    pids_limit: int = 0
    restart_policy: str = ""
    restart_retries: int = 0

    def given(self) -> dict[str, int | str]:
        """Give those that say something. A policy says how often, too."""
        given = {name: value for name in type(self)._fields if (value := getattr(self, name))}
        return {**given, "restart_retries": self.restart_retries} if self.restart_policy else given


def update(engine: Engine, container: Container, limits: Limits) -> None:
    """See Engine.update. The row and the cgroup change together: a refusal of the kernel's takes both back."""
    from .spec_limits import check

    given = limits.given()
    with engine.lock(container.id):
        current = engine.rows.get(container.id)
        if current is None or current.status == "removing":
            raise NotFound(f"No such container: {container.name}")
        config = current.config.replace(**given)
        _check_swap(config, given)
        _check_restarts(current, config, given)
        check(config)
        if not given:
            return
        with database.transaction(engine.connection):
            engine.rows.update(container.id, config=config)
            engine.rows.note(current, "update")
            _enforce(engine, current, _resources(config, given))


def _check_swap(config: ContainerConfig, given: dict[str, int | str]) -> None:
    swap = config.memory_swap_bytes
    if "memory_bytes" in given and "memory_swap_bytes" not in given and 0 < swap < config.memory_bytes:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
        )


def _check_restarts(container: Container, config: ContainerConfig, given: dict[str, int | str]) -> None:
    """Its next end is the first that a new policy is asked about; docker's rule is that --rm and a policy exclude each other."""
    if "restart_policy" not in given:
        return
    from . import restarts

    if config.auto_remove and config.restart_policy != "no":
        raise Conflict(
            f"Cannot update container {container.id}: "
            "Restart policy cannot be updated because AutoRemove is enabled for the container"
        )
    restarts.check(config)


def _resources(config: ContainerConfig, given: dict[str, int | str]) -> Resources:
    """Give the limits of `config` that `given` touches: what wasn't asked for stays as the cgroup has it."""
    from ..runtime.spec import BlockIo, Cpu, Memory, Resources
    from .spec_limits import resources_of

    whole = resources_of(config, (), counts_processes=False)
    memory, cpu = Memory(), Cpu()
    if any(name in given for name in _MEMORY[:2]):
        memory = whole.memory.replace(reservation=None)
    if "memory_reservation_bytes" in given:
        memory = memory.replace(reservation=whole.memory.reservation)
    if any(name in given for name in ("nano_cpus", "cpu_period_us", "cpu_quota_us")):
        cpu = cpu.replace(quota=whole.cpu.quota, period=whole.cpu.period)
    if "cpu_shares" in given:
        cpu = cpu.replace(shares=whole.cpu.shares)
    if "cpuset_cpus" in given:
        cpu = cpu.replace(cpus=whole.cpu.cpus)
    if "cpuset_mems" in given:
        cpu = cpu.replace(mems=whole.cpu.mems)
    return Resources(
        memory=memory,
        cpu=cpu,
        pids_limit=whole.pids_limit if "pids_limit" in given else None,
        block_io=BlockIo(weight=whole.block_io.weight if "block_weight" in given else None),
    )


def _enforce(engine: Engine, container: Container, resources: Resources) -> None:
    """Write the limits of a container that runs; of one at rest, see whether they could be enforced."""
    if container.is_running:
        from ..runtime.cgroups.container import ContainerCgroup

        ContainerCgroup(path=engine.hierarchy.path(container.cgroup)).update(resources)
        return
    from ..runtime.cgroups import controllers
    from ..runtime.cgroups.limits import settings_of

    for file, _, is_optional in settings_of(resources):
        if not is_optional:
            controllers.require(engine.hierarchy, file.partition(".")[0])
