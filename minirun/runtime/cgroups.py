"""Control groups, version 2: one directory per container, its limits, its end.

Owns: where the tree is, making, limiting, freezing, killing and removing a container's cgroup.
Leaves to others: putting the first process in (clone3 with CLONE_INTO_CGROUP, native/), what limits mean to a user
(engine/spec).

    /sys/fs/cgroup/            the tree of a unified host; on a hybrid host it is mounted elsewhere and has few
    controllers
      minirun/                 controllers enabled for the children, as they are asked for
        monitors/              the monitors of all containers: a limit on a container never hits who watches it
        confined/              has the usual device filter attached, once per boot (runtime/devices says why)
          ID/                  one container; processes only in leaves (the "no internal processes" rule)
        ID/                    one with a device filter of its own, or none: --device, --privileged, a host that refuses

A limit is written or refused with the controller's name, never dropped. Documentation/admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from ..errors import InvalidInput, NotSupported
from ..record import Record
from . import devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .spec import DeviceRule, Resources

DIRECTORY = "minirun"
_PERIOD_MICROSECONDS = 100_000
_GONE = (errno.ENOENT, errno.ENODEV)  # ENODEV: the directory was removed while its file was open
_MAX_CPU_NUMBER = (
    8191  # CONFIG_NR_CPUS is never larger; a list is read number by number, so it has an end (CVE-2018-20699)
)


class Cgroup(Record):
    """A cgroup that was made; `device_filter_refused` says why device access isn't filtered, "" when it is (or needn't be)."""

    path: str
    device_filter_refused: str = ""


class Hierarchy:
    """The cgroup2 tree of this host, and our directory in it. A container's cgroup is named by the container's id."""

    def __init__(self, mountpoint: str, directory: str = DIRECTORY, *, hybrid: bool = False) -> None:
        self.mountpoint = mountpoint
        self.hybrid = hybrid
        self.root = f"{mountpoint}/{directory}"

    @classmethod
    def detect(
        cls, directory: str = DIRECTORY, *, base: str = "/sys/fs/cgroup", mounts: str = "/proc/self/mounts"
    ) -> Hierarchy:
        """Find the tree; NotSupported when there is none. Two look-ups on every usual host, no parsing."""
        if os.path.exists(f"{base}/cgroup.controllers"):
            return cls(base, directory)
        if os.path.exists(f"{base}/unified/cgroup.controllers"):
            return cls(f"{base}/unified", directory, hybrid=True)
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                _, mountpoint, kind, *_ = line.split(" ")
                if kind == "cgroup2":
                    return cls(mountpoint.replace("\\040", " "), directory, hybrid=True)
        raise NotSupported(
            "no cgroup v2 tree is mounted and minirun can't work with version 1: boot with systemd.unified_cgroup_hierarchy=1, "
            "or mount one: mount -t cgroup2 none /sys/fs/cgroup/unified"
        )

    @property
    def monitors(self) -> str:
        """Give the cgroup for monitors; made when it is missing."""
        return _make(f"{self.root}/monitors")

    @property
    def confined(self) -> str:
        """Give the directory whose device filter counts for all cgroups in it; it may not exist yet."""
        return f"{self.root}/confined"

    def path(self, name: str) -> str:
        """Give the directory of a container's cgroup; when there is none, where one without the usual filter would be."""
        check_name(name)
        confined = f"{self.confined}/{name}"
        return confined if os.path.isdir(confined) else f"{self.root}/{name}"

    def why_no_device_filter(self) -> str:
        """Say why this host doesn't filter access to devices, "" when it does. For `info`; attaches the usual filter."""
        return self._confine()

    def controllers(self) -> tuple[str, ...]:
        """Give the controllers that this tree has."""
        return tuple(_read(f"{self.mountpoint}/cgroup.controllers").split())

    def create(self, name: str, resources: Resources) -> Cgroup:
        """Make a cgroup with its limits and its device filter; give it.

        NotSupported names the controller or file that a limit needs and this host lacks; InvalidInput a value that
        the kernel refuses. Nothing stays behind then. A device filter that the host refuses isn't an error: the
        caller takes away what would need it (`device_filter_refused`).
        """
        check_name(name)
        settings = list(settings_of(resources))
        parent, rules, refused = self.root, resources.devices, ""
        if rules == devices.DEFAULT:
            rules = ()
            refused = self._confine()
            parent = self.root if refused else self.confined
        path = _make(f"{parent}/{name}")
        try:
            for file, value, optional in settings:
                self._set(path, file, value, optional)
            return Cgroup(path=path, device_filter_refused=refused or _filter_devices(path, rules))
        except BaseException:
            os.rmdir(path)
            raise

    def update(self, name: str, resources: Resources) -> None:
        """Write the limits of a cgroup that exists; errors as `create`, and the limits before the failing one stay changed."""
        path = self.path(name)
        for file, value, optional in settings_of(resources):
            self._set(path, file, value, optional)

    def kill(self, name: str) -> None:
        """Send SIGKILL to every process in it and beneath, at once. No error when it is gone."""
        _write_if_there(f"{self.path(name)}/cgroup.kill", "1")

    def freeze(self, name: str, frozen: bool = True) -> None:
        """Stop (or go on with) all processes; returns when the kernel says so. TimeoutError after 10 seconds."""
        path = self.path(name)
        _write(f"{path}/cgroup.freeze", "1" if frozen else "0")
        _wait(path, lambda events: events.get("frozen") == ("1" if frozen else "0"), 10.0)

    def is_populated(self, name: str) -> bool:
        """Does any process live in it or beneath?"""
        try:
            return _events(self.path(name)).get("populated") == "1"
        except OSError:
            return False

    def processes(self, name: str) -> list[int]:
        """Give the process ids in it and beneath, as this process sees them."""
        return _processes(self.path(name))

    def remove(self, name: str, timeout_seconds: float = 10.0) -> None:
        """Kill what still lives in it, remove it and what its processes made beneath. Idempotent.

        Waits for the kernel's word (cgroup.events), never sleeps; TimeoutError when a killed process doesn't go.
        """
        path = self.path(name)
        try:
            os.rmdir(path)  # the usual case
            return
        except FileNotFoundError:
            return
        except OSError:
            pass
        try:
            _write_if_there(f"{path}/cgroup.kill", "1")
            _wait(path, lambda events: events.get("populated") == "0", timeout_seconds)
            _remove_tree(path)
        except OSError as error:
            if error.errno not in _GONE:  # removed by somebody else meanwhile
                raise

    def destroy(self, timeout_seconds: float = 10.0) -> None:
        """Remove our directory, when no container is left in it; OSError (EBUSY) otherwise. For uninstallation and tests.

        Waits for monitors that are about to leave.
        """
        if os.path.isdir(self.root):
            _wait(self.root, lambda events: events.get("populated") == "0", timeout_seconds)
        for path in (self.confined, f"{self.root}/monitors", self.root):
            with suppress(FileNotFoundError):
                os.rmdir(path)

    def _confine(self) -> str:
        """See to it that `confined` exists with the usual device filter; give why the host refuses, or ""."""
        try:
            if os.path.isdir(self.confined) and devices.is_attached(self.confined):
                return ""
            devices.attach(_make(self.confined), devices.DEFAULT)  # twice, when two do this at once: both filters agree
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def _set(self, path: str, file: str, value: str, optional: bool) -> None:
        """Write one limit; enable its controller when its file isn't there yet."""
        controller = file.partition(".")[0]
        for attempt in (1, 2):
            try:
                _write(f"{path}/{file}", value)
                return
            except FileNotFoundError:
                if optional and attempt == 2:
                    return
                if attempt == 2:
                    raise NotSupported(f"this kernel has no {file} in the cgroup controller {controller!r}") from None
                if optional and controller not in self.controllers():
                    return
                self._enable(controller, path)
            except OSError as error:
                why = (error.strerror or "").lower()
                raise InvalidInput(f"write {value!r} to {file} of the container's cgroup: {why}") from error

    def _enable(self, controller: str, path: str) -> None:
        """Enable a controller in all directories above `path`; NotSupported says which one this host lacks and why."""
        if controller not in self.controllers():
            where = " (a hybrid host: it is bound to cgroup v1)" if self.hybrid else ""
            raise NotSupported(
                f"this host can't enforce the limit: its cgroup v2 tree has no {controller!r} controller{where}; "
                "leave the option out, or boot with systemd.unified_cgroup_hierarchy=1"
            )
        directory = self.mountpoint
        for component in path.removeprefix(f"{self.mountpoint}/").split("/"):
            try:
                _write(f"{directory}/cgroup.subtree_control", f"+{controller}")
            except OSError as error:
                why = (error.strerror or "").lower()
                raise NotSupported(
                    f"enable the cgroup controller {controller!r} in {directory}: {why}; no process may live there itself"
                ) from error
            directory += f"/{component}"


