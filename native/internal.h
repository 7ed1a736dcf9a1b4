/* internal.h: what the C files say to each other. Python never sees it; minirun.h is what both sides share.
 *
 *     plan.c      bytes -> struct mr_operation: total, bounds-checked, fuzzed
 *     walk.c      one side of a plan, operation by operation; the table that leads a code to its function
 *     spawn.c     clone3, the talk with the child, what came of it          enter.c   the same into namespaces that are there
 *     path.c      paths beneath a root descriptor                           user.c    /etc/passwd and /etc/group of the root
 *     op_*.c      the operations, a file per topic: MR_ACTION(NAME) { ... }
 *
 * To add an operation: a row in minirun.h's table, an MR_ACTION(NAME) in the op_*.c of its topic, a constructor in
 * minirun/linux/plan.py (a test compares the two tables).
 *
 * Everything gives a number >= 0 or -errno. Between clone3 and exec nothing allocates, locks or uses stdio.
 */
#ifndef MINIRUN_INTERNAL_H
#define MINIRUN_INTERNAL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "minirun.h"

/* ---- Decoder (plan.c) ---------------------------------------------------------------------------------------- */

#define MR_ARGUMENTS_MAX 8

/* One decoded argument, pointing into the plan. u: number. s: data (NUL at data[length]). b: data, length.
 * v: number is the count, data and length the encoded strings: walk them with mr_vector. */
struct mr_argument {
	uint64_t number;
	const char *data;
	uint32_t length;
};

struct mr_operation {
	uint32_t index; /* place in the whole plan: what FAILED and TRACE name */
	uint16_t code;
	uint8_t side;
	uint8_t flags;
	struct mr_argument arguments[MR_ARGUMENTS_MAX];
};

struct mr_cursor {
	const unsigned char *at;
	const unsigned char *end;
	uint32_t index;
	uint32_t count;
};

/* Start reading a plan of `length` bytes. 0 or -EINVAL, -EPROTONOSUPPORT (another version), -E2BIG. */
int mr_cursor_init(struct mr_cursor *cursor, const void *plan, size_t length);
/* The next operation: 1, 0 at the end, or -EINVAL when malformed. Never reads outside the plan. */
int mr_cursor_next(struct mr_cursor *cursor, struct mr_operation *operation);
/* The next operation of `side` (enum mr_side); else like mr_cursor_next. */
int mr_cursor_next_of(struct mr_cursor *cursor, int side, struct mr_operation *operation);
/* Bytes of a plan that mr_plan_check accepted. */
size_t mr_plan_length(const void *plan);

struct mr_vector {
	const char *at;
	uint64_t left;
};
static inline struct mr_vector mr_vector_of(const struct mr_argument *argument)
{
	return (struct mr_vector){ argument->data, argument->number };
}
/* The next string of a vector that the cursor has validated, NULL at its end; `length` may be NULL. */
const char *mr_vector_next(struct mr_vector *vector, uint32_t *length);
/* The strings of a vector as a NULL-terminated array at `pointers`, which has room; gives the place of the NULL. */
char **mr_vector_list(struct mr_vector vector, char **pointers);

/* ---- Walk (walk.c) ------------------------------------------------------------------------------------------- */

/* Descriptors by number; -1 is empty. */
struct mr_slots {
	int descriptors[MR_SLOTS];
};
static inline void mr_slots_clear(struct mr_slots *slots)
{
	for (unsigned slot = 0; slot < MR_SLOTS; slot++)
		slots->descriptors[slot] = -1;
}

