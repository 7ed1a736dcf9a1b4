/* monitor_plan.c: the plan, and the descriptors that come with it. Both arrive by the owner's socket, since the monitor is started
 * before there is a plan: its birth takes about as long as making one, and happens on another processor meanwhile.
 *
 * Owns: AHEAD, PLAN and HOLD. Leaves to others: all later messages (monitor_clients.c), what the plan says.
 */
#include "monitor.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int *held; /* used by nobody: closed when the container has ended */
static size_t held_count;

/* PLAN is followed by the numbers that its descriptors shall have, but for the first, which is the plan. */
struct parcel {
	struct mr_message message;
	int32_t numbers[MR_RIGHTS_MAX];
	int descriptors[MR_RIGHTS_MAX];
	size_t count;
};

/* One message: 0, -ECANCELED when the owner has gone, -EPROTO when it makes no sense, -EMFILE when there is no room for what
 * came along. Descriptors are ours in any case: who fails leaves, and takes them along. unix(7), SCM_RIGHTS. */
static int receive(int socket, struct parcel *parcel)
{
	union {
		char space[CMSG_SPACE(sizeof parcel->descriptors)];
		struct cmsghdr align;
	} control;
	struct iovec parts[] = { { &parcel->message, sizeof parcel->message }, { parcel->numbers, sizeof parcel->numbers } };
	struct msghdr header = {
		.msg_iov = parts, .msg_iovlen = 2, .msg_control = control.space, .msg_controllen = sizeof control.space
	};
	ssize_t got;
	do
		got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return -ECANCELED;
	if (header.msg_flags & MSG_CTRUNC)
		return -EMFILE;
	parcel->count = 0;
	struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
	if (rights && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
		parcel->count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(parcel->descriptors, CMSG_DATA(rights), parcel->count * sizeof(int));
	}
	size_t numbers = (size_t)got < sizeof parcel->message ? 0 : ((size_t)got - sizeof parcel->message) / sizeof(int32_t);
	bool is_plan = parcel->message.kind == MR_MSG_PLAN;
	if (parcel->message.kind == MR_MSG_AHEAD && parcel->count == 0 && numbers == 0)
		return 0;
	if (header.msg_flags & MSG_TRUNC || parcel->count == 0 || numbers != (is_plan ? parcel->count - 1 : 0))
		return -EPROTO;
	return 0;
}

/* Gives them their numbers. None of those is in use: what we hold ourselves is below, and they came in the first message. */
static int place(const struct parcel *parcel)
{
	for (size_t i = 1; i < parcel->count; i++) {
		int number = parcel->numbers[i - 1];
		if (number <= parcel->descriptors[parcel->count - 1])
			return -EBADF;
		if (dup3(parcel->descriptors[i], number, O_CLOEXEC) < 0)
			return -errno;
		close(parcel->descriptors[i]);
	}
	return 0;
}

static int hold(int socket, uint64_t expected)
{
	struct parcel parcel;
	held = expected ? calloc(expected, sizeof *held) : NULL;
	if (expected && !held)
		return -ENOMEM;
	while (held_count < expected) {
		int status = receive(socket, &parcel);
		if (status == 0 && (parcel.message.kind != MR_MSG_HOLD || parcel.count > expected - held_count))
			status = -EPROTO;
		if (status < 0)
			return status;
		memcpy(held + held_count, parcel.descriptors, parcel.count * sizeof(int));
		held_count += parcel.count;
	}
	return 0;
}

void leave_stdio(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

int plan_await(int socket, int *network, bool *ahead)
{
	struct parcel parcel;
	int status = receive(socket, &parcel);
	*network = -1;
	*ahead = status == 0 && parcel.message.kind == MR_MSG_AHEAD;
	if (*ahead) {
		if (parcel.message.value == CLONE_NEWNET)
			*network = mr_network_ahead();
		leave_stdio(); /* it may take long until there is a plan */
		status = receive(socket, &parcel);
	}
	if (status == 0 && parcel.message.kind != MR_MSG_PLAN)
		status = -EPROTO;
	if (status == 0)
		status = place(&parcel);
	if (status == 0)
		status = hold(socket, parcel.message.value);
	return status < 0 ? status : parcel.descriptors[0];
}

void plan_release_held(void)
{
	for (size_t i = 0; i < held_count; i++)
		close(held[i]);
	held_count = 0;
	free(held);
	held = NULL;
}
