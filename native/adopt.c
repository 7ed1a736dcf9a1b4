/* adopt.c: what a worker of the preloaded process (minirun/warm/) takes on of its caller, as far as Python can't.
 *
 * Owns: a fork into a cgroup, the facts of a process that system calls can read and copy, the environment as it is. Leaves to
 * others: which of them are to be taken on, and when (minirun/warm/adopt.py).
 */
#include "internal.h"

#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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
