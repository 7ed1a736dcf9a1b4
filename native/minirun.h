/* minirun.h: the one truth that both sides of the seam share.
 *
 * Owns: the plan's encoding, the table of operations, the reports that a start sends, the calls that Python makes.
 * Python reads the constants through cffi; nothing is written down twice.
 *
 * Every call gives a number >= 0 or -errno. Nothing here decides: a plan or a struct goes in, a number comes out.
 */
#ifndef MINIRUN_H
#define MINIRUN_H

#include <stddef.h>
#include <stdint.h>

/* ---- The plan ------------------------------------------------------------------------------------------------
 *
 *     struct mr_plan_header | op | op | op ...
 *
 *     op:   struct mr_op_header, then its arguments in the order of the signature, the whole padded to 8 bytes
 *     u     uint64_t, little endian (a signed value is its two's complement)
 *     s     uint32_t length, the bytes, a NUL; no NUL inside; padded to 8 bytes from the start of the argument
 *     b     uint32_t length, the bytes; padded to 8 bytes from the start of the argument
 *     v     uint32_t count, uint32_t 0, then that many `s`
 *
 * Operations of one side run in order; sides meet only at MR_OP_SYNC:
 *
 *     monitor  settings of the process that owns the container: log, terminal, exit hook. Read before clone3.
 *     prepare  what the caller does ahead of the clone, with the host's view and privileges. Slots that it fills are the
 *              child's too: sources of mounts that the child couldn't reach, a user namespace for ID-mapped mounts.
 *     enter    what a helper between caller and child does: join namespaces that hold for children only (pid, user). Without
 *              such operations there is no helper.
 *     parent   what is done to the new process from outside: veth into its network namespace, uid map, hooks.
 *     child    what the new process does to itself, up to exec.
 *
 *     caller: prepare --- clone3 ---+--- parent                  child  ---- SYNC(n): "I am at n" ---->  parent
 *                 (helper: enter)   +--- child                   child  <--- SYNC(n): "go on"     -----  parent
 *
 * Slots are small numbers that name open descriptors (0 .. MR_SLOTS-1) in the process that walks the plan; a path argument
 * next to a slot is resolved beneath that descriptor with openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS).
 * MR_HOST instead of a slot means: an absolute path of the host, from the trusted side.
 */
/* python: begin */
#define MR_MAGIC 0x4e52494du /* "MIRN" */
#define MR_VERSION 1u
#define MR_SLOTS 250u
#define MR_HOST 0xffu
#define MR_PLAN_MAX (4u << 20) /* bytes; a plan is never larger */

enum mr_side {
	MR_SIDE_MONITOR = 0,
	MR_SIDE_PARENT = 1,
	MR_SIDE_CHILD = 2,
	MR_SIDE_PREPARE = 3,
	MR_SIDE_ENTER = 4,
};
/* python: end */

struct mr_plan_header {
	uint32_t magic;
	uint32_t version;
	uint32_t length; /* bytes of the whole plan, header included */
	uint32_t count;  /* operations */
};

struct mr_op_header {
	uint16_t code; /* enum mr_code */
	uint8_t side;  /* enum mr_side */
	uint8_t flags; /* MR_OP_OPTIONAL: a failure is reported by --trace and otherwise ignored */
	uint32_t length; /* bytes, this header and padding included; a multiple of 8 */
};
/* python: begin */
#define MR_OP_OPTIONAL 1u
/* python: end */

/* X(NAME, code, signature, "arguments") -- codes never change meaning; new ones are appended.
 * Settings are read by the monitor and by mr_spawn before clone3; actions are walked, each by its MR_ACTION(NAME). */
