"""System calls that Python's os module lacks, as functions that raise OSError with the call's name and its path.

Owns: the door to the compiled core for everything but plans. Leaves to others: why a call is made; plans (linux/plan)
and the processes that walk them (monitor/launch).
"""

from __future__ import annotations

import os

from .._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Text = str | bytes


_ENOSYS = 38
_AT_FDCWD = -100  # the working directory: what an absolute path doesn't need
_PF_EXITING = 0x4  # include/linux/sched.h


def reason(number: int) -> str:
    """Say why a call has failed. Where the kernel lacks it, ENOSYS, that is which calls it lacks, of those that minirun needs."""
    if number != _ENOSYS:
        return os.strerror(number)
    lacking = _lacking()
    if not lacking:
        return "this kernel can't do it"
    if len(lacking) == 1:
        what = f"the system call {lacking[0]} (or a seccomp filter hides it)"
    else:
        what = f"the system calls {', '.join(lacking[:-1])} and {lacking[-1]} (or a seccomp filter hides them)"
    return f"this kernel lacks {what}; minirun needs Linux 5.15 or newer"


def reason_within(number: int) -> str:
    """As `reason`, for the middle of a sentence."""
    text = reason(number)
    return text[:1].lower() + text[1:]


def _lacking() -> list[str]:
    names: list[str] = []
    while (name := lib.mr_lacking_call(len(names))) != ffi.NULL:
        names.append(ffi.string(name).decode())
    return names


def _checked(result: int, call: str, path: Text | None = None) -> int:
    if result >= 0:
        return result
    message = f"{call}: {reason(-result)}"
    if path is None:
        raise OSError(-result, message)
    raise OSError(-result, message, os.fsdecode(path))


