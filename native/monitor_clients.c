/* monitor_clients.c: who listens to this container, and what they say. The protocol is drawn in minirun.h.
 *
 * Owns: the owner's socket, attach.sock, messages in and out.
 * Leaves to others: what is done with the descriptors that a client sends (monitor_output.c,
 * monitor_input.c).
 *
 * Clients are trusted as far as the socket's mode goes (root), but not to be well: any may send garbage, stop reading or die between
 * two bytes. What isn't understood ends that client and nothing else.
 */
#include "monitor.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct client clients[CLIENTS];
static struct client *const owner = &clients[0];
static struct watch listener = { .fd = -1 };
static struct mr_message started, ended; /* kind 0: not yet */
static bool acknowledged;

#define DESCRIPTORS 3 /* in one message, at most */
/* The kernel fills the control buffer to its end, and that is rounded up: one descriptor more than was made room for may come. */
#define RECEIVED ((CMSG_SPACE(sizeof(int) * DESCRIPTORS) - CMSG_LEN(0)) / sizeof(int))

static void client_ready(void *context);

static void open_client(struct client *client, int socket)
{
	*client = (struct client){ .owner = client == owner };
	client->input.fd = -1;
	for (int stream = 0; stream < STREAMS; stream++) {
		client->output[stream].client = client;
		client->output[stream].stream = (enum mr_log_stream)stream;
		client->output[stream].pipe.fd = -1;
	}
	watch_open(&client->socket, socket, client_ready, client);
	watch_for(&client->socket, EPOLLIN);
}

static void detach(struct client *client)
{
	input_detach(client);
	output_detach(client);
}

static void close_client(struct client *client)
{
	watch_close(&client->socket);
	detach(client);
}

