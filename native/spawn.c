/* spawn.c: a new process that walks the child's side of a plan, and the caller that walks the parent's.
 *
 * Owns: clone3, the socket between the two, SYNC, and what came of it. Leaves to others: joining namespaces (enter.c), the
 * operations (op_*.c), everything after exec (monitor.c).
 *
 *     caller                                      child
 *       | prepare's operations
 *       | clone3 ------------------------------->  |
 *       | parent's operations                      | child's operations
 *       | <------------- TRACE, TERMINAL --------- |
 *       | <------------- SYNC(n) ----------------- |
 *       | -------------- SYNC(n) ----------------> |
 *       | <------------- FAILED ------------------ | and exits
 *       | <------------- EXECUTING --------------- | READY or execve: the socket is close-on-exec, so the end of
 *       | <------------- (end of file) ----------- | file after EXECUTING without FAILED means success
 *
 * A child that READY has told to close the socket can wait at a GATE for as long as it likes, without a caller: the one who
 * opens the gate later reads the verdict.
 */
#include "internal.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t mr_clone(uint64_t flags, int *pidfd, int cgroup)
{
	struct clone_args arguments = {
		.flags = flags | CLONE_CLEAR_SIGHAND | (pidfd ? CLONE_PIDFD : 0) | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)(uintptr_t)pidfd,
		.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
		.cgroup = cgroup >= 0 ? (uint64_t)(unsigned)cgroup : 0,
	};

	return (pid_t)mr_result(syscall(SYS_clone3, &arguments, sizeof arguments));
}

/* ---- Messages ---- */

int mr_send(int socket, const struct mr_message *message, int descriptor)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec vector = { (void *)(uintptr_t)message, sizeof *message };
	struct msghdr header = { .msg_iov = &vector, .msg_iovlen = 1 };
	ssize_t sent;

	if (descriptor >= 0) {
		struct cmsghdr *rights;

		header.msg_control = control.space;
		header.msg_controllen = sizeof control.space;
		rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof descriptor);
		memcpy(CMSG_DATA(rights), &descriptor, sizeof descriptor);
	}
	do
		sent = sendmsg(socket, &header, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

int mr_receive(int socket, struct mr_message *message, int *descriptor)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec vector = { message, sizeof *message };
	struct msghdr header = { .msg_iov = &vector, .msg_iovlen = 1 };
	ssize_t received;

	if (descriptor) {
		*descriptor = -1;
		header.msg_control = control.space;
		header.msg_controllen = sizeof control.space;
	}
	do
		received = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR);
	if (received == 0 || (received < 0 && errno == ECONNRESET))
		return 0;
	if (received < 0)
		return -errno;
	if (descriptor) {
		struct cmsghdr *rights = CMSG_FIRSTHDR(&header);

		if (rights && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS &&
		    rights->cmsg_len >= CMSG_LEN(sizeof *descriptor))
			memcpy(descriptor, CMSG_DATA(rights), sizeof *descriptor);
	}
	return received == sizeof *message ? 1 : -EPROTO;
}

/* One message of the child: 1, 0 when there will be none any more, or -errno when it was its last word. */
static int hear(struct mr_walk *walk, struct mr_message *message)
{
	int descriptor, more = mr_receive(walk->socket, message, &descriptor);

	if (more <= 0)
		return more;
	switch (message->kind) {
	case MR_MSG_TRACE:
		if (walk->report)
			walk->report(walk->context, message);
		break;
	case MR_MSG_TERMINAL:
		mr_close(&walk->terminal);
		walk->terminal = descriptor;
		return 1;
	case MR_MSG_LISTENER: /* at once: whatever the child does next may wait for the answer of who holds it */
		message->pid = walk->child;
		more = walk->listener ? walk->listener(walk->context, message, descriptor) : 1;
		mr_close(&descriptor);
		if (more >= 0)
			more = mr_send(walk->socket, message, -1);
		return more < 0 ? more : 1;
	case MR_MSG_EXECUTING:
		walk->executing = true;
		break;
	case MR_MSG_FAILED:
		walk->failure = *message;
		break;
	default:
		break;
	}
	mr_close(&descriptor);
	return walk->failure.kind ? -walk->failure.error : 1;
}

/* The two sides meet. */
MR_ACTION(SYNC)
{
	struct mr_message message = { .kind = MR_MSG_SYNC, .value = argument[0].number };
	int more;

	if (walk->side == MR_SIDE_CHILD) {
		more = mr_send(walk->socket, &message, -1);
		if (more == 0)
			more = mr_receive(walk->socket, &message, NULL);
		if (more == 0)
			mr_exit(1); /* the other side is gone: nobody is left to tell */
		return more < 0 ? more : 0;
	}
	do {
		more = hear(walk, &message);
		if (more == 0)
			return -ECHILD;
		if (more < 0)
			return more;
	} while (message.kind != MR_MSG_SYNC);
	if (message.value != argument[0].number)
		return -EPROTO;
	return mr_send(walk->socket, &message, -1);
}