/* clang-format off */
#define MR_SETTINGS(X)                                                                                                     \
	/* monitor side */                                                                                                 \
	X(LOG, 1, "suu", "path max_bytes max_files")          /* json-file lines, rotated to path.1 .. path.(max_files-1) */ \
	X(STDIO, 2, "uuuu", "mode open_stdin rows columns")   /* enum mr_stdio */                                          \
	X(EXIT_HOOK, 3, "vv", "argv environment")             /* run when nobody acknowledged the exit; of an exec, with its wait status */ \
	X(AWAIT_OWNER, 4, "", "")                             /* don't clone before the owner's first MR_MSG_ATTACH */     \
	X(RUN_DIRECTORY, 5, "s", "path")                      /* lock, started, exit, attach.sock live there */            \
	X(CGROUP, 6, "s", "path")                             /* CLONE_INTO_CGROUP, and memory.events at the end */        \
	X(CLONE, 7, "u", "flags")                             /* clone3 flags, CLONE_NEW* */                               \
	X(ENTER, 8, "suu", "pid_namespace_of start_time flags") /* exec: "PID", its start time, CLONE_NEW* to join */       \
	X(LOG_ATTRIBUTES, 12, "b", "text")                    /* of every record: `"attrs":{...},` */                       \
	X(DELAY, 10, "u", "milliseconds")                     /* no process: let the time pass, then run EXIT_HOOK */       \
	X(HEALTH, 11, "buuuuuss", "plan interval_ns timeout_ns start_period_ns start_interval_ns retries late path") /* ENTER's process is our own */ \
	X(STDIO_OWNER, 9, "uu", "uid gid")                    /* who owns the pipes of 0, 1, 2: root of a user namespace can't take them */