/* What the operations of one side share while it is walked. */
struct mr_walk {
	const void *plan;
	int side;
	int socket;    /* to the other side, SOCK_SEQPACKET */
	pid_t child;   /* parent side: the new process as this process sees it; else 0 */
	pid_t leaving; /* a helper that has done its work; it is waited for when the walk is closed. 0: none */
	bool trace;
	bool entered;  /* child side: inside a container that runs already */
	int netlink;   /* route socket of this process's network namespace, opened by need */
	int procfs;    /* private procfs that nobody else can reach, opened by need */
	int empty;     /* an empty read-only directory to mask with, made by need */
	int terminal;  /* child: pty slave; parent: pty master that the child sent */
	int verdict;   /* child: where a failure is written once the gate has been passed; a slot's */
	bool executing; /* parent: the child has said that it is ready to exec; child: it has said so */
	struct mr_message failure; /* parent: the FAILED that the child sent; kind 0: none */
	struct mr_slots slots;
	void (*report)(void *context, const struct mr_message *message); /* parent: TRACE messages */
	int (*stage)(void *context, const struct mr_message *message); /* parent: what STAGE calls */
	int (*listener)(void *context, const struct mr_message *message, int descriptor); /* parent: see mr_spawn_options */
	void *context;
	char home[PATH_MAX + 8]; /* once USER has found it; room for "HOME=" */
};

void mr_walk_init(struct mr_walk *walk, const void *plan, int side);
/* Walks all operations of walk->side. 0, or -errno with *failed the place of the one that failed. */
int mr_walk_side(struct mr_walk *walk, uint32_t *failed);
/* Closes what the walk opened, slots included; not the socket, not the terminal. */
void mr_walk_close(struct mr_walk *walk);
/* Waits for the helper that is leaving, if there is one. */
void mr_walk_reap(struct mr_walk *walk);
/* Tells the listener how long an operation took; nothing when nobody traces. */
void mr_walk_trace(struct mr_walk *walk, uint32_t index, int error, uint64_t nanoseconds);

/* Every operation of MR_ACTIONS is one of these. */
#define MR_ACTION(NAME) int mr_do_##NAME(struct mr_walk *walk, const struct mr_argument *argument)
#define MR_DECLARE(NAME, code, signature, arguments) MR_ACTION(NAME);
MR_ACTIONS(MR_DECLARE)
#undef MR_DECLARE

/* The descriptor in a slot, or -EBADF. */
int mr_slot(const struct mr_walk *walk, uint64_t slot);
/* Puts a descriptor into a slot and closes what was there; -EBADF (and descriptor closed) when there is no such slot. */
int mr_slot_set(struct mr_walk *walk, uint64_t slot, int descriptor);

/* ---- Paths (path.c) ------------------------------------------------------------------------------------------ */

/* openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS; O_CLOEXEC is added. A descriptor or -errno. */
int mr_open_beneath(int root, const char *path, int flags);
/* The same with more RESOLVE_* flags (RESOLVE_NO_SYMLINKS) and a mode. */
int mr_open_resolve(int root, const char *path, int flags, mode_t mode, uint64_t resolve);
/* The root of a procfs that was mounted for this process alone: nothing in the container can have been laid over it.
 * A descriptor that the walk owns, or -errno. */
int mr_private_procfs(struct mr_walk *walk);
/* mkdir -p beneath root, then the last component: a directory, or an empty regular file (kind S_IFDIR, S_IFREG).
 * Existing things are left as they are. 0 or -errno. */
int mr_make_beneath(int root, const char *path, mode_t kind, mode_t mode);
/* The directory that `path` lies in (made by need), and its last component: a descriptor or -errno. */
int mr_parent_beneath(int root, const char *path, const char **name);
void mr_close(int *descriptor); /* closes and forgets; for __attribute__((cleanup)) */
#define MR_AUTOCLOSE __attribute__((cleanup(mr_close))) int

static inline int mr_result(long result)
{
	return result < 0 ? -errno : (int)result;
}

/* Ends this process, also where a filter answers even that with an error: _exit(2) of a C library may try for ever. */
static inline _Noreturn void mr_exit(int code)
{
	syscall(SYS_exit_group, code);
	__builtin_trap();
}

/* ---- Spawn (spawn.c, enter.c) -------------------------------------------------------------------------------- */

