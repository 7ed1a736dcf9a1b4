/* adopt.c: what a worker of the preloaded process (minirun/warm/) takes on of its caller, as far as Python can't.
 *
 * Owns: a fork into a cgroup, reading the facts of a process, copying those that system calls can, the environment as it is. Leaves
 * to others: which of them have to be equal (minirun/warm/caller.py), which are taken on, and when (minirun/warm/adopt.py).
 */
#include "internal.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PRIORITY_OF_PROCESS 1 /* IOPRIO_WHO_PROCESS, ioprio_set(2) */
#define CPU_WORDS 128 /* 8192 processors: CONFIG_NR_CPUS of the largest kernels */

/* sched_setattr(2); no header of an older C library has it. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

/* What fork(3) does in a process with one thread, and into another cgroup: the C library's copy of the thread id has to follow,
 * and the kernel knows where that is. */
int mr_fork_into(int cgroup)
{
	void *thread_id = NULL;
	struct clone_args arguments = {
		.flags = CLONE_INTO_CGROUP | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)(unsigned)cgroup,
	};

	if (prctl(PR_GET_TID_ADDRESS, &thread_id) < 0)
		return -errno;
	arguments.child_tid = (uint64_t)(uintptr_t)thread_id;
	return mr_result(syscall(SYS_clone3, &arguments, sizeof arguments));
}

/* ---- What a process sees and may ------------------------------------------------------------------------------------- */

struct facts {
	unsigned char *at, *end;
};

/* An item is its length and its bytes; -errno of what couldn't be read, and -ENOBUFS where there is no room. */
static int put(struct facts *facts, const void *bytes, uint32_t length)
{
	if ((size_t)(facts->end - facts->at) < sizeof length + length)
		return -ENOBUFS;
	memcpy(facts->at, &length, sizeof length);
	if (bytes)
		memcpy(facts->at + sizeof length, bytes, length);
	facts->at += sizeof length + length;
	return 0;
}

static int put_file(struct facts *facts, int process, const char *name)
{
	MR_AUTOCLOSE file = openat(process, name, O_RDONLY | O_CLOEXEC);
	size_t room = (size_t)(facts->end - facts->at);
	ssize_t length = 0, got;
	uint32_t whole;

	if (file < 0)
		return -errno;
	if (room < sizeof whole)
		return -ENOBUFS;
	while ((got = read(file, facts->at + sizeof whole + length, room - sizeof whole - (size_t)length)) > 0)
		length += got;
	if (got < 0)
		return -errno;
	if ((size_t)length == room - sizeof whole)
		return -ENOBUFS; /* it may have been longer */
	return put(facts, NULL, (uint32_t)length);
}

/* Is this one of the names, each with its newline? */
static bool is_wanted(const char *names, const char *name, size_t length)
{
	for (const char *at = names; *at; at = strchr(at, '\n') + 1)
		if (strncmp(at, name, length) == 0 && at[length] == '\n')
			return true;
	return false;
}

/* Of a file with lines "NAME:\t...\n" those with these names. */
static int put_lines(struct facts *facts, int process, const char *file, const char *names)
{
	unsigned char *item = facts->at;
	int error = put_file(facts, process, file);
	if (error < 0)
		return error;
	unsigned char *begin = item + sizeof(uint32_t), *kept = begin;
	for (unsigned char *line = begin, *next; line < facts->at; line = next) {
		unsigned char *end = memchr(line, '\n', (size_t)(facts->at - line));
		unsigned char *colon = memchr(line, ':', (size_t)(facts->at - line));
		next = end ? end + 1 : facts->at;
		if (!colon || colon >= next || !is_wanted(names, (char *)line, (size_t)(colon - line)))
			continue;
		memmove(kept, line, (size_t)(next - line));
		kept += next - line;
	}
	facts->at = item;
	return put(facts, NULL, (uint32_t)(kept - begin));
}

static int put_link(struct facts *facts, int process, const char *name)
{
	char target[64];
	ssize_t length = readlinkat(process, name, target, sizeof target);

	return length < 0 ? -errno : put(facts, target, (uint32_t)length);
}

/* A root directory is told by its inode and by its mount: one that is bound to another place has other mounts below it. */
static int put_root(struct facts *facts, int process)
{
	struct statx status = { 0 };

	if (statx(process, "root", 0, STATX_INO | STATX_MNT_ID, &status) < 0)
		return -errno;
	uint64_t root[] = { status.stx_dev_major, status.stx_dev_minor, status.stx_ino, status.stx_mnt_id };
	return status.stx_mask & STATX_MNT_ID ? put(facts, root, sizeof root) : -ENOSYS;
}