#define MR_ACTIONS(X)                                                                                                      \
	/* both sides */                                                                                                   \
	X(SYNC, 16, "u", "stage")                                                                                          \
	X(TAKE, 17, "uu", "slot descriptor")                  /* an inherited descriptor becomes a slot */                 \
	X(OPEN, 18, "uusu", "slot beneath path flags")        /* open(2) flags; beneath: a slot or MR_HOST */              \
	X(CLOSE, 19, "u", "slot")                                                                                          \
	X(WRITE, 20, "usb", "beneath path data")              /* one write(2) to an existing file */                       \
	X(LINK_UP, 21, "s", "name")                                                                                        \
	X(ADDRESS, 22, "sbu", "name address prefix")          /* 4 or 16 bytes; prefix length in bits */                   \
	X(ROUTE, 23, "sb", "name gateway")                    /* default route */                                          \
	/* parent side */                                                                                                  \
	X(STAGE, 24, "u", "stage")                            /* tell the owner, and wait until it has done its part */     \
	X(VETH, 32, "sssb", "bridge host_name peer_name mac") /* pair; the peer is born in the child's network namespace */ \
	X(ID_MAP, 33, "ss", "uid_map gid_map")                /* /proc/CHILD/uid_map, gid_map */                            \
	X(LINK_MOVE, 34, "ss", "name inside")                 /* into the child's network namespace */                      \
	/* child side: namespaces */                                                                                       \
	X(UNSHARE, 48, "u", "flags")                                                                                       \
	X(SETNS, 49, "uu", "slot flags")                                                                                   \
	X(USER_NAMESPACE, 51, "uss", "slot uid_map gid_map")  /* one without processes, to map mounts by */                 \
	X(PROPAGATION, 50, "u", "ms_flags")                   /* of the whole tree, MS_PRIVATE or MS_SLAVE */              \
	/* child side: file systems */                                                                                     \
	X(OVERLAY, 56, "ussvssv", "slot mountpoint base lowers upper work options") /* top first, relative to base */      \
	X(OVERLAY_ID_MAPPED, 71, "uussvssv", "slot userns_slot mountpoint base lowers upper work options") /* detached */   \
	X(ROOT_BIND, 57, "uss", "slot mountpoint source")     /* a root file system that is a directory */                 \
	X(FILESYSTEM, 58, "ussvu", "slot type source options attributes") /* detached; MOUNT_ATTR_* */                     \
	X(TREE, 59, "uusu", "slot beneath path recursive")    /* detached clone of an existing tree: open_tree(2) */       \
	X(ATTRIBUTES, 60, "uuuuu", "slot set clear propagation recursive") /* mount_setattr(2) */                          \
	X(ATTACH, 61, "uusu", "slot root path create")        /* move_mount beneath root; enum mr_create */                \
	X(DIRECTORY, 62, "usu", "root path mode")             /* mkdir -p beneath root */                                  \
	X(SYMLINK, 63, "uss", "root path target")                                                                          \
	X(DEVICE, 64, "usuuuu", "root path mode device uid gid")                                                           \
	X(MASK, 65, "usu", "root path null_slot")             /* /dev/null or an empty read-only tmpfs over it; absent: no-op */ \
	X(READ_ONLY, 66, "us", "root path")                   /* bind over itself, read-only; absent: no-op */             \
	X(PIVOT, 67, "u", "root")                             /* pivot_root(".", "."), detach the old root, chdir / */      \
	X(ID_MAPPED, 68, "uuu", "slot userns_slot recursive") /* MOUNT_ATTR_IDMAP on a detached tree */                    \
	X(COPY_UP, 69, "uusu", "slot root path keep")         /* fill what `slot` holds with what lies at path; absent: no-op */ \
	X(CHROOT, 70, "u", "root")                            /* instead of PIVOT: move the root over /, chroot, chdir / */ \
	X(ROOT_CHANGE, 72, "u", "root")                       /* chroot, chdir /; no mount changes */                       \
	X(TAKE_MODE, 73, "uus", "slot root path")             /* the mode of the directory that `slot` will cover; absent: no-op */ \
	X(RECONFIGURE, 74, "uv", "slot options")              /* of the file system that `slot` is mounted from: fspick(2) */ \
	/* child side: the process */                                                                                      \
	X(HOSTNAME, 80, "s", "name")                                                                                       \
	X(DOMAINNAME, 81, "s", "name")                                                                                     \
	X(SESSION, 82, "", "")                                /* setsid */                                                 \
	X(TERMINAL, 83, "uuu", "root rows columns")           /* pty of the container's devpts; master to the monitor */   \
	X(DEATH_SIGNAL, 84, "u", "signal")                    /* PR_SET_PDEATHSIG */                                       \
	X(KEYRING, 85, "s", "name")                           /* join a new session keyring */                             \
	X(RLIMIT, 86, "uuu", "resource soft hard")            /* on the parent side the child's */                          \
	X(OOM_SCORE, 87, "u", "adjustment")                                                                                \
	X(BOUNDING, 88, "u", "capabilities")                  /* drop everything else from the bounding set */             \
	X(USER, 89, "sv", "spec extra_groups")                /* user[:group], looked up in /etc/passwd and /etc/group of the root */ \
	X(IDENTITY, 90, "uub", "uid gid groups")              /* numbers only; groups as uint32_t array */                 \
	X(CAPABILITIES, 91, "uuuu", "effective permitted inheritable ambient")                                             \
	X(NO_NEW_PRIVILEGES, 92, "", "")                                                                                   \
	X(SECCOMP, 93, "ub", "flags filter")                  /* struct sock_filter array */                               \
	X(UMASK, 94, "u", "mask")                                                                                          \
	X(DIRECTORY_CHANGE, 95, "s", "path")                  /* chdir, and refuse a directory outside the root */         \
	X(SIGNALS, 96, "", "")                                /* default handlers, nothing blocked */                      \
	X(SEAL, 97, "u", "keep")                              /* close-on-exec for all descriptors from keep on */         \
	X(INIT, 98, "", "")                                   /* --init: fork; this process reaps, the new one goes on */  \
	X(EXEC, 99, "svv", "search_path argv environment")    /* HOME is added when USER or HOME found one and it is missing */     \
	X(GATE, 100, "uu", "gate verdict")                    /* wait for a byte; a failure from now on is written to verdict */ \
	X(EXECUTABLE, 101, "ss", "search_path name")          /* would EXEC find and execute it? */                         \
	X(HOOK, 102, "svvbbu", "path argv environment state_head state_tail timeout_ms") /* process id between the parts */  \
	X(PERSONALITY, 104, "u", "persona")                                                                                \
	X(SCHEDULER, 105, "uuuuuuu", "policy flags nice priority runtime deadline period") /* ns */                         \
	X(IO_PRIORITY, 106, "uu", "io_class priority")                                                                     \
	X(CPU_AFFINITY, 107, "b", "mask")                     /* bit n: CPU n */                                            \
	X(MEMORY_POLICY, 108, "ub", "mode nodes")                                                                          \
	X(SECCOMP_LISTEN, 103, "ub", "flags filter")          /* SECCOMP, and its listener to the owner */                  \
	X(READY, 109, "u", "close")                           /* what comes now isn't held to succeed; 1: no more talk at all */                      \
	X(HOME, 110, "u", "uid")                              /* HOME of this user, for EXEC; / where /etc/passwd says nothing */ \
	X(FORGET, 111, "uuu", "keep gate verdict")            /* close all descriptors from keep on but these two slots' and the socket */ \
	X(MORTAL, 112, "", "")                                /* until exec, signals that end others end process 1 too */

