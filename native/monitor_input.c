/* monitor_input.c: what clients say goes to the container.
 *
 *     client's pipe --splice(2)----> container's stdin
 *     client's pipe --read, write--> container's terminal
 *
 * While the container doesn't read, nobody is listened to. Its stdin ends with the stdin of its owner (docker's StdinOnce), or when a
 * client asks for that; what other clients say may end, and the next one goes on. A terminal never ends: it gets ctrl-D.
 */
#include "monitor.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ROUNDS 64 /* of a client's last words: its pipe holds less, but somebody else may keep on writing to it */

static bool is_terminal, is_running;

static struct {
	struct watch pipe; /* the container's stdin, or a descriptor of the terminal */
	bool blocked;
	size_t start, end;
	char text[4096]; /* for the terminal, on its way */
} input;

/* It has hung up, and what it said last may still wait for room. */
static bool has_left(const struct client *client)
{
	return client->socket.fd < 0;
}

static void close_client_input(struct client *client)
{
	watch_close(&client->input);
}

void input_close(void)
{
	watch_close(&input.pipe);
	input.blocked = false;
	for (struct client *client = clients; client < clients + CLIENTS; client++)
		close_client_input(client);
}

static void block_input(bool blocked)
{
	input.blocked = blocked;
	watch_for(&input.pipe, blocked ? EPOLLOUT : 0);
	for (struct client *client = clients; client < clients + CLIENTS; client++)
		watch_for(&client->input, blocked ? 0 : EPOLLIN);
}

/* A client's stdin has ended, or it has left. */
static void end_client_input(struct client *client)
{
	bool ends_all = (client->owner || client->closing_stdin) && !is_terminal;
	close_client_input(client);
	if (ends_all)
		input_close();
}

static void flush_to_terminal(void)
{
	while (input.start < input.end) {
		ssize_t wrote = write(input.pipe.fd, input.text + input.start, input.end - input.start);
		if (wrote < 0) {
			if (errno == EAGAIN)
				block_input(true);
			else
				input_close();
			return;
		}
		input.start += (size_t)wrote;
	}
	if (input.blocked)
		block_input(false);
}

/* Moves what a client says; false when nothing was moved: there is nothing, no room, or no client's stdin any more. */
static bool type_into_terminal(struct client *client)
{
	ssize_t got = read(client->input.fd, input.text, sizeof input.text);
	if (got < 0 && errno == EAGAIN)
		return false;
	if (got <= 0) {
		end_client_input(client);
		return false;
	}
	input.start = 0;
	input.end = (size_t)got;
	flush_to_terminal();
	return true;
}

static bool feed_pipe(struct client *client)
{
	int waiting = 0;
	bool ends = client->closing_stdin || has_left(client);
	if (ends && ioctl(client->input.fd, FIONREAD, &waiting) == 0 && waiting == 0) {
		end_client_input(client);
		return false;
	}
	ssize_t moved = splice(client->input.fd, NULL, input.pipe.fd, NULL, PIPE_SIZE, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (moved == 0)
		end_client_input(client);
	else if (moved < 0 && errno == EAGAIN)
		block_input(true);
	else if (moved < 0)
		input_close(); /* EPIPE: the container has closed its stdin */
	return moved > 0;
}

static bool take_input(struct client *client)
{
	if (input.pipe.fd >= 0)
		return is_terminal ? type_into_terminal(client) : feed_pipe(client);
	close_client_input(client);
	return false;
}

/* Takes all that a client has said so far, but not for ever. */
static void take_all_input(struct client *client)
{
	for (int round = 0; round < ROUNDS && client->input.fd >= 0 && !input.blocked; round++)
		if (!take_input(client))
			break;
}

static void client_input_ready(void *context)
{
	struct client *client = context;
	if (client->closing_stdin)
		take_all_input(client);
	else
		take_input(client);
}

/* The container has room for input again. */
static void input_ready(void *context)
{
	(void)context;
	if (is_terminal)
		flush_to_terminal();
	else
		block_input(false);
	for (struct client *client = clients; client < clients + CLIENTS; client++) {
		if (client->input.fd < 0 || input.blocked)
			continue;
		if (has_left(client))
			input_detach(client);
		else if (client->closing_stdin)
			take_all_input(client); /* it may have said all already, and then nothing wakes us */
	}
}

void input_close_for(struct client *client)
{
	if (is_terminal || input.pipe.fd < 0)
		return;
	client->closing_stdin = true;
	if (client->input.fd < 0)
		input_close();
	else
		take_all_input(client);
}

/* ---- beginning, clients coming and going ---------------------------------------------------------------------- */

int input_prepare(const struct settings *settings, int child[3])
{
	is_terminal = settings->stdio == MR_STDIO_TERMINAL;
	watch_open(&input.pipe, -1, input_ready, NULL);
	if (settings->stdio != MR_STDIO_PIPES || !settings->open_stdin)
		return 0;
	return watch_pipe(&input.pipe, O_WRONLY, &child[0]);
}

void input_start(int terminal)
{
	/* a second descriptor, since epoll knows a descriptor only once, and in and out wait for different things */
	if (terminal >= 0)
		watch_open(&input.pipe, fcntl(terminal, F_DUPFD_CLOEXEC, 3), input_ready, NULL);
	is_running = true;
	block_input(false);
}

void input_attach(struct client *client, int fd)
{
	watch_open(&client->input, fd, client_input_ready, client);
	if (fd >= 0)
		set_nonblocking(fd);
	if (is_running)
		watch_for(&client->input, input.blocked ? 0 : EPOLLIN);
}

void input_detach(struct client *client)
{
	take_all_input(client); /* what it said before it left */
	if (client->input.fd >= 0 && !input.blocked)
		end_client_input(client); /* else input_ready comes back to it */
}