/* What the child says to the spawner besides TRACE and FAILED; never seen by an owner. */
enum mr_internal_kind {
	MR_MSG_SYNC = 64,      /* value: stage; both ways */
	MR_MSG_TERMINAL = 65,  /* with the pty master */
	MR_MSG_EXECUTING = 66, /* READY, or EXEC itself: a closed socket after this means success */
};

#define MR_NO_OPERATION UINT32_MAX /* the child died without a word (killed): FAILED names no operation */

struct mr_spawn_options {
	int network;                  /* where CLONE asks for a new network namespace: one that is there already; 0 or -1: none */
	int stdio[3];                 /* become 0, 1, 2 of the child; -1: the caller's own */
	const char *enter;            /* what ENTER enters instead of what it says: "PID"; NULL: what it says */
	uint64_t enter_start_time;
	int own;                      /* a descriptor of the caller that the child closes at once; 0: none */
	bool trace;                   /* measure each operation, hand the TRACE messages to `report` */
	void (*report)(void *context, const struct mr_message *message);
	/* Does the owner's part of a STAGE: 0 or -errno, which ends the start. NULL: there is no owner, STAGE is an error. */
	int (*stage)(void *context, const struct mr_message *message);
	/* Gets the descriptor of SECCOMP_LISTEN, which stays ours, while the child goes on: 0 or -errno, which ends the start. NULL:
	 * nobody answers, and what was to be asked for fails. */
	int (*listener)(void *context, const struct mr_message *message, int descriptor);
	void *context;
};

struct mr_spawned {
	pid_t pid;    /* as the caller sees it; a child of the caller, which has to wait for it */
	int pidfd;
	int terminal; /* pty master that a TERMINAL operation made, or -1 */
	struct mr_message message; /* STARTED (pid, time) or FAILED (operation, error) */
};

/* Clones the child that the plan describes and walks the parent's side until the child has executed its program. The
 * plan has passed mr_plan_check. 0, or -errno with spawned->message FAILED and nothing left behind (child reaped,
 * descriptors closed). Blocks for a few ms; must be called by the thread that will live as long as the child
 * (PR_SET_PDEATHSIG), with the signals blocked that it doesn't want to take. Needs CAP_SYS_ADMIN. */
int mr_spawn(const void *plan, const struct mr_spawn_options *options, struct mr_spawned *spawned);

/* fork-like raw clone3(2): no atfork handlers, no locks. `flags` CLONE_*, exit signal SIGCHLD unless CLONE_PARENT;
 * *pidfd is set when pidfd is not NULL; cgroup -1 or a descriptor for CLONE_INTO_CGROUP. 0 in the child, else pid or -errno. */
pid_t mr_clone(uint64_t flags, int *pidfd, int cgroup);

/* The settings of a plan that mr_spawn obeys; strings point into the plan. */
struct mr_settings {
	const char *cgroup; /* NULL: the caller's */
	uint64_t clone_flags;
	const char *enter; /* process id whose namespaces are joined; NULL: a new container */
	uint64_t enter_start_time;
	uint64_t enter_flags;
	bool needs_helper; /* ENTER, or operations of the enter side */
	uint32_t clone_index; /* place of CLONE or ENTER, for reports */
	uint32_t cgroup_index;
};

/* Clones a process that lives in namespaces which a helper joined on its behalf and is nonetheless a child of the caller.
 * `walk` has the slots that the ENTER side names; those that it fills are the new process's too. `ends` are those of the socket
 * between the two: the caller's is closed in the new process. 0 in the new process, else its pid (*pidfd set) or -errno with
 * *failed the operation. */
pid_t mr_enter(const struct mr_settings *settings, struct mr_walk *walk, int ends[2], int cgroup, int *pidfd, uint32_t *failed);

/* When the process with this number (digits) started, in clock ticks since boot: field 22 of /proc/PID/stat, proc(5). 0 or -errno: -ESRCH
 * when there is none, -EINVAL for what is no number. */