def openat2(directory_fd: int, path: Text, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """Open a path with RESOLVE_* rules; the descriptor is close-on-exec. openat2(2), Linux 5.6."""
    return _checked(lib.mr_openat2(directory_fd, os.fsencode(path), flags, mode, resolve), "openat2", path)


def spawn(
    executable: int | Text,
    argv: Sequence[Text],
    environment: Mapping[str, str] | Sequence[Text],
    descriptors: Mapping[int, int] | None = None,
    cgroup_fd: int = -1,
    *,
    orphan: bool = False,
) -> int:
    """Start a program without a Python fork and give its process id; the caller has to wait for it, unless it is an `orphan`:
    then init does, and 0 is given.

    `descriptors` maps the child's numbers to ours; 0, 1, 2 are inherited when they aren't named, all others are closed.
    The child is born in the cgroup of `cgroup_fd` (an open directory). Blocks until the program is executing; when it
    can't be executed, that error is raised and no child is left. A script is executed by its path only.
    clone3(2) with CLONE_VFORK, execveat(2).
    """
    descriptors = descriptors or {}
    if hasattr(environment, "items"):
        environment = [f"{name}={value}" for name, value in environment.items()]
    arguments, keep_arguments = _strings(argv)
    variables, keep_variables = _strings(environment)
    targets = ffi.new("int[]", list(descriptors.keys()))
    sources = ffi.new("int[]", list(descriptors.values()))
    opened, path, call = -1, b"", "execve"
    if isinstance(executable, int):
        opened, call = executable, "start it (clone3, close_range, execveat)"
    else:
        path = os.fsencode(executable)
    pid = lib.mr_launch(opened, path, arguments, variables, targets, sources, len(descriptors), cgroup_fd, orphan)
    del keep_arguments, keep_variables  # they had to live until here
    return _checked(pid, call, argv[0])


def netlink_request(protocol: int, request: bytes, capacity: int = 65536) -> bytes:
    """Send one netlink request and give the whole answer, all parts of a dump; the kernel's error is raised.

    OSError(EMSGSIZE) when the answer is longer than `capacity`.
    """
    answer = ffi.new("char[]", capacity)
    length = _checked(lib.mr_netlink_request(protocol, request, len(request), answer, capacity), "netlink")
    return bytes(ffi.buffer(answer, length))


def process_start_time(pid: int) -> int | None:
    """Give the start time of a process in clock ticks since boot, or None when there is no such process.

    Process id and start time together name a process for as long as the machine is up. proc(5), field 22 of stat.
    """
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        text = os.read(descriptor, 4096)
    except ProcessLookupError:  # it ended between open and read
        return None
    finally:
        os.close(descriptor)
    # The second field is the command's name, which may hold spaces and parentheses of its own.
    return int(text[text.rindex(b")") + 2 :].split()[19])


def is_exiting(pid: int) -> bool:
    """Say whether a process is on its way out: nothing of its own runs any more. proc(5), field 9 of stat."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return bool(int(text[text.rindex(b")") + 2 :].split()[6]) & _PF_EXITING)


def require_openat2() -> None:
    """Raise OSError on a kernel without openat2(2): no tree could be removed again, so none is made. Linux 5.6."""
    os.close(openat2(_AT_FDCWD, "/", os.O_PATH))


def pidfd_open(pid: int) -> int:
    """Give a pidfd; ProcessLookupError when there is no such process. pidfd_open(2), Linux 5.3."""
    return _checked(lib.mr_pidfd_open(pid), "pidfd_open")


def pidfd_open_verified(pid: int, start_time: int) -> int | None:
    """Give a pidfd of exactly that process, or None when it has ended, even if another one has its number now."""
    try:
        descriptor = pidfd_open(pid)
    except ProcessLookupError:
        return None
    # Looked at after the open: if the process of this number has the right start time now, it had it then.
    if process_start_time(pid) != start_time:
        os.close(descriptor)
        return None
    return descriptor


def pidfd_send_signal(fd: int, signal: int) -> None:
    """Send a signal to the process of a pidfd; ProcessLookupError when it has ended and was waited for."""
    _checked(lib.mr_pidfd_send_signal(fd, signal), "pidfd_send_signal")


def read_only_executable(path: Text) -> int:
    """Open a program through a private read-only mount of it, to execute it by `spawn`.

    A container that gets hold of it through /proc/PID/exe can't write to the file (CVE-2019-5736). open_tree(2) and
    mount_setattr(2) of Linux 5.12; needs CAP_SYS_ADMIN. The mount is in nobody's namespace and ends with its last user.
    """
    return _checked(lib.mr_read_only_clone(os.fsencode(path)), "open_tree", path)


def user_namespace(uid_map: str, gid_map: str = "") -> int:
    """Make a user namespace without processes and give its descriptor; without a map of its own, groups have that of users.

    user_namespaces(7).
    """
    return _checked(lib.mr_user_namespace(uid_map.encode(), (gid_map or uid_map).encode()), "make a user namespace")


def check_id_mapping(path: Text, namespace: int) -> None:
    """Raise OSError when a mount of what lies at `path` can't show its files under the ids of a user namespace.

    EINVAL: its file system, or the kernel, has no ID-mapped mounts. mount_setattr(2), Linux 5.12. Nothing is left.
    """
    _checked(lib.mr_id_map_check(os.fsencode(path), namespace), "mount_setattr", path)


def _strings(texts: Sequence[Text]) -> tuple[object, list[object]]:
    """Give a NULL-terminated char*[] and what has to stay alive with it."""
    encoded = [os.fsencode(text) for text in texts]
    if any(b"\0" in text for text in encoded):
        raise ValueError("an argument or a variable holds a NUL byte")
    items = [ffi.new("char[]", text) for text in encoded]
    return ffi.new("char *[]", [*items, ffi.NULL]), items


def memory_file(name: str, data: bytes) -> int:
    """Give a file that exists in memory only and can't be changed any more. memfd_create(2), fcntl(2) on seals."""
    import fcntl

    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def held_capabilities() -> int:
    """Give the capabilities that a child of this process can still hold, a bit each. capget(2), PR_CAPBSET_READ."""
    return int(lib.mr_held_capabilities())


def mount(source: Text, target: Text, kind: Text, flags: int, options: Text) -> None:
    """Mount a file system, or with MS_BIND a directory; the options are its own, as one text. mount(2)."""
    texts = map(os.fsencode, (source, target, kind))
    _checked(lib.mr_volume_mount(*texts, flags, os.fsencode(options)), "mount", target)


def bind(
    source: Text, target: Text, *, recursive: bool, attributes: int, cleared: int, propagations: Sequence[int]
) -> None:
    """Mount a directory on another one, with MOUNT_ATTR_* and then MS_* propagations, in one step: nobody sees it without."""
    places = os.fsencode(source), os.fsencode(target)
    _checked(
        lib.mr_volume_bind(*places, recursive, attributes, cleared, propagations, len(propagations)), "mount", target
    )


def unmount(target: Text) -> bool:
    """Take the topmost mount at `target` out of the tree; its users keep it. False when there is none. umount2(2), MNT_DETACH."""
    import errno

    result = lib.mr_volume_unmount(os.fsencode(target))
    if result in (-errno.EINVAL, -errno.ENOENT):
        return False
    _checked(result, "umount2", target)
    return True


def set_subreaper(reaps: bool) -> None:
    """Become (or stop being) the parent of orphans among our descendants. PR_SET_CHILD_SUBREAPER, prctl(2)."""
    _checked(lib.mr_set_subreaper(reaps), "prctl")
