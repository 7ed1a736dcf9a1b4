/* enter.c: a process in namespaces that are there already: those of a container (exec), or some by path.
 *
 * Owns: the way in. Leaves to others: what the process does there (the child's side of the plan).
 *
 *     caller ---- clone3 (in the container's cgroup) ----> A   verifies the target, setns; the plan's enter side
 *       |                                                  |
 *       |  <--------- clone3 with CLONE_PARENT ----------- +-> B   born inside, a child of the caller
 *       |  waits for A, learns B's number
 *
 * setns on a pid namespace holds for children only, and who has joined a user namespace is no longer the host's root, hence two
 * processes; CLONE_PARENT makes B a sibling of A, so that the
 * caller waits for it and PR_SET_PDEATHSIG means the caller. A passes B's number in a page that both see: on the socket it
 * could come after what B says.
 *
 * A and B are invisible to the container until exec: not dumpable, so that its root can't open their /proc files, attach to
 * them or take their descriptors (CVE-2016-9962); with CAP_SYS_PTRACE in the host's user namespace it could.
 */
#include "internal.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct entry {
	pid_t pid;
	int error;
	uint32_t failed; /* operation */
};

/* Digits to a number; -EINVAL for anything else. */
static int64_t number(const char *text)
{
	int64_t value = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || value > INT_MAX)
			return -EINVAL;
		value = value * 10 + (*text - '0');
	}
	return value > INT_MAX ? -EINVAL : value;
}

/* The second field, the name, may hold anything, but is the only one with parentheses. */
int mr_start_time(const char *pid, uint64_t *ticks)
{
	char path[64] = "/proc/", text[1024], *at;
	MR_AUTOCLOSE stat = -1;
	ssize_t length;

	if (strlen(pid) > 20)
		return -EINVAL;
	strcat(strcat(path, pid), "/stat");
	stat = open(path, O_RDONLY | O_CLOEXEC);
	if (stat < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	length = read(stat, text, sizeof text - 1);
	if (length < 0)
		return -errno;
	text[length] = 0;
	at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return -EPROTO;
	*ticks = strtoull(at + 1, NULL, 10);
	return 0;
}

/* In A: joins the namespaces of the target, which is verified after its pidfd is open: were the number another process's
 * by now, its start time would differ. setns(2) with a pidfd: Linux 5.8, all namespaces or none. */
static int join(const struct mr_settings *settings)
{
	MR_AUTOCLOSE target = -1;
	int64_t pid = number(settings->enter);
	uint64_t started;
	int error;

	if (pid < 0)
		return (int)pid;
	target = mr_result(syscall(SYS_pidfd_open, (pid_t)pid, 0));
	if (target < 0)
		return target;
	error = mr_start_time(settings->enter, &started);
	if (error < 0)
		return error;
	if (started != settings->enter_start_time)
		return -ESRCH;
	return mr_result(setns(target, (int)settings->enter_flags));
}

/* In A: everything up to B's birth. 0 in B; A never comes back. */
static void help(struct entry *entry, const struct mr_settings *settings, struct mr_walk *walk, int ends[2])
{
	struct mr_walk inside;
	pid_t pid = -1;
	int error;

	/* Before B is born: the caller's end in our hands would hide from B that the caller is gone. In a frozen cgroup this is our
	 * first step, whenever that is. */
	mr_close(&ends[0]);
	if (!mr_tie(ends[1]))
		mr_exit(1);
	prctl(PR_SET_DUMPABLE, 0);
	error = settings->enter ? join(settings) : 0;
	if (error == 0) {
		mr_walk_init(&inside, walk->plan, MR_SIDE_ENTER);
		inside.slots = walk->slots;
		error = mr_walk_side(&inside, &entry->failed);
		walk->slots = inside.slots; /* B's too: what is made on the way in is made for it */
	}
	if (error == 0) {
		entry->failed = settings->clone_index;
		pid = mr_clone(CLONE_PARENT | settings->clone_flags, NULL, -1);
		if (pid == 0)
			return;
		error = pid < 0 ? (int)pid : 0;
		entry->pid = pid;
	}
	entry->error = error;
	mr_exit(0);
}

pid_t mr_enter(const struct mr_settings *settings, struct mr_walk *walk, int ends[2], int cgroup, int *pidfd,
	       uint32_t *failed)
{
	struct entry *entry = mmap(NULL, sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t helper, pid;
	int error;

	if (entry == MAP_FAILED)
		return -errno;
	*entry = (struct entry){ .error = -ECHILD, .failed = settings->clone_index }; /* when it dies without a word */
	helper = mr_clone(0, NULL, cgroup);
	if (helper == 0) {
		help(entry, settings, walk, ends);
		return 0;
	}
	if (helper < 0) {
		munmap(entry, sizeof *entry);
		return helper;
	}
	while (waitpid(helper, NULL, __WALL) < 0 && errno == EINTR)
		;
	error = entry->error;
	pid = entry->pid;
	*failed = entry->failed;
	munmap(entry, sizeof *entry);
	if (error < 0)
		return error;
	/* B is our child: its number stays its own until we wait for it. */
	*pidfd = mr_result(syscall(SYS_pidfd_open, pid, 0));
	if (*pidfd < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, __WALL);
		return *pidfd;
	}
	return pid;
}
