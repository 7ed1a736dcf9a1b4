"""A container of the OCI runtime and its life: what each verb of the specification does to it.

Owns: `Runtime`, `Container`, its status, start, kill, delete, pause and resume. Leaves to others: making it (create), further
processes (exec), files (state), the cgroup (cgroups/).

    create          start          the process ends        delete
      ---> created  -----> running ----------------> stopped ----> (gone)
              |              | ^                        ^
              |        pause v | resume                 |
              |             paused                      |
              +----- kill, or the process is killed ----+

What a container is stands nowhere: it is looked up. No process: stopped. A frozen cgroup: paused, before its start too. A gate
at which somebody waits: created. A process is known by its id and its start time. runtime.md, config.md.
"""

from __future__ import annotations

import os

from ..errors import Conflict, MinirunError, NotFound, NotSupported, StartFailed
from ..light import contextmanager
from ..linux import syscalls
from ..record import Record
from . import state as states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .bundle import Bundle
    from .cgroups import ContainerCgroup
    from .notify import Proxy
    from .spec import Hook, Resources

ROOT = "/run/minirun-oci"
_SIGKILL = 9
_SECONDS_TO_DIE = 10.0


def _say_nothing(_: str) -> None:
    """Keep a warning to ourselves."""


class Runtime(Record):
    """Where containers are kept, and who makes their cgroups: "cgroupfs", "systemd" or "disabled"."""

    root: str = ROOT
    cgroup_driver: str = "cgroupfs"
    warn: Callable[[str], None] = _say_nothing  # gets what doesn't stop anything; stderr may be the container's own


