"""A container as the store remembers it: one row, one frozen value.

Owns: `Container` and `ExecConfig`. Leaves to others: rows (engine/store), Docker's JSON form (engine/inspect).

    created --> running --> exited --> (removed)
       ^         |   |         |
       +---------|---+---------+   start, restart
              paused               pause, unpause: running too, its cgroup is frozen

    running --> restarting --> running     its restart policy: at rest for a time (engine/restarts)

`creating`, `starting` and `removing` are passing states: a row in one of them whose lock is free belongs to a command
that was killed, and engine/reconcile finishes or undoes it.
"""

from __future__ import annotations

from ..errors import Conflict
from ..record import Record
from .config import ContainerConfig, PortMapping


class Container(Record):
    """One container; times are nanoseconds since the epoch, 0 means never."""

    id: str
    name: str
    image_id: str
    image_name: str
    config: ContainerConfig
    arguments: tuple[str, ...] = ()  # what is executed: entry point and command, resolved against the image
    hostname: str = ""
    status: str = "created"
    pid: int = 0
    created_ns: int = 0
    started_ns: int = 0
    finished_ns: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    address4: str = ""
    address6: str = ""
    prefix4: int = 0
    prefix6: int = 0
    gateway4: str = ""
    gateway6: str = ""
    mac: str = ""
    ports: tuple[PortMapping, ...] = ()  # with the host ports that are really taken
    restart_count: int = 0  # by its policy, since it was started by hand
    restart_delay_ms: int = 0  # the last one
    restart_at_ns: int = 0  # when its policy starts it again; 0: it doesn't
    stopped_by_hand: bool = False  # or told to: its policy doesn't start it again

    @property
    def cgroup(self) -> str:
        """Give the name of its cgroup, as runtime/cgroups has them: the id, or a path from the top of the tree on."""
        if not self.config.cgroup_parent:
            return self.id
        from .spec_limits import parent_cgroup

        return f"{parent_cgroup(self.config.cgroup_parent)}/{self.id}"

    @property
    def is_running(self) -> bool:
        """Has it processes? A paused one has."""
        return self.status in ("running", "paused")

    @property
    def is_restarting(self) -> bool:
        """Is it at rest until its policy starts it again, or being started so?"""
        return self.status == "restarting" or (self.status == "starting" and self.restart_at_ns > 0)

    def refuse_restarting(self) -> None:
        """Raise Conflict, in docker's words, for a verb that needs processes, when it waits for its next run."""
        if self.is_restarting:
            raise Conflict(f"Container {self.id} is restarting, wait until the container is running")

    @property
    def state(self) -> str:
        """Give docker's word for the status: passing states have none of their own."""
        if self.status in ("creating", "starting"):
            return "restarting" if self.is_restarting else "created"
        return self.status

    @property
    def is_paused(self) -> bool:
        return self.status == "paused"


class ExecConfig(Record):
    """A further process in a running container, as the user asked for it."""

    command: tuple[str, ...]
    environment: tuple[str, ...] = ()
    working_directory: str = ""
    user: str = ""
    privileged: bool = False
    interactive: bool = False
    terminal: bool = False
    detach: bool = False