/* stage */
MR_ACTION(STAGE)
{
	struct mr_message message = { .kind = MR_MSG_STAGE, .value = argument[0].number, .pid = walk->child };

	return walk->stage ? walk->stage(walk->context, &message) : -EINVAL;
}

int mr_tell(const struct mr_walk *walk, const struct mr_message *message)
{
	ssize_t written;

	do
		written = write(walk->socket, message, sizeof *message);
	while (written < 0 && errno == EINTR);
	return written < 0 ? -errno : 0;
}

/* close: nothing is said after this. */
MR_ACTION(READY)
{
	struct mr_message message = { .kind = MR_MSG_EXECUTING };
	int error = mr_tell(walk, &message);

	walk->executing = error == 0;
	if (walk->executing && argument[0].number)
		mr_close(&walk->socket);
	return error;
}

/* gate verdict: two FIFOs, open for reading and writing so that neither ends while nobody else is there. Only read(2) and, when
 * something fails later, write(2): whatever filter holds by now, a program can hardly do without these. A byte 0 instead of 1
 * tells us to leave: whoever wanted to start this program was killed before he could say which process it is. */
MR_ACTION(GATE)
{
	int gate = mr_slot(walk, argument[0].number), verdict = mr_slot(walk, argument[1].number);
	ssize_t got;
	char byte;

	if (gate < 0 || verdict < 0)
		return -EBADF;
	do
		got = read(gate, &byte, 1);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if (got != 1 || byte == 0)
		mr_exit(1);
	walk->verdict = verdict;
	return 0;
}

/* ---- The child ---- */

/* The parent's end may have come before the call. getppid() can't tell, it is 0 in a new pid namespace. */
bool mr_tie(int socket)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && poll(&(struct pollfd){ .fd = socket }, 1, 0) == 0;
}

/* options->stdio becomes 0, 1, 2. A source may itself be one of these three. */
static int connect_stdio(const int stdio[3])
{
	int sources[3];

	for (int i = 0; i < 3; i++) {
		sources[i] = stdio[i];
		if (stdio[i] >= 0 && stdio[i] < 3 && stdio[i] != i) {
			sources[i] = fcntl(stdio[i], F_DUPFD_CLOEXEC, 3);
			if (sources[i] < 0)
				return -errno;
		}
	}
	for (int i = 0; i < 3; i++) {
		if (sources[i] < 0)
			continue;
		if (sources[i] == i ? fcntl(i, F_SETFD, 0) < 0 : dup2(sources[i], i) < 0)
			return -errno;
	}
	return 0;
}

static _Noreturn void child(const struct mr_walk *before, const struct mr_settings *settings,
			    const struct mr_spawn_options *options, int socket)
{
	struct mr_message message = { .kind = MR_MSG_FAILED };
	struct mr_walk walk;
	int error;

	if (!mr_tie(socket))
		mr_exit(1);
	/* Nobody in the container looks into this process, its descriptors or its executable before exec (CVE-2016-9962). */
	prctl(PR_SET_DUMPABLE, 0);
	umask(0022);
	/* Held by a child that waits at a gate, it would hide the caller's end from who listens at the other side. */
	if (options->own > 0)
		close(options->own);

	mr_walk_init(&walk, before->plan, MR_SIDE_CHILD);
	walk.socket = socket;
	walk.trace = options->trace;
	walk.entered = settings->enter != NULL;
	walk.slots = before->slots;
	message.operation = settings->clone_index;
	error = connect_stdio(options->stdio);
	if (error == 0)
		error = mr_walk_side(&walk, &message.operation);
	if (error == 0)
		error = -ENOEXEC; /* a plan without EXEC */
	message.error = -error;
	if (walk.verdict >= 0)
		error = (int)write(walk.verdict, &message, sizeof message);
	else if (walk.socket >= 0)
		mr_tell(&walk, &message);
	mr_exit(127);
}

/* ---- The caller ---- */

static int read_settings(const void *plan, struct mr_settings *settings)
{
	struct mr_cursor cursor;
	struct mr_operation operation;
	int more = mr_cursor_init(&cursor, plan, mr_plan_length(plan));

	*settings = (struct mr_settings){ .clone_index = MR_NO_OPERATION, .cgroup_index = MR_NO_OPERATION };
	if (more < 0)
		return more;
	while ((more = mr_cursor_next_of(&cursor, MR_SIDE_MONITOR, &operation)) > 0) {
		const struct mr_argument *argument = operation.arguments;

		if (operation.code == MR_OP_CGROUP) {
			settings->cgroup = argument[0].data;
			settings->cgroup_index = operation.index;
		} else if (operation.code == MR_OP_CLONE) {
			settings->clone_flags = argument[0].number;
			settings->clone_index = operation.index;
		} else if (operation.code == MR_OP_ENTER) {
			settings->enter = argument[0].data;
			settings->enter_start_time = argument[1].number;
			settings->enter_flags = argument[2].number;
			settings->clone_index = operation.index;
		}
	}
	if (more < 0)
		return more;
	mr_cursor_init(&cursor, plan, mr_plan_length(plan));
	more = mr_cursor_next_of(&cursor, MR_SIDE_ENTER, &operation);
	settings->needs_helper = settings->enter || more > 0;
	return more < 0 ? more : 0;
}

