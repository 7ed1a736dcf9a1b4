"""The last part of every plan: from a process in its place to the program, privileges falling on the way.

Owns: the steps that a container's first process and a further one share, and their order (`TAIL`).
Leaves to others: where the process is (namespaces, mounts, network).
"""

from __future__ import annotations

import os

from ...errors import NotSupported
from ...linux import flags, plan
from .. import capabilities, seccomp
from ..spec import Seccomp
from .context import GATE, LIMITS_DUE, LIMITS_RAISED, PARAMETERS, ROOT, VERDICT, Placement, Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...linux.plan import Operation
    from ..spec import Hook, Rlimit
    from .context import Context, Step

_SIGKILL = 9
_ADMINISTRATOR = capabilities.mask(["SYS_ADMIN"])
_RLIMIT_MEMLOCK, _RLIMIT_NOFILE = flags.RLIMITS.index("memlock"), flags.RLIMITS.index("nofile")
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _session(context: Context) -> Iterator[Operation]:
    """Unless it was made before the root was changed."""
    if isinstance(context.place, Target) or context.has_own_mounts:
        yield from session(context)


def session(context: Context) -> Iterator[Operation]:
    """A session of its own: nothing typed into the caller's terminal from inside (TIOCSTI, CVE-2017-5226)."""
    yield plan.session()
    if context.spec.process.terminal:
        yield plan.terminal(ROOT, context.place.rows, context.place.columns)
    if context.place.keyring:
        # A kernel without keys has nothing to share; any other failure would leave us the host's keyring.
        join = plan.keyring(context.place.keyring)
        yield join if os.path.exists("/proc/keys") else plan.optional(join)


def _limits(context: Context) -> Iterator[Operation]:
    """While privileges are left: raising a limit needs CAP_SYS_RESOURCE."""
    process = context.spec.process
    # In a user namespace the process isn't the owner of its own file any more: there it has come from the caller.
    if process.oom_score_adjustment is not None and not context.in_user_namespace:
        yield plan.oom_score(process.oom_score_adjustment)
    if not _raises_from_outside(context):
        for limit in process.rlimits:
            if limit.resource != _RLIMIT_NOFILE:
                yield _limit(context, limit)


def _last_limits(context: Context) -> Iterator[Operation]:
    """When nothing is opened any more: making a container can take more files than its program may open."""
    if _raises_from_outside(context):
        yield plan.sync(LIMITS_DUE)
        yield plan.sync(LIMITS_RAISED)
    for limit in context.spec.process.rlimits:
        if limit.resource == _RLIMIT_NOFILE or _raises_from_outside(context):
            yield _limit(context, limit)


def _limit(context: Context, limit: Rlimit) -> Operation:
    """Engines ask for more locked memory than many hosts let them have, and all runtimes go on without."""
    operation = plan.rlimit(limit.resource, limit.soft, limit.hard)
    lenient = not context.is_monitored and limit.resource == _RLIMIT_MEMLOCK
    return plan.optional(operation) if lenient else operation


def limits_from_outside(context: Context) -> Iterator[Operation]:
    """The parent's part: raising a limit takes the host's CAP_SYS_RESOURCE, which root of a user namespace hasn't got.

    What is refused here is refused to the child too, unless it is no raise.
    """
    if _raises_from_outside(context):
        yield plan.sync(LIMITS_DUE)
        for limit in context.spec.process.rlimits:
            yield plan.optional(plan.rlimit(limit.resource, limit.soft, limit.hard))
        yield plan.sync(LIMITS_RAISED)


def _raises_from_outside(context: Context) -> bool:
    return context.in_user_namespace and bool(context.spec.process.rlimits)


def _scheduling(context: Context) -> Iterator[Operation]:
    """While CAP_SYS_NICE is left."""
    process, linux = context.spec.process, context.spec.linux
    cpus = process.final_cpus or process.initial_cpus
    if cpus and isinstance(context.place, Target):
        # config.md, execCPUAffinity: "not applicable to the container's init process"
        yield plan.cpu_affinity(_bit_set(cpus))
    elif not context.is_monitored:
        # What the caller keeps itself to isn't the container's: that may use what its cgroup has. cpuset(7)
        yield plan.optional(plan.cpu_affinity(plan.ALL_CPUS))
    if (scheduler := process.scheduler) is not None:
        numbers = (scheduler.runtime_ns, scheduler.deadline_ns, scheduler.period_ns)
        yield plan.scheduler(scheduler.policy, scheduler.flags, scheduler.nice, scheduler.priority, *numbers)
    if (priority := process.io_priority) is not None:
        yield plan.io_priority(priority.io_class, priority.priority)
    if (policy := linux.memory_policy) is not None:
        yield plan.memory_policy(policy.mode, _bit_set(policy.nodes) if policy.nodes else b"")
    if linux.personality is not None:
        yield plan.personality(linux.personality)


