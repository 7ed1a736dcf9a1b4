"""The systemd driver: systemd makes the cgroup, as a transient unit, and knows its limits.

Owns: what is asked of systemd's manager. Leaves to others: the bytes (dbus), names (placement), properties of limits (properties),
all that is done with the cgroup once it is there (container).

A scope can't be empty when it is made, and it is gone with its last process:

    caller                                  systemd
      holder()        a process that waits
      StartTransientUnit(scope, PIDs=[it]) --> makes the cgroup, moves the process there
      <-- JobRemoved(scope, "done")
      clone3 into the cgroup
      the holder ends                          the scope stays: the container is in it

Our own device filter is attached beside any of systemd's (native/bpf.c), so DevicePolicy= isn't set: two filters that say the same
would both have to be kept right. systemd.scope(5), org.freedesktop.systemd1(5), systemd.io "Control Group APIs and Delegation".
"""

from __future__ import annotations

import os

from ...errors import Conflict, InvalidInput, NotSupported
from ...light import contextmanager
from .dbus import Connection, DBusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator
    from typing import Any

    from .properties import Properties
else:
    import _signal as signal  # the C module: `signal` itself makes an enum of every constant

# The bus, and systemd's own door for root, which is there without dbus-daemon too: systemctl(1) knocks there.
SOCKETS = (("/run/dbus/system_bus_socket", True), ("/run/systemd/private", False))
_MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
_ERROR = "org.freedesktop.systemd1."


def start(unit: str, slice_name: str, pid: int, properties: Properties) -> None:
    """Start a transient scope around `pid`, or a slice; returns when it is there.

    Conflict when there is one of this name, InvalidInput for a property that systemd refuses, NotSupported without systemd.
    """
    every: Properties = {"Description": ("s", f"minirun container {unit}"), "DefaultDependencies": ("b", False)}
    every |= {f"{name}Accounting": ("b", True) for name in ("CPU", "IO", "Memory", "Tasks")}
    if unit.endswith(".slice"):
        every["Wants"] = ("as", [slice_name])
    else:
        every |= {
            "Slice": ("s", slice_name),
            "Delegate": ("b", True),
            "PIDs": ("au", [pid]),
            "CollectMode": ("s", "inactive-or-failed"),  # a scope whose processes were killed isn't kept as a failure
        }
    every |= properties
    with _connect() as (connection, is_bus):
        _listen(connection, is_bus)
        arguments: tuple[Any, ...] = (unit, "replace", list(every.items()), [])
        try:
            connection.call(*_MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", *arguments)
        except DBusError as error:
            if error.name != f"{_ERROR}UnitExists":
                raise InvalidInput(f"systemd refuses to start {unit}: {error}") from error
            _forget_failure(connection, unit)
            try:
                connection.call(*_MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", *arguments)
            except DBusError as again:
                raise Conflict(f"systemd refuses to start {unit}: {again}") from again
        result = _wait_for_job(connection, unit)
    if result != "done":
        raise NotSupported(
            f"systemd couldn't start {unit}: its job ended as {result!r}; journalctl -u {unit} says more"
        )


def set_properties(unit: str, properties: Properties) -> None:
    """Tell systemd of changed limits, until the unit ends. InvalidInput for what it refuses."""
    if not properties:
        return
    with _connect() as (connection, _):
        try:
            connection.call(*_MANAGER, "SetUnitProperties", "sba(sv)", unit, True, list(properties.items()))
        except DBusError as error:
            raise InvalidInput(f"systemd refuses to change {unit}: {error}") from error


def stop(unit: str) -> None:
    """Stop a unit and wait until it is; no error when it has gone, as a scope has with its last process."""
    with _connect() as (connection, is_bus):
        _listen(connection, is_bus)
        try:
            connection.call(*_MANAGER, "StopUnit", "ss", unit, "replace")
            _wait_for_job(connection, unit)
        except DBusError as error:
            if error.name != f"{_ERROR}NoSuchUnit":
                raise
        _forget_failure(connection, unit)


@contextmanager
def holder() -> Iterator[int]:
    """Give the process id of a child that does nothing, until the end of the block or of this process."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.close(write_end)
            os.read(read_end, 1)  # ends when we die
        finally:
            os._exit(0)
    os.close(read_end)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)  # ours until we have waited for it; a child of ours may hold the write end too
        os.close(write_end)
        os.waitpid(pid, 0)


@contextmanager
def _connect() -> Iterator[tuple[Connection, bool]]:
    """Connect to systemd, by the bus if it is there. NotSupported says what to do without; OSError of a call becomes one too."""
    reasons = []
    for path, is_bus in SOCKETS:
        try:
            connection = Connection(path, is_bus=is_bus)
        except OSError as error:
            reasons.append(f"{path}: {(error.strerror or str(error)).lower()}")
            continue
        with connection:
            try:
                if is_bus and connection.call(*_BUS, "NameHasOwner", "s", _MANAGER[0]) != (True,):
                    reasons.append(f"{path}: systemd isn't on this bus")
                    continue
                yield connection, is_bus
            except DBusError:
                raise
            except OSError as error:
                raise NotSupported(f"systemd at {path} doesn't answer: {error}") from error
        return
    raise NotSupported(
        f"the systemd cgroup driver needs systemd's D-Bus interface, and there is none ({'; '.join(reasons)}); "
        "use the cgroupfs driver: --cgroup-manager cgroupfs, or leave --systemd-cgroup out"
    )


def _listen(connection: Connection, is_bus: bool) -> None:
    """Ask for the signals that tell of jobs; before the job, so that its end isn't missed. Without a bus they come unasked."""
    if is_bus:
        rule = f"type='signal',sender='{_MANAGER[0]}',interface='{_MANAGER[2]}',member='JobRemoved'"
        connection.call(*_BUS, "AddMatch", "s", rule)
        connection.call(*_MANAGER, "Subscribe")


def _wait_for_job(connection: Connection, unit: str) -> str:
    """Wait for the end of the unit's job; give how it ended: done, failed, canceled, timeout, dependency, skipped."""
    while True:
        values: tuple[Any, ...] = connection.signal("JobRemoved")  # number, job, unit, result
        if len(values) == 4 and values[2] == unit:
            return str(values[3])


def _forget_failure(connection: Connection, unit: str) -> None:
    try:
        connection.call(*_MANAGER, "ResetFailedUnit", "s", unit)
    except DBusError:  # it isn't loaded
        return
