"""`run`: a container from creation to removal in one command, and further processes in it: `exec`.

Owns: both, and `ExecOptions`. Leaves to others: creation (create), waiting (foreground), the container's life (container).
"""

from __future__ import annotations

import os

from ..errors import Conflict, InvalidInput, NotFound
from ..light import ExitStack, contextmanager, suppress
from ..linux import syscalls
from ..record import Record
from . import passed_on

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .bundle import Bundle
    from .compile import Target
    from .container import Container, Runtime
    from .create import CreateOptions
    from .process import Maker, Spawned
    from .spec import Process, Spec


_SIGKILL = 9
_STOPPED = "cannot exec in a stopped container"


class ExecOptions(Record):
    """What a caller may ask for besides the process."""

    detach: bool = False
    pid_file: str = ""
    console_socket: str = ""
    pidfd_socket: str = ""
    preserve_fds: int = 0
    ignore_paused: bool = False
    cgroup: str = ""  # beneath the container's


def run(
    runtime: Runtime,
    container_id: str,
    bundle: Bundle,
    options: CreateOptions,
    *,
    detach: bool = False,
    keep: bool = False,
    subreaper: bool = True,
) -> int:
    """Create and start a container; give the exit status of its program, 0 when it was detached from.

    Raises what create and start raise; nothing of the container is left then. With `keep` a stopped container stays.
    Without `subreaper` other orphans of the container are somebody else's.
    """
    from .create import create, make

    if detach:
        container = create(runtime, container_id, bundle, options)
        with _removed_on_failure(container):
            container.start()
        return 0
    if options.console_socket:
        raise InvalidInput("cannot use console socket if runc will not detach or allocate tty")
    from .foreground import Foreground, has_size, sized
    from .process import reap

    fits = not has_size(bundle.spec.process)
    bundle = bundle.replace(spec=bundle.spec.replace(process=sized(bundle.spec.process)))
    syscalls.set_subreaper(True)
    with Foreground() as foreground:
        try:
            created = make(runtime, container_id, bundle, options)
        except BaseException:
            reap()
            raise
        with _removed_on_failure(created.container):
            if not subreaper:
                reap()
                syscalls.set_subreaper(False)
            created.container.start(in_foreground=True)
            reap()
            status = foreground.wait(created.container.record.pid, created.terminal, fits=fits)
        if not keep:
            with suppress(NotFound):  # somebody else was faster, and may be why the program has ended
                created.container.delete(force=True)
    return status


@contextmanager
def _removed_on_failure(container: Container) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(NotFound):
            container.delete(force=True)
        raise


def exec_(container: Container, process: Process, options: ExecOptions) -> int:
    """Start a further process; give its exit status, 0 when it was detached from.

    Raises Conflict when the container doesn't run, CommandNotFound, CommandNotExecutable, StartFailed, InvalidInput.
    """
    from . import bundle as bundles
    from .create import hand_out_listener, hand_out_terminal, write_pid_file
    from .foreground import Foreground, has_size, sized
    from .process import Maker, reap

    _check(container, process, options)
    fits = not has_size(process)
    if not options.detach:
        process = sized(process)
    spec = container.bundle().spec
    process = process.replace(capabilities=bundles.granted(spec.replace(process=process)))

    def with_listener(pid: int, descriptor: int) -> None:
        hand_out_listener(descriptor, pid, spec, container.record, "running")

    syscalls.set_subreaper(
        True
    )  # its number is nobody else's as long as it is ours; what is left at our end goes to who reaps for us
    with ExitStack() as stack:
        foreground = None if options.detach else stack.enter_context(Foreground())
        with Maker(preserved=passed_on.check(options.preserve_fds)) as maker:
            spawned = _make(maker, container, spec.replace(process=process), options, with_listener)
        try:
            spawned = hand_out_terminal(spawned, options.console_socket, options.pidfd_socket)
            if options.pid_file:
                write_pid_file(options.pid_file, spawned.pid)
        except BaseException:
            os.kill(spawned.pid, _SIGKILL)
            raise
        finally:
            reap()
        return 0 if foreground is None else foreground.wait(spawned.pid, spawned.terminal, fits=fits)


def _make(
    maker: Maker, container: Container, spec: Spec, options: ExecOptions, listener: Callable[[int, int], None]
) -> Spawned:
    from .compile import compile_exec
    from .failures import ended_meanwhile, explain_failure
    from .process import SpawnFailed

    plan = compile_exec(spec, _target(container, spec.process, options))
    try:
        return maker.make(plan, listener=listener)
    except SpawnFailed as failure:
        record = container.record
        if ended_meanwhile(record.pid, record.start_time, failure.errno):
            raise Conflict(_STOPPED) from failure
        raise explain_failure(plan, failure.operation_index, failure.errno) from failure


def _check(container: Container, process: Process, options: ExecOptions) -> None:
    status = container.status
    if status == "stopped":
        raise Conflict(_STOPPED)
    if status == "paused" and not options.ignore_paused:
        raise Conflict("cannot exec in a paused container (use --ignore-paused to override)")
    if not process.arguments:
        raise InvalidInput("process.args: must not be empty")
    if process.terminal and options.detach and not options.console_socket:
        raise InvalidInput("cannot allocate tty if runc will detach without setting console socket")


def _target(container: Container, process: Process, options: ExecOptions) -> Target:
    from .compile import Target
    from .state import SHARED

    record = container.record
    try:
        entrance = container.cgroup.entrance(options.cgroup, record.pid) if record.cgroup else ""
    except (NotFound, OSError) as error:
        if container.cgroup.exists():
            raise
        raise Conflict(_STOPPED) from error  # removed with the container since we looked
    return Target(
        pid=record.pid,
        start_time=record.start_time,
        cgroup=entrance,
        rows=process.rows,
        columns=process.columns,
        monitored=False,
        keyring=container.id,
        cache_directory=f"{container.runtime.root}/{SHARED}/seccomp",
        preserved=options.preserve_fds,
    )
