"""What a worker takes on of its caller before it does anything: afterwards it is, for whoever looks, the process that was called.

Owns: the order and the calls. Leaves to others: what has to be equal beforehand (caller), what only C can do (native/adopt.c).
Whatever can't be taken on exactly raises Rejected or OSError, and the command is run cold: nothing has been done yet.
"""

from __future__ import annotations

import _signal
import fcntl
import io
import os
import sys
import time
from _stat import S_ISDIR

from .._native import lib
from ..light import suppress
from ..program import adopt_environment
from .request import Rejected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .caller import Facts, Peer
    from .request import Request

# Written where they differ; proc_pid_oom_score_adj(5), proc_pid_timerslack_ns(5), proc_pid_coredump_filter(5), audit's login uid
SETTINGS = ("oom_score_adj", "timerslack_ns", "coredump_filter", "loginuid")
CODING = "UTF-8"
HANDLED = (_signal.SIGCHLD, _signal.SIGTERM)  # by the preloaded process
_VALID = _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}  # without those that the C library needs
_C_NAMES = ("C", "POSIX")


def adopt(request: Request, peer: Peer, facts: Facts, directory: int) -> None:
    """Take it all on. Raises Rejected, OSError; then this process is good for nothing but ending."""
    for name in SETTINGS:
        take_setting(peer.pid, name)
    _take_groups(facts)
    _check(lib.mr_adopt(peer.pid), "limits and scheduling")
    os.umask(int(facts.status[b"Umask"], 8))
    os.fchdir(directory)
    _take_environment(request, peer.pid)
    _take_locale()
    time.tzset()
    _take_signals(int(facts.status[b"SigIgn"], 16), request.blocked)
    sys.argv = [os.fsdecode(word) for word in (request.path, *request.words)]


def place(descriptors: Mapping[int, int], keep: Sequence[int], highest: int) -> list[int]:
    """Give each descriptor the number that its caller knows it by: `descriptors` leads from those numbers to ours.

    All others of this process, none of which is above `highest`, are closed, but for `keep`, which are moved out of the way: gives
    their new numbers. Raises OSError where there is no room for so many.
    """
    above = max((*descriptors, highest, 2)) + 1
    kept = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, above) for number in keep]
    moved = {number: fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, above) for number, ours in descriptors.items()}
    os.closerange(0, above)
    for number, ours in moved.items():
        os.dup2(ours, number)
        os.close(ours)
    return kept


def make_streams() -> None:
    """Make Python's standard streams ahead, while nobody waits for a command. What is taken to be seekable has to be: on a pipe.

    Descriptors 0, 1 and 2 are that pipe's from then on.
    """
    reader, writer = os.pipe()
    try:
        for number in range(3):
            os.dup2(writer if number else reader, number)
            _streams[number] = _stream(number)
    finally:
        os.close(reader)
        os.close(writer)


def open_streams() -> None:
    """Give Python its standard streams anew, as it makes them when it starts: None where there is no descriptor.

    Raises Rejected for a directory, which is its end.
    """
    errors = "surrogateescape" if _is_plain_locale() else "strict"
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = None
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            pass
        else:
            if S_ISDIR(mode):
                raise Rejected("a directory as a stream")
            stream = _streams.pop(number, None) or _stream(number)
            stream.reconfigure(
                errors="backslashreplace" if number == 2 else errors, line_buffering=number == 2 or os.isatty(number)
            )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


_streams: dict[int, io.TextIOWrapper] = {}  # made ahead


def _stream(number: int) -> io.TextIOWrapper:
    raw = io.FileIO(number, "w" if number else "r", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw) if number else io.BufferedReader(raw), encoding="utf-8")


def _check(result: int, what: str) -> None:
    if result < 0:
        raise OSError(-result, f"{what}: {os.strerror(-result)}")


_settings: dict[str, bytes] = {}  # of this process, where they were read ahead


def remember_settings() -> None:
    """Read our own SETTINGS, while nobody waits for a command."""
    for name in SETTINGS:
        with suppress(OSError):  # not in this kernel
            _settings[name] = _read(f"/proc/self/{name}")