def check_name(name: str) -> None:
    """Refuse a name that would lead out of our directory or mean something else there; InvalidInput."""
    if not name or name in (".", "..", "monitors", "confined") or "/" in name or "\0" in name or len(name) > 255:
        raise InvalidInput(f"{name[:64]!r} can't be the name of a cgroup")


def settings_of(resources: Resources) -> Iterator[tuple[str, str, bool]]:
    """Give (file, value, optional) for each limit; optional ones may be missing from the kernel. InvalidInput for nonsense."""
    memory, cpu = resources.memory, resources.cpu
    # Before the limit itself, so that a process never sees the limit without its swap limit.
    if memory.swap is not None:
        yield "memory.swap.max", _swap(memory.limit, memory.swap), not memory.swap_required
    if memory.limit is not None:
        yield "memory.max", _maximum(memory.limit), False
    if memory.reservation is not None:
        yield "memory.low", _maximum(memory.reservation), False
    if cpu.shares:
        yield "cpu.weight", str(weight_of(cpu.shares)), False
    if cpu.quota is not None or cpu.period is not None:
        quota = "max" if not cpu.quota or cpu.quota < 0 else str(cpu.quota)
        yield "cpu.max", f"{quota} {cpu.period or _PERIOD_MICROSECONDS}", False
    if cpu.cpus:
        check_cpus(cpu.cpus)
        yield "cpuset.cpus", cpu.cpus, False
    if cpu.mems:
        parse_cpu_list(cpu.mems)
        yield "cpuset.mems", cpu.mems, False
    if resources.pids_limit is not None:
        yield "pids.max", _maximum(resources.pids_limit or -1), resources.pids_limit <= 0
    for file, value in resources.unified.items():
        if "/" in file or file.startswith("cgroup.") or "." not in file:
            raise InvalidInput(f"{file!r} isn't the file of a cgroup controller")
        yield file, value, False


