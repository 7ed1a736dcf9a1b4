"""Our default seccomp profile: which system calls a container may make, and why the others not.

Owns: the list, by topic, and the conditions that capabilities put on it. A profile is a `Seccomp` value like any other.
Leaves to others: numbers (runtime/syscall_table), the filter (runtime/seccomp).

An allow list: what isn't named is answered with EPERM. Left out on purpose:

    keyring          add_key request_key keyctl             keys aren't namespaced
    io_uring         io_uring_*                             does what other calls do, past every filter on them
    user faults      userfaultfd                            the favourite way to win races inside the kernel
    programs         bpf perf_event_open                    unless CAP_BPF, CAP_PERFMON
    mounts           mount umount2 the mount API pivot_root without CAP_SYS_ADMIN nobody needs them, and they are large
    namespaces       unshare setns clone with CLONE_NEW*    a new user namespace opens the kernel's privileged half
    kernel           modules, kexec, swap, acct, quota, reboot, clocks, syslog, port I/O: the machine, not the container
    NUMA             mbind set_mempolicy move_pages ...     placement of memory on the host
    other memory     process_vm_readv process_vm_writev     unless CAP_SYS_PTRACE; ptrace does it where it is needed
    sockets          socketcall (i386)                      its arguments are in memory: no filter can tell AF_ALG there
    history          uselib ustat sysfs _sysctl vm86 nfsservctl and what no kernel implements any more

Where a capability grants what a call does anyway, the call comes with the capability (`_GRANTED`), so `--cap-add`
alone is enough.
"""

from __future__ import annotations

from . import capabilities
from .spec import Seccomp, SyscallArgument, SyscallRule

VERSION = 2  # part of the cache's key: changes with every change of the filter; a test holds the pair

_ALLOWED = {
    "files": """
        access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
        fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchown fchown32 fchownat fcntl fcntl64 fdatasync
        fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate
        ftruncate64 futimesat getcwd getdents getdents64 getxattr ioctl lchown lchown32 lgetxattr link linkat
        listxattr llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat newfstatat
        open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv
        removexattr rename renameat renameat2 rmdir sendfile sendfile64 setxattr splice stat stat64 statfs statfs64
        statx symlink symlinkat sync sync_file_range syncfs tee truncate truncate64 umask unlink unlinkat utime
        utimensat utimensat_time64 utimes vmsplice write writev""",
    "waiting for files": """
        epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2
        fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
        io_pgetevents io_pgetevents_time64 io_setup io_submit _newselect pipe pipe2 poll ppoll ppoll_time64 pselect6
        pselect6_time64 select signalfd signalfd4""",
    "memory": """
        brk madvise membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap
        msync munlock munlockall munmap remap_file_pages""",
    "processes": """
        arch_prctl capget capset execve execveat exit exit_group fork get_robust_list get_thread_area getcpu getegid
        getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid getpriority
        getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid getuid getuid32 ioprio_get
        ioprio_set modify_ldt pidfd_open pidfd_send_signal prctl prlimit64 process_mrelease ptrace rseq
        sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
        sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
        sched_setparam sched_setscheduler sched_yield set_robust_list set_thread_area set_tid_address setfsgid
        setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setpgid setpriority setregid setregid32
        setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setuid setuid32 sysinfo
        ugetrlimit uname uretprobe vfork wait4 waitid waitpid""",
    "self-restraint": "landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp",
    "signals": """
        kill pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
        rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn
        tgkill tkill""",
    "time": """
        adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
        clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
        timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
        timerfd_gettime64 timerfd_settime timerfd_settime64 times""",
    "sockets": """
        accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmmsg_time64 recvmsg
        sendmmsg sendmsg sendto setsockopt shutdown socketpair""",
    "between processes": """
        futex futex_time64 futex_waitv ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64
        mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop
        semtimedop_time64 shmat shmctl shmdt shmget""",
    "other": "getrandom",
}