static void tell(struct client *client, const struct mr_message *message)
{
	/* never waits: a client that doesn't read its few messages has only itself to blame */
	send(client->socket.fd, message, sizeof *message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* ---- messages in ---------------------------------------------------------------------------------------------- */

static bool is_pipe(int fd, int mode)
{
	struct stat status;
	return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) && (fcntl(fd, F_GETFL) & O_ACCMODE) == mode;
}

/* Descriptors come in the order stdin, stdout, stderr, as many as bits are set. They must be pipes, which is all that can be
 * waited for, be told to not block without a side effect on anybody else, and take tee(2). */
static bool attach(struct client *client, uint64_t bits, int fds[RECEIVED])
{
	static const int modes[DESCRIPTORS] = { O_RDONLY, O_WRONLY, O_WRONLY };
	int place[DESCRIPTORS] = { -1, -1, -1 }, next = 0;
	if (client->attached)
		return false;
	for (int stream = 0; stream < DESCRIPTORS; stream++) {
		if (!(bits & (MR_ATTACH_STDIN << stream)))
			continue;
		if (!is_pipe(fds[next], modes[stream]))
			return false;
		place[stream] = next++;
	}
	int taken[DESCRIPTORS] = { -1, -1, -1 };
	for (int stream = 0; stream < DESCRIPTORS; stream++) {
		if (place[stream] >= 0) {
			taken[stream] = fds[place[stream]];
			fds[place[stream]] = -1;
		}
	}
	client->attached = true;
	client->trace = (bits & MR_ATTACH_TRACE) != 0;
	output_attach(client, MR_LOG_STDOUT, taken[1]);
	output_attach(client, MR_LOG_STDERR, taken[2]);
	input_attach(client, taken[0]);
	if (started.kind)
		tell(client, &started);
	return true;
}

static bool handle(struct client *client, const struct mr_message *message, int fds[RECEIVED])
{
	switch (message->kind) {
	case MR_MSG_ATTACH:
		return attach(client, message->value, fds);
	case MR_MSG_RESIZE:
		output_resize(message->value);
		return true;
	case MR_MSG_CLOSE_STDIN:
		input_close_for(client);
		return true;
	case MR_MSG_ACK:
		acknowledged = acknowledged || (client->owner && client->told);
		return client->owner;
	default:
		return false;
	}
}

/* Fills fds with what came along, -1 elsewhere. */
static void received_descriptors(struct msghdr *header, int fds[RECEIVED])
{
	const struct cmsghdr *part = CMSG_FIRSTHDR(header); /* of which there is one at most: nothing else was asked for. unix(7) */

	memset(fds, 0xff, sizeof(int) * RECEIVED);
	if (part && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(part), part->cmsg_len - CMSG_LEN(0)); /* fits: so does the buffer */
}

/* Takes one message; false when the client has hung up or isn't making sense. */
static bool receive(struct client *client)
{
	struct mr_message message;
	union {
		char bytes[CMSG_SPACE(sizeof(int) * DESCRIPTORS)];
		struct cmsghdr align;
	} control;
	struct iovec part = { &message, sizeof message };
	struct msghdr header = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
	};
	ssize_t got = recvmsg(client->socket.fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	int fds[RECEIVED];
	received_descriptors(&header, fds);
	bool understood = got == sizeof message && !(header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
			  handle(client, &message, fds);
	for (size_t i = 0; i < RECEIVED; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return understood;
}

static void client_ready(void *context)
{
	if (!receive(context))
		close_client(context);
}

/* ---- the owner ------------------------------------------------------------------------------------------------ */

void clients_init(int owner_socket)
{
	for (struct client *client = clients; client < clients + CLIENTS; client++)
		open_client(client, client == owner ? owner_socket : -1);
}

int clients_await_owner(void)
{
	while (!owner->attached && owner->socket.fd >= 0) {
		struct pollfd state = { .fd = owner->socket.fd, .events = POLLIN };
		poll(&state, 1, -1);
		client_ready(owner);
	}
	return owner->attached && owner->socket.fd >= 0 ? 0 : -ECANCELED;
}

bool clients_trace(void)
{
	while (owner->socket.fd >= 0) {
		struct pollfd state = { .fd = owner->socket.fd, .events = POLLIN };
		if (poll(&state, 1, 0) <= 0)
			break;
		client_ready(owner);
	}
	return owner->trace;
}

void clients_report(void *context, const struct mr_message *message)
{
	(void)context;
	/* a trace is as many messages as the plan has operations: let a slow reader catch up, but not stop the start */
	struct pollfd state = { .fd = owner->socket.fd, .events = POLLOUT };
	if (owner->socket.fd >= 0 && poll(&state, 1, 1000) > 0)
		tell(owner, message);
}

void clients_started(const struct mr_message *message)
{
	started = *message;
	for (struct client *client = clients; client < clients + CLIENTS; client++)
		if (client->socket.fd >= 0 && (client->owner || client->attached))
			tell(client, &started);
}

/* ---- the exit ------------------------------------------------------------------------------------------------- */

void clients_settle(struct client *client)
{
	if (!ended.kind || client->told || client->socket.fd < 0 || output_owes(client))
		return;
	client->told = true;
	detach(client); /* pipes first: what is in them is all that there will ever be */
	tell(client, &ended);
	if (!client->owner)
		close_client(client);
}

void clients_exited(const struct mr_message *message)
{
	ended = *message;
	watch_close(&listener);
	for (struct client *client = clients; client < clients + CLIENTS; client++)
		clients_settle(client);
}

bool clients_owner_waits(void)
{
	return owner->socket.fd >= 0 && !acknowledged;
}

bool clients_others_wait(void)
{
	for (struct client *client = clients + 1; client < clients + CLIENTS; client++)
		if (client->socket.fd >= 0)
			return true;
	return false;
}

bool clients_acknowledged(void)
{
	return acknowledged;
}

void clients_close_owner(void)
{
	close_client(owner);
}

/* ---- attach.sock ---------------------------------------------------------------------------------------------- */

static void listener_ready(void *context)
{
	(void)context;
	int socket = accept4(listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (socket < 0)
		return;
	for (struct client *client = clients + 1; client < clients + CLIENTS; client++) {
		if (client->socket.fd < 0 && client->input.fd < 0) { /* nobody, not even somebody's last words */
			open_client(client, socket);
			return;
		}
	}
	close(socket); /* enough is enough */
}

int clients_listen(int run_directory)
{
	/* a path below the open directory, since sun_path holds 108 bytes and a directory's name may be longer: unix(7) */
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/attach.sock", run_directory);
	MR_AUTOCLOSE fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	mode_t mask = umask(0177);
	int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
	umask(mask);
	if (bound < 0 || listen(fd, 8) < 0)
		return -errno;
	watch_open(&listener, fd, listener_ready, NULL);
	watch_for(&listener, EPOLLIN);
	fd = -1;
	return 0;
}