int mr_facts(int pid, const char *names, void *buffer, size_t size)
{
	static const char *const namespaces[] = { "ns/cgroup", "ns/ipc",  "ns/mnt",		   "ns/net",  "ns/pid", "ns/pid_for_children",
						  "ns/time",   "ns/time_for_children", "ns/user", "ns/uts" };
	struct facts facts = { .at = buffer, .end = (unsigned char *)buffer + size };
	char path[32];
	int error;

	(void)snprintf(path, sizeof path, "/proc/%d", pid);
	MR_AUTOCLOSE process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process < 0)
		return -errno;
	error = put_lines(&facts, process, "status", names);
	error = error < 0 ? error : put_file(&facts, process, "cgroup");
	error = error < 0 ? error : put_file(&facts, process, "personality");
	error = error < 0 ? error : put_root(&facts, process);
	if (error >= 0 && put_file(&facts, process, "attr/current") < 0) /* no security module has one */
		error = put(&facts, NULL, 0);
	for (size_t i = 0; error >= 0 && i < sizeof namespaces / sizeof *namespaces; i++)
		error = put_link(&facts, process, namespaces[i]);
	return error < 0 ? error : (int)(facts.at - (unsigned char *)buffer);
}

/* ---- What is taken on ------------------------------------------------------------------------------------------------ */

static int take_limits(pid_t pid, bool as_far_as_possible)
{
	for (int resource = 0; resource < RLIMIT_NLIMITS; resource++) {
		struct rlimit theirs, ours;
		if (prlimit(pid, resource, NULL, &theirs) < 0 || prlimit(0, resource, NULL, &ours) < 0)
			return -errno;
		if ((theirs.rlim_cur == ours.rlim_cur && theirs.rlim_max == ours.rlim_max) || setrlimit(resource, &theirs) == 0)
			continue;
		if (!as_far_as_possible)
			return -errno;
		ours.rlim_cur = theirs.rlim_cur < ours.rlim_max ? theirs.rlim_cur : ours.rlim_max; /* RLIM_INFINITY is the highest */
		setrlimit(resource, &ours);
	}
	return 0;
}

static int take_scheduling(pid_t pid)
{
	struct attributes theirs = { 0 }, ours = { 0 };
	unsigned long their_cpus[CPU_WORDS] = { 0 }, our_cpus[CPU_WORDS] = { 0 };
	long their_io = syscall(SYS_ioprio_get, PRIORITY_OF_PROCESS, pid), our_io = syscall(SYS_ioprio_get, PRIORITY_OF_PROCESS, 0);

	if (syscall(SYS_sched_getattr, pid, &theirs, sizeof theirs, 0) < 0 ||
	    syscall(SYS_sched_getattr, 0, &ours, sizeof ours, 0) < 0)
		return -errno;
	if (memcmp(&theirs, &ours, sizeof ours) != 0 && syscall(SYS_sched_setattr, 0, &theirs, 0) < 0)
		return -errno;
	if (syscall(SYS_sched_getaffinity, pid, sizeof their_cpus, their_cpus) < 0 ||
	    syscall(SYS_sched_getaffinity, 0, sizeof our_cpus, our_cpus) < 0)
		return -errno;
	if (memcmp(their_cpus, our_cpus, sizeof our_cpus) != 0 &&
	    syscall(SYS_sched_setaffinity, 0, sizeof their_cpus, their_cpus) < 0)
		return -errno;
	if (their_io < 0 || our_io < 0)
		return -errno;
	return their_io == our_io ? 0 : mr_result(syscall(SYS_ioprio_set, PRIORITY_OF_PROCESS, 0, their_io));
}

int mr_adopt(int pid)
{
	int error = take_limits(pid, false);
	return error < 0 ? error : take_scheduling(pid);
}

int mr_be_as(int pid)
{
	int error = take_limits(pid, true);
	return error < 0 ? error : take_scheduling(pid);
}

int mr_end_with_parent(int parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

int mr_leave_keyring(void)
{
	return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 ? -errno : 0;
}

int mr_set_environment(const char *block, size_t count)
{
	char **variables = calloc(count + 1, sizeof *variables);

	if (!variables)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++, block += strlen(block) + 1) {
		variables[i] = strdup(block); /* for as long as the process: the C library's environment is never given back */
		if (!variables[i])
			return -ENOMEM;
	}
	environ = variables;
	return 0;
}

int mr_set_signal_mask(uint64_t blocked)
{
	sigset_t set;

	sigemptyset(&set);
	for (int number = 1; number < NSIG; number++)
		if (blocked >> (number - 1) & 1)
			sigaddset(&set, number); /* refused for those that the C library needs: it has them never blocked */
	return mr_result(sigprocmask(SIG_SETMASK, &set, NULL));
}