/* clang-format on */
#define MR_OPERATIONS(X) MR_SETTINGS(X) MR_ACTIONS(X)
#define MR_FIRST_ACTION 16u

enum mr_code {
#define MR_ENUM(name, code, signature, arguments) MR_OP_##name = (code),
	MR_OPERATIONS(MR_ENUM)
#undef MR_ENUM
};

/* python: begin */
enum mr_stdio { MR_STDIO_NULL = 0, MR_STDIO_PIPES = 1, MR_STDIO_TERMINAL = 2, MR_STDIO_INHERIT = 3 };
enum mr_create {
	MR_CREATE_NOTHING = 0,
	MR_CREATE_DIRECTORY = 1,
	MR_CREATE_FILE = 2,
	MR_CREATE_NO_SYMLINKS = 4, /* a bit: no component may be a symbolic link (/proc, /sys, /dev) */
	MR_CREATE_ON_SYMLINK = 8, /* a bit: where the path ends at a symbolic link, on the link itself */
};
enum mr_keep { MR_KEEP_MODE = 1, MR_KEEP_OWNER = 2, MR_KEEP_GROUP = 4 };

/* 0 when the plan is well formed, else -errno: EINVAL malformed, EPROTONOSUPPORT another version, E2BIG too long. */
int mr_plan_check(const void *plan, size_t length);
/* The table of operations by row: the code, or 0 after the last row. */
int mr_operation_code(int row);
const char *mr_operation_name(int row);
const char *mr_operation_signature(int row);
const char *mr_operation_arguments(int row);
/* python: end */

/* ---- Reports: what a start and a life send to whoever listens (SOCK_SEQPACKET, one struct a message) ------------
 *
 *     owner                         monitor
 *       | (AHEAD) PLAN (+fds), HOLD   |        the monitor's first, and nobody else's
 *       | ATTACH (+fds in,out,err)    |
 *       |<------- TRACE ... ----------|        with --trace only
 *       |<------- STARTED or FAILED --|        exactly one
 *       | RESIZE, CLOSE_STDIN ------->|
 *       |<------- EXITED -------------|        exactly one, after all output has been handed over and logged
 *       | ACK ----------------------->|        "I have recorded it": the monitor leaves without running the hook
 *
 * A client that connects to attach.sock later speaks the same protocol; only the first, the owner, can acknowledge.
 */
