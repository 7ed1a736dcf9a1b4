/* op_hooks.c: programs that the plan runs on the way: hooks inside the container.
 *
 * Owns: one hook's process, from fork to its end. Leaves to others: which hooks (the plan), hooks in the runtime's own
 * namespaces (runtime/hooks.py).
 *
 * A hook runs as confined as we are at that point, so what is used here are system calls that a filter for ordinary programs
 * knows: clone, pipe2, dup2, write, wait4, poll. pidfd_open is asked for, and what it would tell is looked for where it is refused.
 *
 *     we                                          the hook
 *       | clone ---------------------------------> | execve; an error of it is left in memory that both have
 *       | state, as much as the pipe takes ------> | reads it, or doesn't
 *       | poll: room in the pipe, its end, or      |
 *       |       its time is up: SIGKILL ---------> |
 *       | wait4 <--------------------------------- | ends
 */
#include "internal.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FOREVER UINT64_MAX
#define GLANCE_MS 10 /* between two looks, where no pidfd wakes us */

/* What is left of the state to be written: head, our process id, tail. */
struct state {
	struct {
		const char *data;
		size_t length;
	} parts[3];
	char pid[16];
};

static void compose(struct state *state, const struct mr_argument *head, const struct mr_argument *tail)
{
	int length = snprintf(state->pid, sizeof state->pid, "%d", getpid());

	state->parts[0].data = head->data;
	state->parts[0].length = head->length;
	state->parts[1].data = state->pid;
	state->parts[1].length = (size_t)length;
	state->parts[2].data = tail->data;
	state->parts[2].length = tail->length;
}

/* Writes what the pipe takes: 1 when nothing is left to write or nobody to read it, 0 when the pipe is full, or -errno. */
static int feed(int input, struct state *state)
{
	for (unsigned i = 0; i < 3; i++)
		while (state->parts[i].length > 0) {
			ssize_t written = write(input, state->parts[i].data, state->parts[i].length);

			if (written < 0 && errno == EINTR)
				continue;
			if (written < 0)
				return errno == EPIPE ? 1 : errno == EAGAIN ? 0 : -errno;
			state->parts[i].data += written;
			state->parts[i].length -= (size_t)written;
		}
	return 1;
}

/* What a hook says in vain is no output of the container; what it complains about may be read. O_NONBLOCK: in a root file system
 * without a /dev of ours the name may be a FIFO's. */
static void silence(int input)
{
	int null = open("/dev/null", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	dup2(null >= 0 ? null : input, 1); /* the latter can't be written to */
}

/* In the hook's process. */
static _Noreturn void execute(struct mr_walk *walk, const struct mr_argument *argument, int input, pid_t parent, int *failure)
{
	size_t count = (size_t)argument[1].number + (size_t)argument[2].number + 2;
	char **argv = mmap(NULL, count * sizeof *argv, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a start that is abandoned leaves no hook behind */
	if (getppid() != parent)
		mr_exit(128 + SIGKILL);
	silence(input);
	if (argv != MAP_FAILED && dup2(input, 0) >= 0) {
		char **environment = mr_vector_list(mr_vector_of(&argument[1]), argv) + 1;

		mr_vector_list(mr_vector_of(&argument[2]), environment);
		mr_do_SIGNALS(walk, NULL);
		syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
		execve(argument[0].data, argv, environment);
	}
	*failure = errno;
	mr_exit(127);
}

/* Who has become another user can't be killed without CAP_KILL: it isn't waited for then. */
static int end(pid_t pid, int error)
{
	if (kill(pid, SIGKILL) == 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	return error;
}

/* Until the pipe takes more, the process has ended, or the deadline is reached, and sometimes earlier. */
static void await(int input, int pidfd, uint64_t left)
{
	struct pollfd watched[2] = { { .fd = input, .events = POLLOUT }, { .fd = pidfd, .events = POLLIN } };
	uint64_t milliseconds = left == FOREVER ? INT_MAX : left / 1000000 + 1;

	if (pidfd < 0 && milliseconds > GLANCE_MS)
		milliseconds = GLANCE_MS;
	poll(watched, 2, milliseconds > INT_MAX ? INT_MAX : (int)milliseconds);
}

/* Hands the state over and waits for the hook's end, both at once: it may do neither. Closes `input` early, so that a hook that
 * reads until the end finds one. 0, or -ETIMEDOUT with the hook killed, or -errno. */
static int attend(pid_t pid, int *input, struct state *state, uint64_t timeout_ms, int *status)
{
	uint64_t now = mr_clock(), deadline = FOREVER;
	MR_AUTOCLOSE pidfd = -1;
	bool asked = false;

	if (timeout_ms > 0 && timeout_ms < (FOREVER - now) / 1000000)
		deadline = now + timeout_ms * 1000000;
	for (;;) {
		int fed = *input >= 0 ? feed(*input, state) : 1;
		bool must_watch;
		pid_t ended;

		if (fed < 0)
			return end(pid, fed);
		if (fed > 0)
			mr_close(input);
		must_watch = *input >= 0 || deadline != FOREVER;
		ended = waitpid(pid, status, must_watch ? WNOHANG : 0);
		if (ended == pid)
			return 0;
		if (ended < 0 && errno != EINTR)
			return -errno;
		if (!must_watch)
			continue;
		now = mr_clock();
		if (now >= deadline)
			return end(pid, -ETIMEDOUT);
		if (!asked)
			pidfd = mr_result(syscall(SYS_pidfd_open, pid, 0));
		asked = true;
		await(*input, pidfd, deadline == FOREVER ? FOREVER : deadline - now);
	}
}

/* Forks, hands the state over, waits; the hook's wait status, or -errno. */
static int run(struct mr_walk *walk, const struct mr_argument *argument, int *failure)
{
	MR_AUTOCLOSE output = -1;
	MR_AUTOCLOSE input = -1;
	int ends[2], status = 0, error;
	pid_t pid, self = getpid();
	struct state state;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	output = ends[0];
	input = ends[1];
	if (fcntl(input, F_SETFL, O_NONBLOCK) < 0) /* this end alone: the hook's blocks as usual */
		return -errno;
	compose(&state, &argument[3], &argument[4]);
	/* clone(2), not clone3: a filter that holds already answers that with ENOSYS */
	pid = mr_result(syscall(SYS_clone, (unsigned long)SIGCHLD, 0L, 0L, 0L, 0L));
	if (pid == 0)
		execute(walk, argument, output, self, failure);
	if (pid < 0)
		return (int)pid;
	mr_close(&output); /* or there would always be a reader */
	error = attend(pid, &input, &state, argument[5].number, &status);
	return error < 0 ? error : status;
}

/* path argv environment state_head state_tail timeout_ms */
MR_ACTION(HOOK)
{
	int *failure = mmap(NULL, sizeof *failure, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	sighandler_t on_pipe, on_child;
	int status;

	if (failure == MAP_FAILED)
		return -errno;
	*failure = 0;
	on_pipe = signal(SIGPIPE, SIG_IGN);
	on_child = signal(SIGCHLD, SIG_DFL); /* ignored, as a caller may have left it, nobody would learn how a child ended */
	status = run(walk, argument, failure);
	signal(SIGPIPE, on_pipe);
	signal(SIGCHLD, on_child);
	if (status > 0)
		status = *failure ? -*failure : -ECANCELED;
	munmap(failure, sizeof *failure);
	return status;
}
