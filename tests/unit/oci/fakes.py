"""A runtime that remembers what it was asked for, in place of the modules that make containers: no root, no kernel."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from minirun.errors import Conflict, NotFound
from minirun.record import Record
from minirun.runtime.spec import Capabilities, Process, Spec, User


class Runtime(Record):
    root: str = "/run/minirun-oci"
    cgroup_driver: str = "cgroupfs"
    warn: object = None


class CreateOptions(Record):
    pid_file: str = ""
    console_socket: str = ""
    pidfd_socket: str = ""
    preserve_fds: int = 0
    no_pivot: bool = False
    no_new_keyring: bool = False


class ExecOptions(Record):
    detach: bool = False
    pid_file: str = ""
    console_socket: str = ""
    pidfd_socket: str = ""
    preserve_fds: int = 0
    ignore_paused: bool = False
    cgroup: str = ""


PROCESS = Process(
    arguments=("sleep", "9"),
    environment=("PATH=/bin", "A=1"),
    user=User(uid=5, gid=6, additional_gids=(7,)),
    capabilities=Capabilities(bounding=1, effective=1, permitted=1),
)


class Cgroup:
    """A cgroup in which nothing was ever killed, and whose directory isn't there."""

    path = ""

    def __init__(self) -> None:
        self.kills = 0

    def oom_kills(self) -> int:
        return self.kills


class Directory:
    """Where the container would be kept: a directory of root's."""

    path = "/"


class Bundle(Record):
    path: str
    spec: Spec


class Container:
    """A container; each verb is noted in the calls of its world."""

    def __init__(self, world: World, container_id: str, status: str = "running") -> None:
        self.world = world
        self.id = container_id
        self.status = status
        self.cgroup = Cgroup()
        self.directory = Directory()

    def bundle(self) -> Bundle:
        return Bundle(path="/b", spec=Spec(process=PROCESS))

    def state(self) -> dict[str, Any]:
        return {
            "ociVersion": "1.2.0",
            "id": self.id,
            "pid": 7 if self.status == "running" else 0,
            "status": self.status,
            "bundle": "/b",
            "rootfs": "/b/rootfs",
            "created": "2026-01-02T03:04:05.12Z",
            "owner": "",
        }

    def pidfd(self) -> int:
        return -1

    def stats(self) -> dict[str, Any]:
        return {"pids": {"current": 1}}

    def processes(self) -> list[int]:
        return self.world.pids

    def delete(self, force: bool = False, waiting: bool = False) -> None:
        if self.status == "running" and not force:
            raise Conflict(f"cannot delete container {self.id} that is not stopped: running")
        self.world.calls.append(("delete", self.id, force))

    def __getattr__(self, verb: str) -> Any:
        if verb not in ("start", "kill", "pause", "resume", "update"):
            raise AttributeError(verb)
        return lambda *words, **named: self.world.calls.append((verb, self.id, *words, *named.items()))


class World(ModuleType):
    """All of these modules. `held` are the containers that there are."""

    MODULES = ("bundle", "container", "create", "run")
    ROOT = "/run/minirun-oci"

    def __init__(self) -> None:
        super().__init__("minirun.runtime")
        self.Runtime, self.CreateOptions, self.ExecOptions = Runtime, CreateOptions, ExecOptions
        self.calls: list[tuple[Any, ...]] = []
        self.held: list[Container] = [Container(self, "box")]
        self.pids = [7]
        self.runtime: Runtime | None = None

    def find(self, runtime: Runtime, container_id: str) -> Container:
        self.runtime = runtime
        for held in self.held:
            if held.id == container_id:
                return held
        raise NotFound("container does not exist")

    def listing(self, runtime: Runtime) -> list[Container]:
        self.runtime = runtime
        return self.held

    def load(self, bundle: str, config: str, warn: Any) -> tuple[str, str]:
        return (bundle, config)

    def create(self, runtime: Runtime, container_id: str, bundle: Any, options: CreateOptions) -> None:
        self.runtime = runtime
        if container_id == "box":
            raise Conflict("container with given ID already exists")
        self.calls.append(("create", container_id, bundle, options))

    def exec_(self, container: Container, process: Process, options: ExecOptions) -> int:
        self.calls.append(("exec", container.id, process, options))
        return 3

    def run(self, runtime: Runtime, container_id: str, bundle: Any, options: CreateOptions, **how: bool) -> int:
        self.create(runtime, container_id, bundle, options)
        self.calls[-1] = ("run", *self.calls[-1][1:], how)
        return 9
