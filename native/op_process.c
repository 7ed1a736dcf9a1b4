/* op_process.c: what a process is, apart from who it is: session, limits, signals, directory, descriptors.
 *
 * Owns: attributes that survive exec. Leaves to others: users and privileges (op_identity.c), the terminal (op_terminal.c).
 */
#include "internal.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

MR_ACTION(SESSION)
{
	(void)walk, (void)argument;
	return setsid() < 0 ? -errno : 0;
}

/* signal. The monitor may have died before the call: then nobody holds the other end of the socket. */
MR_ACTION(DEATH_SIGNAL)
{
	int error = mr_result(prctl(PR_SET_PDEATHSIG, (unsigned long)argument[0].number));

	if (error == 0 && poll(&(struct pollfd){ .fd = walk->socket }, 1, 0) > 0)
		mr_exit(1);
	return error;
}

/* resource soft hard. Raising the hard limit needs CAP_SYS_RESOURCE of the host: a child in a user namespace hasn't got it, its
 * parent may. */
MR_ACTION(RLIMIT)
{
	struct rlimit64 limit = { .rlim_cur = argument[1].number, .rlim_max = argument[2].number };
	pid_t whose = walk->side == MR_SIDE_PARENT ? walk->child : 0;

	return mr_result(syscall(SYS_prlimit64, whose, (unsigned)argument[0].number, &limit, NULL));
}

/* adjustment. Through a procfs of our own: the container's may have anything mounted over the file (CVE-2025-52881). */
MR_ACTION(OOM_SCORE)
{
	int64_t adjustment = (int64_t)argument[0].number;
	int procfs = mr_private_procfs(walk), length;
	MR_AUTOCLOSE file = -1;
	char text[16];

	if (procfs < 0)
		return procfs;
	if (adjustment < -1000 || adjustment > 1000)
		return -EINVAL;
	file = mr_open_beneath(procfs, "self/oom_score_adj", O_WRONLY);
	if (file < 0)
		return file;
	length = snprintf(text, sizeof text, "%d", (int)adjustment);
	return write(file, text, (size_t)length) < 0 ? -errno : 0;
}

/* mask */
MR_ACTION(UMASK)
{
	(void)walk;
	umask((mode_t)argument[0].number & 0777);
	return 0;
}

/* path. `/proc/self/fd/7` and the like lead out of the root: magic links aren't followed, and a directory that isn't
 * reachable from the root is refused however we got there (CVE-2024-21626); getcwd(2) says "(unreachable)" then. */
MR_ACTION(DIRECTORY_CHANGE)
{
	MR_AUTOCLOSE directory = mr_openat2(AT_FDCWD, argument[0].data, O_PATH | O_DIRECTORY, 0, RESOLVE_NO_MAGICLINKS);
	char path[PATH_MAX];
	long length;

	(void)walk;
	if (directory < 0)
		return directory;
	if (fchdir(directory) < 0)
		return -errno;
	length = syscall(SYS_getcwd, path, sizeof path);
	if (length < 0)
		return errno == ERANGE ? -ENAMETOOLONG : -errno;
	return path[0] == '/' ? 0 : -ENOENT;
}

/* clone3 has reset what was handled (CLONE_CLEAR_SIGHAND); what was ignored would stay so across exec. */
MR_ACTION(SIGNALS)
{
	/* the kernel's own struct, all zero: SIG_DFL, no flags. sigaction(3) would refuse glibc's two, which a caller's
	 * caller may have left ignored. */
	unsigned long standard[8] = { 0 };
	uint64_t none = 0;

	(void)walk, (void)argument;
	for (int number = 1; number < NSIG; number++)
		syscall(SYS_rt_sigaction, number, standard, NULL, sizeof none); /* SIGKILL, SIGSTOP: refused, rightly */
	return mr_result(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none));
}

static void end(int number)
{
	mr_exit(128 + number);
}

/* Process 1 of a pid namespace has no default actions: nothing but SIGKILL would end a container that waits for its start.
 * execve(2) resets what is handled. pid_namespaces(7) */
MR_ACTION(MORTAL)
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	struct sigaction action = { .sa_handler = end };

	(void)walk, (void)argument;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (sigaction(numbers[i], &action, NULL) < 0)
			return -errno;
	return 0;
}

/* keep. close_range(2), Linux 5.9; CLOSE_RANGE_CLOEXEC 5.11. Our own descriptors live until exec. */
MR_ACTION(SEAL)
{
	(void)walk;
	return mr_result(syscall(SYS_close_range, (unsigned)argument[0].number, ~0u, CLOSE_RANGE_CLOEXEC));
}

/* Closes what lies between the descriptors that stay; `kept` is sorted by need. close_range(2) */
static int close_all_but(int from, int kept[3])
{
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2 - i; j++)
			if (kept[j] > kept[j + 1]) {
				int lower = kept[j + 1];

				kept[j + 1] = kept[j];
				kept[j] = lower;
			}
	for (int i = 0; i < 3; i++) {
		if (kept[i] > from && syscall(SYS_close_range, (unsigned)from, (unsigned)kept[i] - 1, 0u) < 0)
			return -errno;
		if (kept[i] >= from)
			from = kept[i] + 1;
	}
	return mr_result(syscall(SYS_close_range, (unsigned)from, ~0u, 0u));
}

/* keep gate verdict. Who waits at a gate waits for as long as others like, with the privileges of its program only: nothing of the
 * host's (its cgroup, its devices, the trees that were mounted) is there to be taken from it meanwhile. */
MR_ACTION(FORGET)
{
	uint64_t gate = argument[1].number, verdict = argument[2].number;
	int kept[3] = { walk->socket, mr_slot(walk, gate), mr_slot(walk, verdict) };

	if (kept[1] < 0 || kept[2] < 0 || argument[0].number > INT_MAX)
		return -EBADF;
	walk->netlink = walk->procfs = walk->empty = walk->terminal = -1;
	for (unsigned slot = 0; slot < MR_SLOTS; slot++)
		if (slot != gate && slot != verdict)
			walk->slots.descriptors[slot] = -1;
	return close_all_but((int)argument[0].number, kept);
}

MR_ACTION(INIT)
{
	(void)walk, (void)argument;
	return mr_op_init();
}
