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

enum { PARTS = 3 };

/* What a hook reads: the state's two parts, with our process id between them. */
struct state {
	const char *data[PARTS];
	size_t length[PARTS];
	int part;
	char number[24];
};

static void describe(struct state *state, const struct mr_argument *head, const struct mr_argument *tail)
{
	*state = (struct state){ .data = { head->data, state->number, tail->data },
				 .length = { head->length, 0, tail->length } };
	state->length[1] = (size_t)snprintf(state->number, sizeof state->number, "%d", getpid());
}

/* Writes what the pipe takes now, and closes it after the last byte. A hook needn't read. */
static int feed(int *pipe, struct state *state)
{
	while (*pipe >= 0 && state->part < PARTS) {
		ssize_t written = write(*pipe, state->data[state->part], state->length[state->part]);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && errno == EAGAIN)
			return 0;
		if (written < 0 && errno != EPIPE)
			return -errno;
		if (written < 0)
			break;
		state->data[state->part] += written;
		state->length[state->part] -= (size_t)written;
		state->part += state->length[state->part] == 0;
	}
	mr_close(pipe);
	return 0;
}

/* In the hook's process. What it says in vain is no output of the container; what it complains about may be read. O_NONBLOCK: in a
 * root file system without a /dev of ours the name may be a FIFO's. */
static _Noreturn void execute(struct mr_walk *walk, const struct mr_argument *argument, int input, int *failure)
{
	size_t count = (size_t)argument[1].number + (size_t)argument[2].number + 2;
	char **argv = mmap(NULL, count * sizeof *argv, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int null = open("/dev/null", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (null >= 0)
		dup2(null, 1);
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

/* Milliseconds until `end`, for poll(2). */
static int until(uint64_t end)
{
	uint64_t now = mr_clock(), left = end > now ? (end - now) / 1000000 + 1 : 0;

	return left > INT_MAX ? INT_MAX : (int)left;
}

/* Hands the state over and waits until the process has ended; -ETIMEDOUT and the process killed after timeout_ms (0: never).
 * pidfd_open(2) may be forbidden here: then there is no time limit for a hook that has read its state. */
static int attend(pid_t pid, int *pipe, struct state *state, uint64_t timeout_ms, int *status)
{
	MR_AUTOCLOSE pidfd = mr_result(syscall(SYS_pidfd_open, pid, 0));
	uint64_t end = mr_clock() + (timeout_ms > INT_MAX ? INT_MAX : timeout_ms) * 1000000;
	int error = feed(pipe, state);

	while (error == 0 && (pidfd >= 0 || *pipe >= 0)) {
		struct pollfd watched[2] = { { .fd = pidfd, .events = POLLIN }, { .fd = *pipe, .events = POLLOUT } };
		int ready = poll(watched, 2, timeout_ms ? until(end) : -1);

		if (ready < 0 && errno != EINTR)
			error = -errno;
		else if (ready == 0)
			error = -ETIMEDOUT;
		else if (ready > 0 && watched[0].revents)
			break;
		else
			error = feed(pipe, state);
	}
	if (error < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return error;
}

/* path argv environment state_head state_tail timeout_ms */
MR_ACTION(HOOK)
{
	int *failure = mmap(NULL, sizeof *failure, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct state state;
	int ends[2], status = 0, error;
	sighandler_t before;
	pid_t pid;

	if (failure == MAP_FAILED)
		return -errno;
	*failure = 0;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		error = -errno;
		munmap(failure, sizeof *failure);
		return error;
	}
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	before = signal(SIGPIPE, SIG_IGN);
	describe(&state, &argument[3], &argument[4]);
	/* clone(2), not clone3: a filter that holds already answers that with ENOSYS */
	pid = mr_result(syscall(SYS_clone, (unsigned long)SIGCHLD, 0L, 0L, 0L, 0L));
	if (pid == 0)
		execute(walk, argument, ends[0], failure);
	mr_close(&ends[0]);
	error = pid < 0 ? (int)pid : attend(pid, &ends[1], &state, argument[5].number, &status);
	mr_close(&ends[1]);
	signal(SIGPIPE, before);
	if (error == 0 && *failure)
		error = -*failure;
	else if (error == 0 && status != 0)
		error = -ECANCELED;
	munmap(failure, sizeof *failure);
	return error;
}