int mr_start_time(const char *pid, uint64_t *ticks);

/* Ends the calling process with its parent, who holds the other end of `socket`. False: the parent is gone. prctl(2),
 * PR_SET_PDEATHSIG. */
bool mr_tie(int socket);

/* Is this where a mapping begins that the zygote had? It stays when a worker ends. */
bool mr_zygote_has(uintptr_t start);

/* Looks user[:group] and more groups up in /etc/passwd and /etc/group of the process's root. */
#define MR_GROUPS_MAX 4096
struct mr_account {
	uint32_t uid;
	uint32_t gid;
	uint32_t group_count;
	uint32_t groups[MR_GROUPS_MAX];
	char home[PATH_MAX];
};
int mr_account_find(const char *spec, struct mr_vector extra_groups, struct mr_account *account);
void mr_account_home(uint32_t uid, struct mr_account *account);

/* One message over a SOCK_SEQPACKET, with a descriptor when >= 0. 0 or -errno. */
int mr_send(int socket, const struct mr_message *message, int descriptor);
/* The child's word to the caller by write(2) alone: under a filter that is as much as can be hoped for. 0 or -errno. */
int mr_tell(const struct mr_walk *walk, const struct mr_message *message);
/* 1, 0 when the other end is closed, or -errno. *descriptor gets a received one or -1; NULL: none is accepted. */
int mr_receive(int socket, struct mr_message *message, int *descriptor);

uint64_t mr_clock(void);     /* CLOCK_MONOTONIC, ns */
uint64_t mr_wall_clock(void); /* CLOCK_REALTIME, ns */

/* ---- What the static programs inherit (inherit.c) ------------------------------------------------------------ */

/* The plan in an open file, mapped and checked; NULL when it isn't one. */
const void *mr_plan_map(int file, size_t *length);
/* What the child would get of our own 0, 1, 2 (stdio[i] < 0) and is the null device, or input that nobody gave it, becomes a null
 * device of its own in stdio[i]; *mount is its mount, to be closed when that is no hurry. 0 or -errno. */
int mr_stdio_replace_null(int stdio[3], bool keep_stdin, int *mount);
/* A new network namespace with its loopback interface up, a descriptor of it, or -1: it takes the kernel longer than all other kinds
 * together. Where none can be made now, the plan's CLONE tries again, and says what is wrong; so does its LINK_UP. We stay where
 * we were. network_namespaces(7), setns(2). */
int mr_network_ahead(void);

/* ---- Network (rtnetlink.c) ----------------------------------------------------------------------------------- */

/* A netlink socket of the calling process's network namespace: a descriptor or -errno. */
int mr_netlink_open(int protocol);
/* A veth pair: `host_name` here, up and in `bridge`; `peer_name` born in the network namespace of process `peer`.
 * mac: 6 bytes of the peer's address, or length 0. An interface named host_name is not left behind on failure. */
int mr_op_veth(int netlink, const char *bridge, const char *host_name, const char *peer_name, const void *mac,
	       size_t mac_length, pid_t peer);
/* Moves an interface into the network namespace of process `peer`, there under the name `inside`. */
int mr_op_link_move(int netlink, const char *name, const char *inside, pid_t peer);
int mr_op_link_up(int netlink, const char *name);
int mr_op_address(int netlink, const char *name, const void *address, size_t length, unsigned prefix);
int mr_op_route(int netlink, const char *name, const void *gateway, size_t length);

/* ---- Init (init.c) ------------------------------------------------------------------------------------------- */

/* Forks by clone(2), which the container's filter lets through. Gives 0 in the new process, which goes on with the plan; the caller (pid 1) never comes back: it
 * closes what it doesn't need (the socket above all: its end is what tells the spawner that exec succeeded), forwards
 * signals, reaps, and ends as the new process ended. */
int mr_op_init(void);

#endif