/* python: begin */
enum mr_message_kind {
	MR_MSG_ATTACH = 1,      /* value: bit set of MR_ATTACH_*; descriptors follow in that order */
	MR_MSG_RESIZE = 2,      /* value: rows << 16 | columns */
	MR_MSG_CLOSE_STDIN = 3,
	MR_MSG_ACK = 4,
	MR_MSG_PLAN = 5,        /* value: how many descriptors HOLD will bring; with the plan's file and those that TAKE names: their
				 * numbers, int32_t each, follow the struct */
	MR_MSG_AHEAD = 7,       /* before PLAN, or not at all: it may take long, and its process inherits no stream of ours; value:
				 * CLONE_NEWNET, a namespace that the plan's CLONE will want, or 0 */
	MR_MSG_HOLD = 6,        /* with descriptors that are kept until the container has ended, MR_RIGHTS_MAX at most */
	MR_MSG_STARTED = 16,    /* pid, time */
	MR_MSG_FAILED = 17,     /* operation: place in the plan, error: errno */
	MR_MSG_TRACE = 18,      /* operation, time: nanoseconds that it took, error: errno of an optional one */
	MR_MSG_EXITED = 19,     /* value: wait status as waitpid(2) has it, error: 1 when the OOM killer struck, time */
	MR_MSG_STAGE = 20,      /* value: stage, pid; the owner answers with the same when it has done its part */
	MR_MSG_LISTENER = 21,   /* pid; with the descriptor that gets what SECCOMP_RET_USER_NOTIF stops; answered like STAGE */
};
#define MR_ATTACH_STDIN 1u
#define MR_ATTACH_STDOUT 2u
#define MR_ATTACH_STDERR 4u
#define MR_ATTACH_TRACE 8u
#define MR_RIGHTS_MAX 64u /* descriptors in one message */

struct mr_message {
	uint32_t kind;
	uint32_t operation;
	int32_t error;
	int32_t pid;
	uint64_t value;
	uint64_t time; /* nanoseconds since the epoch, or of duration */
};
/* python: end */

/* ---- System calls that Python's os module lacks (launch.c) ------------------------------------------------------ */

/* python: begin */
/* openat2(2), O_CLOEXEC added. A descriptor or -errno. */
int mr_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
/* A process from `executable` (a descriptor, execveat(2)), or where that is -1 from `path` (execve(2)): clone3(2) with
 * CLONE_VFORK | CLONE_VM where that is known to be safe, default signals, an environment of its own, in `cgroup` (a descriptor,
 * or -1). targets[i] becomes a duplicate of sources[i]; every other descriptor from 3 on is closed. Gives the process id, or -errno
 * also when exec failed. An `orphan` has no parent that would have to wait for it: its number is nobody's business, the answer is 0. */
int mr_launch(int executable, const char *path, char *const *argv, char *const *environment, const int *targets, const int *sources,
	      int count, int cgroup, int orphan);
/* The name of the system call number `place`, from 0, of those that this kernel lacks (ENOSYS) and minirun needs; NULL when there
 * are no more (lacking.c). */
const char *mr_lacking_call(int place);
/* PR_SET_CHILD_SUBREAPER, prctl(2). */
int mr_set_subreaper(int reaps);
/* The capabilities that a child of this process can still hold: permitted, and not dropped from the bounding set. A bit each,
 * capabilities(7); capget(2), PR_CAPBSET_READ. */
uint64_t mr_held_capabilities(void);
int mr_pidfd_open(int pid);
int mr_pidfd_send_signal(int pidfd, int signal);
/* A descriptor of the file through a private, detached, read-only bind mount of it: who gets hold of it through
 * /proc/PID/exe can't write to it (CVE-2019-5736). open_tree(2), mount_setattr(2): needs CAP_SYS_ADMIN. */
int mr_read_only_clone(const char *path);
/* A user namespace with a map each for users and groups, and without processes: it lives as long as its descriptor, which is the
 * answer. user_namespaces(7); needs CAP_SETUID and CAP_SETGID. */
int mr_user_namespace(const char *uid_map, const char *gid_map);
/* Can a mount of what lies at `path` show its files under the ids of this user namespace? 0 or -errno: EINVAL when its file system
 * or the kernel can't. mount_setattr(2), ID-mapped mounts. Nothing is left. */
int mr_id_map_check(const char *path, int namespace);
/* One netlink request and the whole answer (all parts of a dump). Length of the answer, or -errno: that of the kernel's
 * error message too. */
