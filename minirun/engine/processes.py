"""The columns of `ps -ef`, read from /proc: for a host without ps.

Owns: these eight columns. Leaves to others: whose processes (engine/top). proc_pid_stat(5), ps(1).
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TITLES = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")
_DAY_SECONDS = 24 * 3600
# Fields of /proc/PID/stat after the command, which is in parentheses and may hold anything: state is the first.
_PPID, _TTY, _USER_TIME, _SYSTEM_TIME, _START = 1, 4, 11, 12, 19
_PTS_MAJOR, _PTS_MAJORS = 136, 8


def of_proc(pids: Sequence[int]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Give headings and rows; a process that ends meanwhile is left out."""
    now = time.time()
    with open("/proc/uptime", encoding="ascii") as file:
        uptime = float(file.read().split()[0])
    rows = []
    for pid in sorted(pids):
        try:
            rows.append(_row(pid, now, uptime))
        except OSError:  # it has ended
            continue
    return TITLES, tuple(rows)


def _row(pid: int, now: float, uptime: float) -> tuple[str, ...]:
    owner = os.stat(f"/proc/{pid}").st_uid
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="surrogateescape") as file:
        head, _, rest = file.read().rpartition(")")
    fields = rest.split()
    ticks = os.sysconf("SC_CLK_TCK")
    used = (int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])) / ticks
    age = max(uptime - int(fields[_START]) / ticks, 0.0)
    share = int(min(used / age, 0.99) * 100) if age > 0 else 0
    return (
        _user(owner), str(pid), fields[_PPID], str(share), _since(now - age, now), _terminal(int(fields[_TTY])),
        _clock(int(used)), _command(pid, head.partition("(")[2]),
    )  # fmt: skip


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _since(then: float, now: float) -> str:
    """Say when a process began: the time, or the day when that is long ago."""
    moment = time.localtime(then)
    return time.strftime("%H:%M" if now - then < _DAY_SECONDS else "%b%d", moment)


def _terminal(number: int) -> str:
    major, minor = os.major(number), os.minor(number)
    if _PTS_MAJOR <= major < _PTS_MAJOR + _PTS_MAJORS:
        return f"pts/{(major - _PTS_MAJOR) * 256 + minor}"
    return f"tty{minor}" if major == 4 and minor < 64 else "?"


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _command(pid: int, name: str) -> str:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read().rstrip(b"\0").split(b"\0")
    text = b" ".join(words).decode("utf-8", "surrogateescape")
    return " ".join(text.split()) or f"[{name}]"