_GRANTED = {
    "BPF": "bpf",
    "DAC_READ_SEARCH": "name_to_handle_at open_by_handle_at",
    "PERFMON": "perf_event_open",
    "SYSLOG": "syslog",
    "SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount lookup_dcookie lsm_get_self_attr
        lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree open_tree_attr perf_event_open quotactl
        quotactl_fd setdomainname sethostname setns statmount syslog umount umount2 unshare""",
    "SYS_BOOT": "reboot",
    "SYS_CHROOT": "chroot",
    "SYS_MODULE": "delete_module finit_module init_module",
    "SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "SYS_PACCT": "acct",
    "SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev",
    "SYS_RAWIO": "ioperm iopl",
    "SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "SYS_TTY_CONFIG": "vhangup",
}

# Newer than the profile of the oldest docker that is still in a supported distribution (20.10): what it doesn't allow, we
# don't either. ENOSYS, as on a kernel that hasn't them: every C library and program that probes for them has another way.
_TOO_NEW = (
    *("cachestat", "fchmodat2", "futex_requeue", "futex_wait", "futex_wake", "map_shadow_stack", "mseal"),
    *("getxattrat", "listxattrat", "removexattrat", "setxattrat", "pkey_alloc", "pkey_free", "pkey_mprotect"),
)

# The only capabilities that change the filter: what else a container holds need not multiply the cached files.
RELEVANT = capabilities.mask((*_GRANTED, "NET_ADMIN"))

_INT = 0xFFFFFFFF  # the kernel reads these arguments as 32 bits; comparing all 64 could be got around by setting a high one
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97

_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET
_PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)  # Linux, Linux32, each with UNAME26; and the question
_FAMILIES = (0, 1, 2, 10, 16, 17)  # UNSPEC UNIX INET INET6 NETLINK PACKET; the rest are modules that load on demand
# ALG writes to the page cache (CVE-2026-31431); VSOCK leads to the hypervisor and knows no namespace.
_REFUSED_FAMILIES = (38, 40)


def expand(held: int) -> Seccomp:
    """Give the profile for a container with the capabilities `held`."""
    admin = capabilities.has(held, "SYS_ADMIN")
    allowed = [name for names in _ALLOWED.values() for name in names.split()]
    for capability, names in _GRANTED.items():
        if capabilities.has(held, capability):
            allowed += names.split()
    rules = [_allow(*allowed), *_personality(), *_socket(held)]
    rules.append(SyscallRule(names=_TOO_NEW, action="SCMP_ACT_ERRNO", errno=_ENOSYS))
    if not admin:
        rules.append(_allow("clone", when=("SCMP_CMP_MASKED_EQ", _NEW_NAMESPACES, 0)))
        # clone3 has its flags in memory, which a filter can't read. ENOSYS makes every C library fall back to clone.
        rules.append(SyscallRule(names=("clone3",), action="SCMP_ACT_ERRNO", errno=_ENOSYS))
        # Too new for anyone to depend on, old enough to be probed for: as on a kernel that hasn't them.
        probed = (
            "file_getattr",
            "file_setattr",
            "listmount",
            "lsm_get_self_attr",
            "lsm_list_modules",
            "lsm_set_self_attr",
            "open_tree_attr",
            "statmount",
        )
        rules.append(SyscallRule(names=probed, action="SCMP_ACT_ERRNO", errno=_ENOSYS))
    return Seccomp(
        default_action="SCMP_ACT_ERRNO",
        default_errno=_EPERM,
        # 32-bit programs are images too (i386); x32 isn't listed and thereby refused.
        architectures=("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"),
        flags=("SECCOMP_FILTER_FLAG_SPEC_ALLOW",),
        syscalls=tuple(rules),
    )


def _personality() -> list[SyscallRule]:
    return [_allow("personality", when=("SCMP_CMP_MASKED_EQ", _INT, value)) for value in _PERSONALITIES]


def _socket(held: int) -> list[SyscallRule]:
    if capabilities.has(held, "SYS_ADMIN"):
        return [_allow("socket")]
    refused = [_refuse_family(family, _EPERM) for family in _REFUSED_FAMILIES]
    if capabilities.has(held, "NET_ADMIN"):
        return [*refused, _allow("socket")]
    known = [_allow("socket", when=("SCMP_CMP_MASKED_EQ", _INT, family)) for family in _FAMILIES]
    # A program that asks whether the kernel speaks RDS or Bluetooth hears what a kernel without it says.
    return [*refused, *known, SyscallRule(names=("socket",), action="SCMP_ACT_ERRNO", errno=_EAFNOSUPPORT)]


def _refuse_family(family: int, errno: int) -> SyscallRule:
    condition = SyscallArgument(index=0, operator="SCMP_CMP_MASKED_EQ", value=_INT, value_two=family)
    return SyscallRule(names=("socket",), action="SCMP_ACT_ERRNO", errno=errno, arguments=(condition,))


def _allow(*names: str, when: tuple[str, int, int] | None = None) -> SyscallRule:
    condition = () if when is None else (SyscallArgument(index=0, operator=when[0], value=when[1], value_two=when[2]),)
    return SyscallRule(names=names, action="SCMP_ACT_ALLOW", arguments=condition)