/* The caller's walk begins with the prepare side. */
static int prepare(struct mr_walk *walk, const void *plan, const struct mr_spawn_options *options, uint32_t *failed)
{
	mr_walk_init(walk, plan, MR_SIDE_PREPARE);
	walk->trace = options->trace;
	walk->report = options->report;
	walk->stage = options->stage;
	walk->listener = options->listener;
	walk->context = options->context;
	return mr_walk_side(walk, failed);
}

/* Walks the parent's side, then listens until the child executes its program. */
static int attend(struct mr_walk *walk, uint32_t *failed)
{
	struct mr_message message;
	int more = mr_walk_side(walk, failed);

	if (more < 0)
		return more;
	*failed = MR_NO_OPERATION;
	while ((more = hear(walk, &message)) > 0)
		;
	if (more == 0 && !walk->executing)
		return -ECHILD;
	return more;
}

/* A start that failed leaves no process. What the child said while it died is the better reason: when it has gone, what
 * the parent does to it fails too. */
static void abandon(struct mr_walk *walk, pid_t pid, int pidfd)
{
	struct mr_message message;

	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	while (!walk->failure.kind && hear(walk, &message) > 0)
		;
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

/* Clones the child. A new network namespace may be there already: the child is born in it, so that whoever plugs a device into
 * the child's network needn't wait for the child. It belongs to the user namespace that we live in: for a child that gets its own
 * another has to be made. setns(2). */
static pid_t give_birth(const struct mr_settings *settings, int network, int *pidfd, int cgroup)
{
	uint64_t flags = settings->clone_flags;

	if (network <= 0 || !(flags & CLONE_NEWNET) || flags & CLONE_NEWUSER)
		return mr_clone(flags, pidfd, cgroup);
	MR_AUTOCLOSE home = mr_result(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
	if (home < 0 || setns(network, CLONE_NEWNET) < 0)
		return home < 0 ? home : -errno;
	pid_t pid = mr_clone(flags & ~(uint64_t)CLONE_NEWNET, pidfd, cgroup);
	if (pid != 0 && setns(home, CLONE_NEWNET) < 0)
		mr_exit(125); /* not where we belong: the child goes with us (PR_SET_PDEATHSIG, or the closed socket) */
	return pid;
}

int mr_spawn(const void *plan, const struct mr_spawn_options *options, struct mr_spawned *spawned)
{
	MR_AUTOCLOSE cgroup = -1;
	int ends[2] = { -1, -1 }, pidfd = -1, error;
	struct mr_settings settings;
	struct mr_walk walk;
	uint32_t *failed = &spawned->message.operation;
	uint64_t start;
	pid_t pid;

	*spawned = (struct mr_spawned){ .pid = -1, .pidfd = -1, .terminal = -1 };
	spawned->message = (struct mr_message){ .kind = MR_MSG_FAILED, .operation = MR_NO_OPERATION };
	error = read_settings(plan, &settings);
	if (error == 0 && settings.enter && options->enter) {
		settings.enter = options->enter;
		settings.enter_start_time = options->enter_start_time;
	}
	if (error == 0)
		error = prepare(&walk, plan, options, failed);
	else
		mr_walk_init(&walk, plan, MR_SIDE_PREPARE);
	if (error < 0)
		goto failed;
	if (settings.cgroup) {
		*failed = settings.cgroup_index;
		cgroup = mr_result(open(settings.cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC));
		error = cgroup;
		if (error < 0)
			goto failed;
	}
	*failed = settings.clone_index;
	error = mr_result(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	if (error < 0)
		goto failed;

	start = mr_clock();
	pid = settings.needs_helper ? mr_enter(&settings, &walk, ends, cgroup, &pidfd, failed)
				    : give_birth(&settings, options->network, &pidfd, cgroup);
	if (pid == 0) {
		mr_close(&ends[0]);
		child(&walk, &settings, options, ends[1]);
	}
	mr_close(&ends[1]);
	error = (int)pid;
	if (pid < 0)
		goto failed;

	walk.side = MR_SIDE_PARENT;
	walk.socket = ends[0];
	walk.child = pid;
	mr_walk_trace(&walk, settings.clone_index, 0, mr_clock() - start);

	error = attend(&walk, failed);
	if (error < 0) {
		abandon(&walk, pid, pidfd);
		if (walk.failure.kind) {
			spawned->message = walk.failure;
			error = -walk.failure.error;
		}
		mr_close(&pidfd);
		goto failed;
	}
	mr_walk_close(&walk);
	close(ends[0]);
	*spawned = (struct mr_spawned){ .pid = pid, .pidfd = pidfd, .terminal = walk.terminal };
	spawned->message.kind = MR_MSG_STARTED;
	spawned->message.pid = pid;
	spawned->message.time = mr_wall_clock();
	return 0;

failed:
	mr_walk_close(&walk);
	mr_close(&walk.terminal);
	mr_close(&ends[0]);
	mr_close(&ends[1]);
	spawned->message.error = -error;
	return error;
}