class Container:
    """One container; `record` is what was written down of it."""

    def __init__(self, runtime: Runtime, container_id: str) -> None:
        self.runtime = runtime
        self.id = container_id
        self.directory = states.Directory(runtime.root, container_id)
        self.record = self.directory.read()

    # ---- what it is

    @property
    def pid(self) -> int:
        """Give the first process; 0 when there is none any more."""
        return self.record.pid if self._is_alive() else 0

    def _is_alive(self) -> bool:
        record = self.record
        if not record.pid or syscalls.process_start_time(record.pid) != record.start_time:
            return False
        return not _is_zombie(record.pid)

    @property
    def status(self) -> str:
        """Give created, running, paused or stopped."""
        if not self._is_alive():
            return "stopped"
        if self.cgroup.is_frozen():
            return "paused"
        return "created" if self.directory.is_waited_at() else "running"

    def state(self) -> dict[str, Any]:
        """Give the state as the specification has it, with the keys that runc adds.

        As long as it has no process and a command is at work on it, that one makes it. runtime.md, State.
        """
        record, status = self.record, self.status
        found: dict[str, Any] = {
            "ociVersion": record.version,
            "id": self.id,
            "pid": 0 if status == "stopped" else record.pid,
            "status": "creating" if not record.pid and self.directory.is_held() else status,
            "bundle": record.bundle,
            "rootfs": record.rootfs,
            "created": record.created,
        }
        if record.annotations:
            found["annotations"] = record.annotations
        found["owner"] = ""
        return found

    @property
    def cgroup(self) -> ContainerCgroup:
        """Give the container's cgroup, which needn't exist any more.

        It lies where it was made: a relative path of the configuration means another place to each process that reads it.
        """
        from .cgroups import ContainerCgroup
        from .cgroups.container import DELEGATED

        record = self.record
        if not record.cgroup or record.cgroup_driver != "systemd":
            return ContainerCgroup(path=record.cgroup, delegated=record.annotations.get(DELEGATED, ""))
        from .cgroups import Hierarchy

        unit = ContainerCgroup.place(
            Hierarchy.detect(), record.cgroups_path, self.id, record.cgroup_driver, record.annotations
        )
        return unit.replace(path=record.cgroup)

    def bundle(self) -> Bundle:
        """Give the configuration that it was made with."""
        from . import bundle

        try:
            with open(self.directory.config, "rb") as file:
                content = file.read()
        except FileNotFoundError:  # deleted since we looked
            raise NotFound("container does not exist") from None
        return bundle.parse(self.record.bundle, content)

    # ---- what is done to it

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the container's lock. What was read before may be out of date: another command had it meanwhile."""
        with self.directory.locked():
            self.record = self.directory.read()
            yield

    def start(self, *, in_foreground: bool = False) -> None:
        """Let the program run, and wait until it does. Conflict in another state than created; StartFailed.

        After a failure the container is stopped. Where the service manager wants to hear when the program is ready, that is waited
        for as well, unless we stay with it `in_foreground`.
        """
        from . import gate

        with self._locked():
            status = self.status
            if status == "stopped":
                raise Conflict(gate.STOPPED)
            if status == "paused":
                raise Conflict("cannot start a paused container")
            if status != "created":
                raise Conflict("cannot start an already running container")
            proxy = self._notify_proxy()
            gate.open_(self.directory, self.record)
        self._run_poststart()
        if proxy is not None and in_foreground:
            import _thread

            _thread.start_new_thread(proxy.pass_on, (), {"names_process": False})
        elif proxy is not None:
            proxy.pass_on(names_process=True)

    def _notify_proxy(self) -> Proxy | None:
        if not os.environ.get("NOTIFY_SOCKET") or not os.path.isdir(self.directory.notify):
            return None
        from .notify import Proxy, manager

        if not manager():
            return None
        return Proxy(self.directory.notify, self.record.pid, self.record.start_time, self.runtime.warn)

    def _run_poststart(self) -> None:
        """config.md, poststart: when one fails, the container is stopped."""
        if "poststart" not in self.record.later_hooks:
            return
        try:
            # It ran, and may have ended meanwhile: what a hook is told is which point of the life it was called at.
            self._run_hooks("poststart", self.bundle().spec.hooks.poststart, self.state_text("running"))
        except StartFailed:
            self.signal(_SIGKILL)
            raise

    def kill(self, signal: int, *, all: bool = False) -> None:
        """Send a signal to the first process; Conflict when there is none. With `all` to every one, of which there may be none.

        NotSupported without a cgroup.
        """
        cgroup = self.cgroup
        if not self._is_alive() and not (all and cgroup.is_populated()):
            if all:
                return
            raise Conflict("container not running")
        ends_all = signal == _SIGKILL and self._has_pid_namespace()
        if all and not (ends_all and not self.record.cgroup):
            self._cgroup_for("kill --all").kill(signal)
        elif signal == _SIGKILL and self.record.cgroup and not ends_all:
            cgroup.kill(signal)  # nobody else ends the others with it
        else:
            self.signal(signal)

    def _has_pid_namespace(self) -> bool:
        try:
            ours, theirs = os.stat("/proc/self/ns/pid"), os.stat(f"/proc/{self.record.pid}/ns/pid")
        except (FileNotFoundError, PermissionError):  # the latter when it ends while we look
            return True
        return (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino)

    def pidfd(self) -> int | None:
        """Give a descriptor of the first process and of no other that might have its number by now; None when it has ended."""
        return syscalls.pidfd_open_verified(self.record.pid, self.record.start_time)

    def signal(self, signal: int) -> None:
        """Send a signal to the first process."""
        descriptor = self.pidfd()
        if descriptor is None:
            return
        try:
            syscalls.pidfd_send_signal(descriptor, signal)
        except ProcessLookupError:
            pass
        finally:
            os.close(descriptor)

    def delete(self, *, force: bool = False, waiting: bool = False) -> None:
        """Remove a container at rest; with `force` any, killing it first. runtime.md, Delete: one that only waits counts too.

        `waiting` takes one that waits for its start as well, without force: what runc and crun do.
        """
        if force and self.status in ("running", "paused"):
            self.signal(_SIGKILL)  # a `start` that waits for a hook inside holds the lock, and ends with the process
        with self._locked():
            status = self.status
            if not (force or status == "stopped" or (waiting and status == "created")):
                raise Conflict(f"cannot delete container {self.id} that is not stopped: {status}")
            self.discard()

    def discard(self) -> None:
        """End what is left of its processes and take it away, in whatever state it is; for who holds the lock."""
        if self.status != "stopped":
            self._end()
        elif not self.record.pid:
            from . import gate

            gate.dismiss(self.directory)
        self.remove()

    def _end(self) -> None:
        """Kill the first process and wait for its end, whoever its parent is."""
        from select import POLLIN, poll

        descriptor = self.pidfd()
        if descriptor is None:
            return
        try:
            syscalls.pidfd_send_signal(descriptor, _SIGKILL)
            if self.record.cgroup:
                self.cgroup.kill(_SIGKILL)
            waiting = poll()
            waiting.register(descriptor, POLLIN)
            if not waiting.poll(_SECONDS_TO_DIE * 1000):
                raise MinirunError(f"kill container {self.id}: it hasn't ended within {_SECONDS_TO_DIE:g} seconds")
        except ProcessLookupError:
            pass
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Take away what is left of a container without processes, and run its poststop hooks."""
        if self.record.cgroup:
            self.cgroup.remove()
        wanted = self._poststop_hooks() if self.record.pid and "poststop" in self.record.later_hooks else ()
        state = self.state_text("stopped") if wanted else ""
        self.directory.remove()
        for hook in wanted:
            try:
                self._run_hooks("poststop", (hook,), state)
            except StartFailed as error:
                self.runtime.warn(str(error))

    def _run_hooks(self, kind: str, wanted: tuple[Hook, ...], state: str) -> None:
        from . import hooks
        from .config.annotations import hook_files

        hooks.run(kind, wanted, state, self.record.bundle, **hook_files(self.record.annotations))

    def _poststop_hooks(self) -> tuple[Hook, ...]:
        """Give the hooks; a configuration that can't be read any more keeps no container from being deleted."""
        try:
            return self.bundle().spec.hooks.poststop
        except (OSError, MinirunError) as error:
            self.runtime.warn(f"no poststop hooks are run: {error}")
            return ()

    def pause(self) -> None:
        """Stop all processes where they are. Conflict unless it runs or waits for its start."""
        with self._locked():
            if (status := self.status) not in ("running", "created"):
                raise Conflict(f"container not running: {status}")
            self._cgroup_for("pause").freeze(True)

    def resume(self) -> None:
        """Let them go on. Conflict unless it is paused."""
        with self._locked():
            if not self._is_alive() or not self.cgroup.is_frozen():
                raise Conflict("container not paused")
            self._cgroup_for("resume").freeze(False)

    def update(self, resources: Resources) -> None:
        """Change limits of a container that exists; those that aren't given stay."""
        with self._locked():
            if not self._is_alive():
                raise Conflict("container not running")
            self._cgroup_for("update").update(resources)

    def processes(self) -> list[int]:
        """Give the process ids of all that live in it."""
        return self.cgroup.processes() if self.record.cgroup else [self.pid] * bool(self.pid)

    def stats(self) -> dict[str, Any]:
        """Give what its cgroup counts."""
        if not self._is_alive():
            raise Conflict("container not running")
        found: dict[str, Any] = self._cgroup_for("count resources").stats()
        return found

    def _cgroup_for(self, purpose: str) -> ContainerCgroup:
        if not self.record.cgroup:
            raise NotSupported(f"{purpose}: container {self.id} was made without a cgroup")
        return self.cgroup

    def state_text(self, status: str = "") -> str:
        """Give the state as hooks read it."""
        from ..jsontext import dumps

        found = self.state()
        if status == "running":
            found["pid"] = self.record.pid
        return dumps({**found, "status": status or found["status"]})


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return text[text.rindex(b")") + 2 : text.rindex(b")") + 3] in (b"Z", b"X")


def find(runtime: Runtime, container_id: str) -> Container:
    """Give a container; NotFound "container does not exist", InvalidInput for what is no id."""
    return Container(runtime, container_id)


def remove_damaged(runtime: Runtime, container_id: str) -> None:
    """Take away a container of which nothing can be read any more. NotFound, when somebody else was faster.

    After a power cut that is all there is. A process that still waits for its start is told to go; any other is warned of.
    """
    from . import gate

    directory = states.Directory(runtime.root, container_id)
    with directory.locked():
        gate.dismiss(directory)
        directory.remove()
    runtime.warn(
        f"container {container_id}: its state was lost, and with it which processes and which cgroup were its own"
    )


def listing(runtime: Runtime) -> list[Container]:
    """Give all containers beneath the root; nothing is made when that doesn't exist. One that can't be read is warned of."""
    found = []
    for name in states.ids(runtime.root):
        try:
            found.append(Container(runtime, name))
        except NotFound:  # it went meanwhile
            continue
        except MinirunError as error:  # nobody can say what it is, but it must not be overlooked
            runtime.warn(f"load container {name}: {error}")
    return found