def take_setting(pid: int, name: str) -> None:
    """Take on one of SETTINGS. Raises OSError where that takes more rights than are there."""
    try:
        theirs = _read(f"/proc/{pid}/{name}")
    except OSError:  # not in this kernel
        return
    if theirs != (_settings.get(name) or _read(f"/proc/self/{name}")):
        write_setting(name, theirs)


def write_setting(name: str, value: bytes) -> None:
    """Change one of SETTINGS to what was read of it. Raises OSError."""
    if name == "coredump_filter":  # read as a hexadecimal number without a prefix, written with one
        value = b"0x" + value
    descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value)
    finally:
        os.close(descriptor)


def _take_groups(facts: Facts) -> None:
    """A login of root's has groups, a service has none: to root, all the same to the kernel, but it is shown. setgroups(2)"""
    theirs = [int(word) for word in facts.status[b"Groups"].split()]
    if theirs != os.getgroups():
        os.setgroups(theirs)


def _read(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)


def _take_environment(request: Request, pid: int) -> None:
    """The C library's environment is the caller's to the byte; Python's is what it makes of it when it starts: of two variables
    with one name the first, and none without a name's end. $LISTEN_PID means the process that was called: sd_listen_fds(3)."""
    strings = request.environment.split(b"\0")
    listens = b"LISTEN_PID=%d" % pid
    if listens in strings:
        strings = [b"LISTEN_PID=%d" % os.getpid() if variable == listens else variable for variable in strings]
    adopt_environment([variable for variable in strings if variable])
    variables: dict[bytes, bytes] = {}
    for variable in strings[:-1]:
        name, equals, value = variable.partition(b"=")
        if equals:
            variables.setdefault(name, value)
    _check(lib.mr_set_environment(b"\0".join(strings), request.variable_count), "environment")
    data = os.environ._data  # type: ignore[attr-defined]  # os.environb's, too; through the front each is a call of putenv(3)
    data.clear()
    data.update(variables)


def _take_locale() -> None:
    """Repeat what the interpreter does with the locale when it starts; Rejected for one that isn't UTF-8. PEP 538, PEP 540."""
    from _locale import CODESET, LC_CTYPE, nl_langinfo, setlocale
    from _locale import Error as LocaleError  # type: ignore[attr-defined]

    try:
        name = setlocale(LC_CTYPE, "")
    except LocaleError:  # it isn't installed
        name = setlocale(LC_CTYPE, "C")
    if name in _C_NAMES:
        if not os.environ.get("LC_ALL"):
            _coerce(setlocale, LC_CTYPE, LocaleError)
    elif nl_langinfo(CODESET) != CODING:
        raise Rejected("its locale")


def _coerce(setlocale: object, category: int, error: type[Exception]) -> None:
    for target in ("C.UTF-8", "C.utf8", "UTF-8"):
        try:
            setlocale(category, target)  # type: ignore[operator]
        except error:
            continue
        os.environ["LC_CTYPE"] = target
        return


def _is_plain_locale() -> bool:
    from _locale import LC_CTYPE, setlocale

    return str(setlocale(LC_CTYPE)) in (*_C_NAMES, "C.UTF-8", "C.utf8", "UTF-8")


def _take_signals(ignored: int, blocked: int) -> None:
    """What was ignored stays so; the interpreter itself ignores two and turns SIGINT into an exception, unless that is ignored.

    Nothing else has to be done: the preloaded process has all as they are by default, but for those that it handles.
    """
    for number in HANDLED:
        _signal.signal(number, _signal.SIG_DFL)
    ignored |= sum(1 << (number - 1) for number in (_signal.SIGPIPE, _signal.SIGXFSZ))
    for number in _VALID:
        if ignored >> (number - 1) & 1:
            _signal.signal(number, _signal.SIG_IGN)
    if not ignored >> (_signal.SIGINT - 1) & 1:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    _check(lib.mr_set_signal_mask(blocked), "signals")