int mr_netlink_request(int protocol, const void *request, size_t length, void *answer, size_t capacity);
/* python: end */

/* ---- What a worker of the preloaded process takes on of its caller (adopt.c) ---------------------------------------- */

/* python: begin */
/* fork(2) of a process with one thread, into the cgroup of a descriptor: clone3(2), CLONE_INTO_CGROUP. The process id, 0 in the
 * child, or -errno. No handler of pthread_atfork(3) runs. Needs PR_GET_TID_ADDRESS (CONFIG_CHECKPOINT_RESTORE). */
int mr_fork_into(int cgroup);
/* Reads into `buffer` what a process sees and may, items of a 32-bit length and so many bytes: those lines of its status that have
 * one of these names (each with a newline after it), cgroup, personality, root (four 64-bit numbers: its device's two, inode,
 * mount), label of a security module (empty: none), ten namespaces' links in the alphabet's order. So many bytes, or -errno: ENOBUFS
 * where there is no room. proc_pid(5), statx(2), Linux 5.8 */
int mr_facts(int pid, const char *names, void *buffer, size_t size);
/* Takes on resource limits, scheduling, processors and I/O priority of another process. 0 or -errno: EPERM where that takes more
 * rights than are there. prlimit(2), sched_setattr(2), sched_setaffinity(2), ioprio_set(2). */
int mr_adopt(int pid);
/* The same as far as it can be: a limit that can't be raised stays. 0 or -errno of all the rest. */
int mr_be_as(int pid);
/* SIGKILL for this process when its parent ends; -ESRCH when that isn't `parent` any more. PR_SET_PDEATHSIG(2const). */
int mr_end_with_parent(int parent);
/* A session keyring of its own: that of a login ends with the login. 0 or -errno; ENOSYS: this kernel has none. keyctl(2) */
int mr_leave_keyring(void);
/* Makes `count` strings, which follow each other, the environment as it is: with what has no "=", in this order. environ(7) */
int mr_set_environment(const char *block, size_t count);
/* sigprocmask(2) with a bit for each signal, as /proc/PID/status shows them. */
int mr_set_signal_mask(uint64_t blocked);
/* Leaves no free memory between allocated chunks of malloc(3). */
void mr_fill_holes(void);
/* Remembers where the memory of this process lies, which is about to fork workers (pages.c). 0 or -errno. */
int mr_pages_remember(void);
/* Notes which of these pages it has written to while a fork shares all others, which costs half a millisecond: the first four calls do,
 * then one of 32. */
void mr_pages_note(void);
/* Makes the noted pages its own again after a fork. Nothing happens before Linux 5.14. madvise(2), MADV_POPULATE_WRITE. */
void mr_pages_take(void);
/* Makes this process, which has one thread, a zygote (zygote.c), until the other end of `socket` is closed: for each socket that comes
 * through it, one byte each, there is another keeper of memory, and one worker after the other comes back from here, with this
 * memory and with that socket for `socket`. All of them are children of this process's parent, and end with it. The process id of the
 * worker's keeper, or -errno: then nothing has been done. What the kernel doesn't copy (PR_SET_PDEATHSIG, a robust list, an rseq area) a
 * worker hasn't. clone(2), CLONE_VM; Linux 5.2. */
int mr_zygote(int socket);
/* Names this process, and what it forks, "minirun-zygote", or as before. A keeper is "minirun-memory", a worker "minirun-spare". */
void mr_name_zygote(int is_zygote);
/* A worker's last act. Without it there is none after it: the keeper gives the memory back, and ends. */
void mr_worker_ends(void);
/* Lets go of all files that are mapped to be shared: memory that outlives its process would keep their file system busy. */
void mr_unmap_shared_files(void);
/* An inotify(7) descriptor also watches a directory, for whatever changes one of its files. The watch or -errno. */
int mr_watch_also(int descriptor, const char *path);
/* python: end */

#endif
