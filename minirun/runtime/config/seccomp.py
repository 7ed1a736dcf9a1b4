"""Seccomp profiles: `linux.seccomp`, and what Docker's profile files have in common with it.

Owns: names of actions, flags, architectures and operators, and what goes with what.
Leaves to others: the filter (runtime/seccomp), conditions of Docker's files (runtime/seccomp_file).

Names of system calls are not checked: a profile is written for many kernels and machines. Without `flags` the filter
gets SPEC_ALLOW, as runc has it; with an empty array it gets none.

`SCMP_ACT_NOTIFY` needs somebody who answers. As the default action it would hold the process before anybody can be told
of it, and for `write` it would hold the one who tells: both are refused, as runc does. So is `sendmsg`, by which we tell.
The socket is `listenerPath` or, as crun has it, the annotation `run.oci.seccomp.receiver`.
"""

from __future__ import annotations

from ..seccomp import ACTIONS, FLAGS, NOTIFY, OPERATORS, WITH_ERRNO, notifies
from ..spec import Seccomp, SyscallArgument, SyscallRule
from .reader import UINT64, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .reader import Section

RECEIVER = "run.oci.seccomp.receiver"
_TELLING = ("write", "sendmsg")
_ERRNO_MAX = 0xFFFF  # SECCOMP_RET_DATA
_ARGUMENTS = 6

ARCHITECTURES = (
    *("SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPS"),
    *("SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32"),
    *("SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_S390", "SCMP_ARCH_S390X"),
    *("SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K"),
    *("SCMP_ARCH_SH", "SCMP_ARCH_SHEB"),
)


def seccomp(section: Section, annotations: Mapping[str, str]) -> Seccomp:
    """Read `linux.seccomp`."""
    found = profile(section, section.sections("syscalls"))
    path, metadata = section.text("listenerPath"), section.text("listenerMetadata")
    if metadata and not path:
        raise section.wrong("listenerMetadata", "needs a listenerPath")
    if not notifies(found):
        return found  # the specification: without SCMP_ACT_NOTIFY the path is ignored
    path = path or annotations.get(RECEIVER, "")
    if not path:
        raise section.wrong("listenerPath", f"is missing: {NOTIFY} needs a socket that gets the descriptor")
    return found.replace(listener_path=path, listener_metadata=metadata)


def profile(
    section: Section, rules: Iterable[Section], names_of: Callable[[Section], tuple[str, ...]] | None = None
) -> Seccomp:
    """Read a profile without its listener. `rules` are those that apply; `names_of` gives the system calls of one."""
    action = _action(section, "defaultAction")
    if action == NOTIFY:
        raise section.wrong("defaultAction", f"{NOTIFY} can't be the default action")
    return Seccomp(
        default_action=action,
        default_errno=_errno(section, "defaultErrnoRet", action),
        architectures=names(section, "architectures", ARCHITECTURES),
        flags=names(section, "flags", FLAGS) if section.has("flags") else ("SECCOMP_FILTER_FLAG_SPEC_ALLOW",),
        syscalls=tuple([_rule(item, (names_of or _names)(item)) for item in rules]),
    )


def names(section: Section, key: str, known: Iterable[str]) -> tuple[str, ...]:
    """Read an array of names, all of which have to be known."""
    found = section.texts(key)
    for index, name in enumerate(found):
        if name not in known:
            raise section.wrong(key, f"must be one of {' '.join(known)}, not {shown(name)}", index)
    return found


def _names(item: Section) -> tuple[str, ...]:
    return item.texts("names")


def _rule(item: Section, calls: tuple[str, ...]) -> SyscallRule:
    if not calls:
        raise item.wrong("names", "must not be empty")
    action = _action(item, "action")
    for call in _TELLING:
        if action == NOTIFY and call in calls:
            raise item.wrong("names", f"{NOTIFY} can't be for {call}", calls.index(call))
    return SyscallRule(
        names=calls,
        action=action,
        errno=_errno(item, "errnoRet", action),
        arguments=tuple([_argument(argument) for argument in item.sections("args")]),
    )


def _argument(item: Section) -> SyscallArgument:
    operator = item.required_text("op")
    if operator not in OPERATORS:
        raise item.wrong("op", f"must be one of {' '.join(OPERATORS)}, not {shown(operator)}")
    return SyscallArgument(
        index=item.required_number("index", 0, _ARGUMENTS - 1),
        value=item.required_number("value", 0, UINT64),
        value_two=item.number("valueTwo", 0, UINT64) or 0,
        operator=operator,
    )


def _action(section: Section, key: str) -> str:
    action = section.required_text(key)
    if action not in ACTIONS:
        raise section.wrong(key, f"must be one of {' '.join(ACTIONS)}, not {shown(action)}")
    return action


def _errno(section: Section, key: str, action: str) -> int | None:
    errno = section.number(key, 0, _ERRNO_MAX)
    if errno is not None and action not in WITH_ERRNO:
        raise section.wrong(key, f"{action} has no error number")
    return errno