def _bit_set(numbers: str) -> bytes:
    """Turn "0-3,7" into the kernel's bit mask, least significant byte first, a multiple of eight bytes."""
    from ..cgroups import parse_cpu_list

    bits = sum(1 << number for number in parse_cpu_list(numbers))
    return bits.to_bytes((bits.bit_length() + 63) // 64 * 8, "little")


def _labels(context: Context) -> Iterator[Operation]:
    """What a security module shall make of the program, asked for at exec. Through a procfs that nobody has faked."""
    process = context.spec.process
    if not (process.apparmor_profile or process.selinux_label):
        return
    yield plan.filesystem(PARAMETERS, "proc", "proc")
    if profile := process.apparmor_profile:
        if not os.path.exists("/sys/kernel/security/apparmor"):
            raise NotSupported(f"the AppArmor profile {profile!r}: this host has no AppArmor")
        directory = "self/attr/apparmor" if os.path.exists("/proc/self/attr/apparmor") else "self/attr"
        yield plan.write(PARAMETERS, f"{directory}/exec", f"exec {profile}")
    if label := process.selinux_label:
        from .. import selinux

        if not selinux.is_enabled():
            raise NotSupported(f"the SELinux label {label!r}: this host has no SELinux")
        yield plan.write(PARAMETERS, "self/attr/exec", label)


def _go_to_work(context: Context) -> Iterator[Operation]:
    """As root, so that a directory that the user may not enter still works, as it does with docker."""
    yield plan.directory_change(context.spec.process.working_directory)


def _bounding(context: Context) -> Iterator[Operation]:
    """Before the identity changes: it takes CAP_SETPCAP, which is gone afterwards."""
    yield plan.bounding(context.spec.process.capabilities.bounding)


def _become(context: Context) -> Iterator[Operation]:
    """Names are looked up in the container's root by the C core, which keeps capabilities through the change."""
    user = context.spec.process.user
    if user.name is None:
        # As root, whoever may read the file; runc and crun add HOME too, and programs rely on it.
        if not any(entry.startswith("HOME=") and entry != "HOME=" for entry in context.spec.process.environment):
            yield plan.home(user.uid)
        yield plan.identity(user.uid, user.gid, user.additional_gids)
    else:
        yield plan.user(user.name, user.additional_groups)


def _tidy(context: Context) -> Iterator[Operation]:
    """All that a filter might forbid later."""
    process = context.spec.process
    if process.user.umask != 0o022:
        yield plan.umask(process.user.umask)
    yield plan.signals()
    if isinstance(context.place, Placement) and context.place.gate:
        yield plan.mortal()
    # Nothing of the host's stays open, and it is sealed before exec so that the new program never sees it
    # (CVE-2024-21626).
    yield plan.seal(3 + context.place.preserved)
    if not context.is_monitored:
        yield plan.death_signal(0)
    if process.no_new_privileges:
        yield plan.no_new_privileges()
    if isinstance(context.place, Placement) and context.place.gate:
        yield plan.forget(3 + context.place.preserved, GATE, VERDICT)
        # What can be known now is no surprise at the start.
        yield plan.executable(_search_path(process.environment), process.arguments[0])


def _filter_with_privilege(context: Context) -> Iterator[Operation]:
    """Without no_new_privs a filter takes CAP_SYS_ADMIN: it comes while we have it, and as late as that allows.

    What follows is subject to it: capset, prctl, then (a container that waits) write, close and read, or poll, and execve.
    """
    if not _can_filter_last(context):
        yield from _filter(context)


def _can_filter_last(context: Context) -> bool:
    process = context.spec.process
    return process.no_new_privileges or bool(process.capabilities.effective & _ADMINISTRATOR)


def _give_up_privileges(context: Context) -> Iterator[Operation]:
    """For a user other than root exec would empty effective and permitted anyway: nothing is inheritable or ambient."""
    held = context.spec.process.capabilities
    yield plan.capabilities(held.effective, held.permitted, held.inheritable, held.ambient)


def _die_with_monitor(context: Context) -> Iterator[Operation]:
    """After the last change of credentials, which makes the kernel forget it. prctl(2)."""
    if context.is_monitored:
        yield plan.death_signal(_SIGKILL)


def _filter_last(context: Context) -> Iterator[Operation]:
    """Where the filter needs no privilege that is gone by now it is the last thing, so it may forbid all that we did."""
    if _can_filter_last(context):
        yield from _filter(context)


def _filter(context: Context) -> Iterator[Operation]:
    profile = context.spec.linux.seccomp
    if profile is not None:
        bits, program = seccomp.filter_of(profile, os.uname().machine, context.place.cache_directory)
        listens = isinstance(profile, Seccomp) and seccomp.notifies(profile)
        yield plan.seccomp_listen(bits, program) if listens else plan.seccomp(bits, program)


def _wait_for_start(context: Context) -> Iterator[Operation]:
    """A container is created, and its caller gone, before somebody starts it."""
    if isinstance(context.place, Placement) and context.place.gate:
        yield plan.ready(True)
        yield plan.gate(GATE, VERDICT)
        yield from hooks(context.spec.hooks.start_container, context.place.hook_state)


def hooks(wanted: Sequence[Hook], state: tuple[str, str]) -> Iterator[Operation]:
    """Run hooks in the process that walks the plan, which thereby is in the container's namespaces."""
    for hook in wanted:
        arguments = hook.arguments or (hook.path,)
        yield plan.hook(hook.path, arguments, hook.environment or (), *state, (hook.timeout_seconds or 0) * 1000)


def _execute(context: Context) -> Iterator[Operation]:
    process = context.spec.process
    if process.init:
        # As confined as the program itself: everything above holds for it too.
        yield plan.init()
    # An empty HOME is none: runc gives the user's own then.
    environment = tuple(entry for entry in process.environment if entry != "HOME=")
    yield plan.exec_(_search_path(environment), process.arguments, environment)


def _search_path(environment: Sequence[str]) -> str:
    return next((entry[5:] for entry in environment if entry.startswith("PATH=")), _DEFAULT_PATH)


TAIL: tuple[Step, ...] = (
    _session,
    _limits,
    _scheduling,
    _labels,
    _go_to_work,
    _bounding,
    _become,
    _tidy,
    _last_limits,
    _filter_with_privilege,
    _give_up_privileges,
    _die_with_monitor,
    _filter_last,
    _wait_for_start,
    _execute,
)
