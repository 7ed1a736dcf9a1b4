/* op_hooks.c: programs that the plan runs on the way: hooks inside the container.
 *
 * Owns: one hook's process, from fork to its end. Leaves to others: which hooks (the plan), hooks in the runtime's own
 * namespaces (runtime/hooks.py).
 *
 * A hook runs as confined as we are at that point, so what is used here are system calls that a filter for ordinary programs
 * knows: clone, pipe2, dup2, write, wait4, poll.
 */
#include "internal.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The state's parts and our process id, as one text. A hook that doesn't read it closes the pipe by its end at the latest. */
static int write_all(int pipe, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t written = write(pipe, data, length);

		if (written < 0)
			return errno == EPIPE ? 0 : -errno;
		data += written;
		length -= (size_t)written;
	}
	return 0;
}

static int write_state(int pipe, const struct mr_argument *head, const struct mr_argument *tail)
{
	char number[24];
	int length = snprintf(number, sizeof number, "%d", getpid());
	int error = write_all(pipe, head->data, head->length);

	if (error == 0)
		error = write_all(pipe, number, (size_t)length);
	return error < 0 ? error : write_all(pipe, tail->data, tail->length);
}

/* In the hook's process. */
static _Noreturn void execute(struct mr_walk *walk, const struct mr_argument *argument, int input, int *failure)
{
	size_t count = (size_t)argument[1].number + (size_t)argument[2].number + 2;
	char **argv = mmap(NULL, count * sizeof *argv, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (argv != MAP_FAILED && dup2(input, 0) >= 0) {
		char **environment = mr_vector_list(mr_vector_of(&argument[1]), argv) + 1;

		mr_vector_list(mr_vector_of(&argument[2]), environment);
		mr_do_SIGNALS(walk, NULL);
		syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
		execve(argument[0].data, argv, environment);
	}
	*failure = errno;
	_exit(127);
}

/* Waits until the process has ended; -ETIMEDOUT and the process killed after timeout_ms (0: never). pidfd_open(2) may be
 * forbidden here: then there is no time limit. */
static int attend(pid_t pid, uint64_t timeout_ms, int *status)
{
	int error = 0;

	if (timeout_ms > 0) {
		MR_AUTOCLOSE pidfd = mr_result(syscall(SYS_pidfd_open, pid, 0));
		struct pollfd watched = { .fd = pidfd, .events = POLLIN };

		if (pidfd >= 0 && poll(&watched, 1, timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms) == 0) {
			kill(pid, SIGKILL);
			error = -ETIMEDOUT;
		}
	}
	while (waitpid(pid, status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return error;
}

/* path argv environment state_head state_tail timeout_ms */
MR_ACTION(HOOK)
{
	int *failure = mmap(NULL, sizeof *failure, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ends[2], status = 0, error;
	sighandler_t before;
	pid_t pid;

	if (failure == MAP_FAILED)
		return -errno;
	*failure = 0;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	before = signal(SIGPIPE, SIG_IGN);
	/* clone(2), not clone3: a filter that holds already answers that with ENOSYS */
	pid = mr_result(syscall(SYS_clone, (unsigned long)SIGCHLD, 0L, 0L, 0L, 0L));
	if (pid == 0)
		execute(walk, argument, ends[0], failure);
	error = pid < 0 ? (int)pid : 0;
	mr_close(&ends[0]);
	if (error == 0)
		error = write_state(ends[1], &argument[3], &argument[4]);
	mr_close(&ends[1]);
	signal(SIGPIPE, before);
	if (pid > 0) {
		int ended = attend(pid, argument[5].number, &status);

		error = error < 0 ? error : ended;
	}
	if (error == 0 && *failure)
		error = -*failure;
	else if (error == 0 && status != 0)
		error = -ECANCELED;
	munmap(failure, sizeof *failure);
	return error;
}
