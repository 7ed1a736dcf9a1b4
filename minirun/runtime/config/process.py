"""`process`: the program, who runs it, with which privileges and limits.

Owns: config.md, sections "Process", "POSIX process", "Linux Process" and "User".
Leaves to others: scheduling (scheduling.py), everything that depends on the host (runtime/compile, native/).

Where runc and crun differ, as decided here: an entry of `env` without "=" is refused as runc does; a capability that no
kernel has is refused, unless the caller can log a warning, which is what the specification asks for; an ambient
capability that isn't permitted and inheritable too is left out, as the kernel and both runtimes do.
"""

from __future__ import annotations

from ...linux import flags
from .. import capabilities
from ..spec import Capabilities, Process, Rlimit, User
from . import scheduling
from .reader import MAX_ID, UINT32, UINT64, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .reader import Section

_GROUPS_MAX = 65536  # NGROUPS_MAX, setgroups(2)
_SCREEN_MAX = 65535  # struct winsize, ioctl_tty(2)

_RLIMITS = {f"RLIMIT_{name.upper()}": number for number, name in enumerate(flags.RLIMITS)}


def process(section: Section, warn: Callable[[str], None] | None = None) -> Process:
    """Read the object; its keys `args` and `cwd` have to be there. With `warn`, unknown capabilities are only reported."""
    terminal = section.flag("terminal")
    rows, columns = _screen(section) if terminal else (0, 0)
    initial, final = scheduling.affinity(section)
    return Process(
        arguments=_arguments(section),
        environment=environment(section),
        working_directory=section.absolute_path("cwd"),
        user=_user(section),
        capabilities=_capabilities(section, warn),
        rlimits=_rlimits(section),
        terminal=terminal,
        rows=rows,
        columns=columns,
        no_new_privileges=section.flag("noNewPrivileges"),
        oom_score_adjustment=section.number("oomScoreAdj", -1000, 1000),
        apparmor_profile=section.line("apparmorProfile"),
        selinux_label=section.line("selinuxLabel"),
        scheduler=scheduling.scheduler(section),
        io_priority=scheduling.io_priority(section),
        initial_cpus=initial,
        final_cpus=final,
    )


def environment(section: Section) -> tuple[str, ...]:
    """Read `env`: each entry is NAME=value, as environ(7) has it. Of several for one name the last counts, as under runc."""
    entries = section.texts("env")
    for index, entry in enumerate(entries):
        if entry.find("=") < 1:
            raise section.wrong("env", f"must be NAME=value, not {shown(entry)}", index)
    return tuple({entry.partition("=")[0]: entry for entry in entries}.values())


def _arguments(section: Section) -> tuple[str, ...]:
    arguments = section.texts("args")
    if not arguments:
        raise section.wrong("args", "must not be empty: the first entry is the program")
    if not arguments[0]:
        raise section.wrong("args", "must not be empty: it is the program", 0)
    return arguments


def _screen(section: Section) -> tuple[int, int]:
    """Read the size of the terminal. It is ignored without one, as the specification demands."""
    size = section.section("consoleSize")
    if size is None:
        return 0, 0
    return size.required_number("height", 0, _SCREEN_MAX), size.required_number("width", 0, _SCREEN_MAX)


def _user(section: Section) -> User:
    user = section.section("user")
    if user is None:
        return User()
    groups = user.numbers("additionalGids", 0, MAX_ID)
    if len(groups) > _GROUPS_MAX:
        raise user.wrong("additionalGids", f"{len(groups)} groups are more than a process can have ({_GROUPS_MAX})")
    umask = user.number("umask", 0, UINT32)
    return User(
        uid=user.number("uid", 0, MAX_ID) or 0,
        gid=user.number("gid", 0, MAX_ID) or 0,
        additional_gids=groups,
        umask=User().umask if umask is None else umask & 0o777,  # as umask(2) takes it
    )


def _capabilities(section: Section, warn: Callable[[str], None] | None) -> Capabilities:
    sets = section.section("capabilities")
    if sets is None:
        return Capabilities()
    permitted, inheritable = _mask(sets, "permitted", warn), _mask(sets, "inheritable", warn)
    return Capabilities(
        bounding=_mask(sets, "bounding", warn),
        effective=_mask(sets, "effective", warn),
        permitted=permitted,
        inheritable=inheritable,
        ambient=_mask(sets, "ambient", warn) & permitted & inheritable,
    )


def _mask(sets: Section, key: str, warn: Callable[[str], None] | None) -> int:
    bits = 0
    for index, name in enumerate(sets.texts(key)):
        prefix, plain = name[:4].upper(), name[4:].upper()
        if prefix == "CAP_" and plain in capabilities.NUMBERS:
            bits |= 1 << capabilities.NUMBERS[plain]
            continue
        unknown = sets.wrong(key, f"unknown capability: {shown(name)}", index)
        if warn is None:
            raise unknown
        warn(str(unknown))
    return bits


def _rlimits(section: Section) -> tuple[Rlimit, ...]:
    limits: dict[int, Rlimit] = {}
    for item in section.sections("rlimits"):
        resource = item.required_choice("type", _RLIMITS)
        if resource in limits:
            raise item.wrong("type", "this resource has a limit already")
        soft, hard = _limit(item, "soft"), _limit(item, "hard")
        if soft > hard:
            raise item.wrong("soft", f"{soft} is above the hard limit, {hard}")
        limits[resource] = Rlimit(resource=resource, soft=soft, hard=hard)
    return tuple(limits.values())


def _limit(item: Section, key: str) -> int:
    """Give a limit; -1 is the largest number, RLIM_INFINITY, as crun reads it."""
    return item.required_number(key, -1, UINT64) & UINT64