def weight_of(shares: int) -> int:
    """Turn cgroup v1 CPU shares (2 to 262144, 1024 usual) into a v2 weight (1 to 10000, 100 usual).

    The curve through (2, 1), (1024, 100) and (262144, 10000) that crun and runc have agreed on: both ends and the
    default of one scale meet those of the other.
    """
    from math import ceil, log2

    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    exponent = log2(shares)
    return ceil(10 ** ((exponent * exponent + 125 * exponent) / 612 - 7 / 34))


def parse_cpu_list(text: str) -> frozenset[int]:
    """Read a list as "0-3,7"; InvalidInput for anything else, for numbers no kernel has, for ranges that run backwards."""
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not (_is_number(first) and (_is_number(last) if dash else True)):
            raise InvalidInput(f"{text[:64]!r} isn't a list of CPUs such as 0-3,7")
        low, high = int(first), int(last or first)
        if low > high or high > _MAX_CPU_NUMBER:
            raise InvalidInput(f"{part!r} isn't a range of CPUs: from the lower to the higher, up to {_MAX_CPU_NUMBER}")
        numbers.update(range(low, high + 1))
    return frozenset(numbers)


def check_cpus(text: str, online: str = "/sys/devices/system/cpu/online") -> None:
    """Refuse CPUs that this host doesn't have: the kernel would take the list and run the container elsewhere."""
    available = _read(online).strip()
    if not parse_cpu_list(text) <= parse_cpu_list(available):
        raise InvalidInput(f"Requested CPUs are not available - requested {text}, available: {available}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10


def _maximum(value: int) -> str:
    return "max" if value < 0 else str(value)


def _swap(limit: int | None, swap: int) -> str:
    """The specification counts memory and swap together, cgroup v2 swap alone."""
    if swap < 0 or limit is None or limit < 0:
        return "max"
    if swap < limit:
        raise InvalidInput("the limit of memory and swap together can't be less than that of memory")
    return str(swap - limit)


def _filter_devices(path: str, rules: Sequence[DeviceRule]) -> str:
    """Attach the device filter; give why the host doesn't let us, or ""."""
    if not rules or rules == devices.EVERYTHING:
        return ""
    try:
        devices.attach(path, rules)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _make(path: str) -> str:
    try:
        os.mkdir(path, 0o755)
    except FileExistsError:
        pass
    except FileNotFoundError:
        os.makedirs(path, mode=0o755, exist_ok=True)
    return path


def _processes(path: str) -> list[int]:
    try:
        found = [int(line) for line in _read(f"{path}/cgroup.procs").split()]
        for child in _children(path):
            found += _processes(child)
    except OSError:
        return []  # it has gone, and its processes with it
    return found


def _children(path: str) -> list[str]:
    return [entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]


def _remove_tree(path: str) -> None:
    for child in _children(path):
        _remove_tree(child)
    with suppress(FileNotFoundError):
        os.rmdir(path)


def _wait(path: str, done: Callable[[dict[str, str]], bool], timeout_seconds: float) -> None:
    """Wait until cgroup.events satisfies `done`: the kernel raises POLLPRI on the file at each change."""
    import select
    import time

    with open(f"{path}/cgroup.events", "rb", buffering=0) as file:
        poll = select.poll()
        poll.register(file, select.POLLPRI)
        deadline = time.monotonic() + timeout_seconds
        while True:
            if done(_parse_events(os.pread(file.fileno(), 4096, 0))):
                return
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{path}: its processes didn't come to rest within {timeout_seconds:g} s")
            poll.poll(left * 1000)


def _events(path: str) -> dict[str, str]:
    return _parse_events(_read(f"{path}/cgroup.events").encode())


def _parse_events(content: bytes) -> dict[str, str]:
    words = content.decode().split()
    return dict(zip(words[::2], words[1::2], strict=False))


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = []
        while piece := os.read(fd, 1 << 16):
            pieces.append(piece)
        return b"".join(pieces).decode()
    finally:
        os.close(fd)


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _write_if_there(path: str, value: str) -> None:
    try:
        _write(path, value)
    except OSError as error:
        if error.errno not in _GONE:
            raise


class ContainerCgroup:
    """The cgroup of one container of the OCI runtime, wherever it lies."""

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def place(cls, hierarchy: Hierarchy, cgroups_path: str, container_id: str, driver: str) -> ContainerCgroup:
        if driver == "disabled":
            return cls("")
        return cls(f"{hierarchy.mountpoint}/{(cgroups_path or container_id).lstrip('/')}")

    def create(self, resources: Resources) -> str:
        os.makedirs(self.path, exist_ok=True)
        for file, value, optional in settings_of(resources):
            Hierarchy._set(Hierarchy("/sys/fs/cgroup/unified"), self.path, file, value, optional)
        return _filter_devices(self.path, resources.devices)

    def freeze(self, frozen: bool) -> None:
        _write(f"{self.path}/cgroup.freeze", "1" if frozen else "0")
        _wait(self.path, lambda events: events.get("frozen") == ("1" if frozen else "0"), 10.0)

    def is_frozen(self) -> bool:
        try:
            return bool(self.path) and _events(self.path).get("frozen") == "1"
        except OSError:
            return False

    def is_populated(self) -> bool:
        try:
            return bool(self.path) and _events(self.path).get("populated") == "1"
        except OSError:
            return False

    def kill(self, signal: int = 9) -> None:
        if signal == 9:
            _write_if_there(f"{self.path}/cgroup.kill", "1")
        else:
            for pid in self.processes():
                os.kill(pid, signal)

    def processes(self) -> list[int]:
        return _processes(self.path)

    def remove(self) -> None:
        with suppress(FileNotFoundError):
            _write_if_there(f"{self.path}/cgroup.kill", "1")
            _wait(self.path, lambda events: events.get("populated") == "0", 10)
            _remove_tree(self.path)
