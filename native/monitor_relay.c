/* monitor_relay.c: what the container says goes to the log and to the clients, what clients say goes to the container.
 *
 *     container's stdout --+--tee(2)--> client's pipe      the usual case: one client, no copy on its way
 *                          +--read----> log
 *
 *     several clients, or a terminal: read once, log, write to each
 *     client's pipe --splice(2)--> container's stdin       a terminal: read, write
 *
 * A client that doesn't read makes the container wait, as a pipe would; one that hangs up is dropped and nobody waits for it.
 * Once the container is dead nothing has to wait any more: what it left in its pipes (their size is a bound) is logged
 * at once, and kept for slow clients in their backlog.
 */
#include "monitor.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#define CHUNK ((size_t)128 * 1024) /* read at once; fits the second-level cache with what becomes of it */
#define PIPE_SIZE (1 << 20)        /* of a stream that flows; /proc/sys/fs/pipe-max-size */
#define FLOWING ((size_t)64 * 1024) /* a whole pipe of the default size was waiting */
#define ROUNDS 64                   /* a client's pipe holds less; somebody else may keep on writing to it */
#define DRAIN_MAX ((size_t)4 << 20) /* a daemon that outlives the container's process may write on and on */

struct source { /* the container's end of a stream, as we see it */
	struct watch pipe;
	enum mr_log_stream stream;
	bool large; /* has PIPE_SIZE */
};

static struct source sources[STREAMS];
static bool is_terminal, is_running, is_warm, is_dead;
static struct mr_log *journal;
static char *buffer; /* CHUNK bytes, mapped */

static struct {
	struct watch pipe; /* the container's stdin, or a second descriptor of the terminal */
	bool blocked;
	size_t start, end;
	char text[4096]; /* for the terminal, on its way */
} input;

static void output_ready(void *context);
static void input_ready(void *context);
static void delivery_ready(void *context);
static void close_input(void);

/* ---- output: container -> log, clients ------------------------------------------------------------------------ */

/* Reads from the container only while every client has room. */
static void update_source(struct source *source)
{
	bool blocked = false;
	for (struct client *client = clients; client < clients + CLIENTS; client++)
		blocked = blocked || client->output[source->stream].blocked;
	watch_for(&source->pipe, blocked ? 0 : EPOLLIN);
}

static void drop_backlog(struct delivery *delivery)
{
	free(delivery->backlog);
	delivery->backlog = NULL;
	delivery->blocked = false;
	update_source(&sources[delivery->stream]);
	clients_settle(delivery->client);
}

static void close_delivery(struct delivery *delivery)
{
	watch_close(&delivery->pipe);
	drop_backlog(delivery);
}

static void block(struct delivery *delivery)
{
	delivery->blocked = true;
	watch_for(&delivery->pipe, EPOLLOUT);
	update_source(&sources[delivery->stream]);
}

/* Keeps what doesn't fit into the client's pipe. While the container lives that is less than CHUNK, since it has to wait. */
static bool keep(struct delivery *delivery, const char *data, size_t length)
{
	size_t kept = delivery->backlog ? delivery->end - delivery->start : 0;
	char *larger = malloc(kept + length);
	if (!larger)
		return false;
	if (kept)
		memcpy(larger, delivery->backlog + delivery->start, kept);
	memcpy(larger + kept, data, length);
	free(delivery->backlog);
	delivery->backlog = larger;
	delivery->start = 0;
	delivery->end = kept + length;
	return true;
}

static void deliver(struct delivery *delivery, const char *data, size_t length)
{
	if (delivery->pipe.fd < 0)
		return;
	ssize_t wrote = delivery->backlog ? 0 : write(delivery->pipe.fd, data, length);
	size_t done = wrote > 0 ? (size_t)wrote : 0;
	if (done == length)
		return;
	if ((wrote < 0 && errno != EAGAIN) || !keep(delivery, data + done, length - done))
		close_delivery(delivery);
	else
		block(delivery);
}

static void deliver_backlog(struct delivery *delivery)
{
	while (delivery->backlog && delivery->start < delivery->end) {
		ssize_t wrote = write(delivery->pipe.fd, delivery->backlog + delivery->start, delivery->end - delivery->start);
		if (wrote < 0 && errno == EAGAIN)
			return;
		if (wrote < 0) {
			close_delivery(delivery);
			return;
		}
		delivery->start += (size_t)wrote;
	}
	watch_for(&delivery->pipe, EPOLLERR); /* tells when the client closes it */
	drop_backlog(delivery);
}

/* The client's pipe has room again, or nobody reads it any more. */
static void delivery_ready(void *context)
{
	struct delivery *delivery = context;
	struct pollfd state = { .fd = delivery->pipe.fd, .events = POLLOUT };
	poll(&state, 1, 0);
	if (state.revents & POLLERR)
		close_delivery(delivery);
	else if (state.revents & POLLOUT)
		deliver_backlog(delivery);
}

/* Pipes start at the kernel's default and grow when much flows: 200 idle containers shouldn't pin 200 large ones. */
static void enlarge(struct source *source, size_t got)
{
	if (source->large || got < FLOWING || is_terminal)
		return;
	source->large = true;
	fcntl(source->pipe.fd, F_SETPIPE_SZ, PIPE_SIZE);
	for (struct client *client = clients; client < clients + CLIENTS; client++)
		if (client->output[source->stream].pipe.fd >= 0)
			fcntl(client->output[source->stream].pipe.fd, F_SETPIPE_SZ, PIPE_SIZE);
}

/* Reads at most `length` bytes and logs them. 0 at the end, -EAGAIN when there is nothing now. */
static ssize_t read_and_log(struct source *source, size_t length)
{
	ssize_t got = read(source->pipe.fd, buffer, length < CHUNK ? length : CHUNK);
	if (got < 0)
		return errno == EIO ? 0 : -errno; /* EIO: nobody holds the other side of the terminal */
	is_warm = true;
	if (got > 0 && journal)
		mr_log_append(journal, source->stream, buffer, (size_t)got, mr_wall_clock());
	return got;
}

static void end_source(struct source *source)
{
	watch_close(&source->pipe);
}

static ssize_t relay_to_all(struct source *source)
{
	ssize_t got = read_and_log(source, CHUNK);
	for (struct client *client = clients; got > 0 && client < clients + CLIENTS; client++)
		deliver(&client->output[source->stream], buffer, (size_t)got);
	if (got == 0)
		end_source(source);
	else if (got > 0)
		enlarge(source, (size_t)got);
	return got;
}

/* One client: its pipe gets references to the very pages that the container wrote. Without a log, the pages themselves. */
static void relay_to_one(struct source *source, struct delivery *delivery)
{
	int from = source->pipe.fd, to = delivery->pipe.fd;
	ssize_t shared = journal ? tee(from, to, PIPE_SIZE, SPLICE_F_NONBLOCK) :
	                           splice(from, NULL, to, NULL, PIPE_SIZE, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (shared < 0 && errno == EAGAIN) {
		block(delivery); /* we were woken because there is something to read */
		return;
	}
	if (shared < 0) {
		close_delivery(delivery);
		return;
	}
	if (shared == 0)
		end_source(source);
	for (size_t left = journal ? (size_t)shared : 0; left > 0;) {
		ssize_t got = read_and_log(source, left);
		if (got <= 0)
			break; /* can't be: they are there, and nobody else reads */
		left -= (size_t)got;
	}
	enlarge(source, (size_t)shared);
}

static void output_ready(void *context)
{
	struct source *source = context;
	struct delivery *only = NULL;
	size_t count = 0;
	for (struct client *client = clients; client < clients + CLIENTS; client++) {
		if (client->output[source->stream].pipe.fd >= 0) {
			only = &client->output[source->stream];
			count++;
		}
	}
	if (count == 1 && !is_terminal)
		relay_to_one(source, only);
	else
		relay_to_all(source);
}

void relay_drain(void)
{
	is_dead = true;
	for (struct source *source = sources; source < sources + STREAMS; source++) {
		size_t total = 0;
		while (source->pipe.fd >= 0 && total < DRAIN_MAX) {
			ssize_t got = relay_to_all(source);
			if (got <= 0)
				break;
			total += (size_t)got;
		}
		end_source(source);
	}
	close_input();
	if (journal)
		mr_log_finish(journal, mr_wall_clock());
}

void relay_end_log(void)
{
	if (journal)
		mr_log_close(journal);
	journal = NULL;
}

/* ---- input: clients -> container ------------------------------------------------------------------------------ */

static void close_client_input(struct client *client)
{
	watch_close(&client->input);
}

/* Closes the container's stdin: it reads what is in the pipe, then the end. */
static void close_input(void)
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

/* A client's stdin has ended. The owner's end is the container's end, as with `docker run -i`; a terminal stays. */
static void end_client_input(struct client *client)
{
	bool ends_all = (client->owner || client->closing_stdin) && !is_terminal;
	close_client_input(client);
	if (ends_all)
		close_input();
}

static void flush_to_terminal(void)
{
	while (input.start < input.end) {
		ssize_t wrote = write(input.pipe.fd, input.text + input.start, input.end - input.start);
		if (wrote < 0) {
			if (errno == EAGAIN)
				block_input(true);
			else
				close_input();
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
	if (client->closing_stdin && ioctl(client->input.fd, FIONREAD, &waiting) == 0 && waiting == 0) {
		end_client_input(client);
		return false;
	}
	ssize_t moved = splice(client->input.fd, NULL, input.pipe.fd, NULL, PIPE_SIZE, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (moved == 0)
		end_client_input(client);
	else if (moved < 0 && errno == EAGAIN)
		block_input(true);
	else if (moved < 0)
		close_input(); /* EPIPE: the container has closed its stdin */
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
}

void relay_close_stdin(struct client *client)
{
	if (is_terminal || input.pipe.fd < 0)
		return;
	client->closing_stdin = true;
	if (client->input.fd < 0)
		close_input();
	else
		take_all_input(client);
}

void relay_resize(uint64_t rows_and_columns)
{
	struct winsize size = { .ws_row = (unsigned short)(rows_and_columns >> 16 & 0xffff),
		                .ws_col = (unsigned short)(rows_and_columns & 0xffff) };
	if (is_terminal && sources[STREAM_OUT].pipe.fd >= 0)
		ioctl(sources[STREAM_OUT].pipe.fd, TIOCSWINSZ, &size);
}

/* ---- beginning, clients coming and going ---------------------------------------------------------------------- */

static int set_nonblocking(int fd)
{
	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* A pipe whose end for us doesn't block; `ours` is 0 to read from it, 1 to write. */
static int open_pipe(struct watch *watch, int ours, int *theirs, void (*ready)(void *), void *context)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	set_nonblocking(ends[ours]);
	watch_open(watch, ends[ours], ready, context);
	*theirs = ends[!ours];
	return 0;
}

int relay_prepare(const struct settings *settings, int child[3])
{
	child[0] = child[1] = child[2] = -1;
	is_terminal = settings->stdio == MR_STDIO_TERMINAL;
	watch_open(&input.pipe, -1, input_ready, NULL);
	for (int stream = 0; stream < STREAMS; stream++) {
		sources[stream].stream = (enum mr_log_stream)stream;
		watch_open(&sources[stream].pipe, -1, output_ready, &sources[stream]);
	}
	if (settings->stdio != MR_STDIO_PIPES && !is_terminal)
		return 0;
	buffer = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer == MAP_FAILED)
		return -errno;
	int status = 0;
	for (int stream = 0; status == 0 && !is_terminal && stream < STREAMS; stream++)
		status = open_pipe(&sources[stream].pipe, 0, &child[stream + 1], output_ready, &sources[stream]);
	if (status == 0 && !is_terminal && settings->open_stdin)
		status = open_pipe(&input.pipe, 1, &child[0], input_ready, NULL);
	return status;
}

void relay_log_to(struct mr_log *log)
{
	journal = log;
}

void relay_start(int terminal)
{
	if (is_terminal && terminal >= 0) {
		set_nonblocking(terminal);
		/* a second descriptor, since epoll knows a descriptor only once, and in and out wait for different things */
		watch_open(&input.pipe, fcntl(terminal, F_DUPFD_CLOEXEC, 3), input_ready, NULL);
		watch_open(&sources[STREAM_OUT].pipe, terminal, output_ready, &sources[STREAM_OUT]);
	}
	for (struct source *source = sources; source < sources + STREAMS; source++)
		update_source(source);
	is_running = true;
	block_input(false);
}

static void attach_output(struct client *client, enum mr_log_stream stream, int fd)
{
	struct delivery *delivery = &client->output[stream];
	if (fd >= 0 && (is_dead || !buffer || (is_terminal && stream == MR_LOG_STDERR))) {
		close(fd);
		fd = -1;
	}
	if (fd >= 0)
		set_nonblocking(fd);
	*delivery = (struct delivery){ .client = client, .stream = stream };
	watch_open(&delivery->pipe, fd, delivery_ready, delivery);
	watch_for(&delivery->pipe, EPOLLERR);
	if (fd >= 0 && sources[stream].large)
		fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
}

void relay_attach(struct client *client, int in, int out, int err)
{
	if (in >= 0)
		set_nonblocking(in);
	watch_open(&client->input, in, client_input_ready, client);
	attach_output(client, MR_LOG_STDOUT, out);
	attach_output(client, MR_LOG_STDERR, err);
	if (is_running)
		watch_for(&client->input, input.blocked ? 0 : EPOLLIN);
}

void relay_detach(struct client *client)
{
	take_all_input(client); /* what it said before it left */
	/* docker's StdinOnce: with its owner gone a container's stdin is at its end */
	if (client->input.fd >= 0)
		end_client_input(client);
	close_delivery(&client->output[STREAM_OUT]);
	close_delivery(&client->output[STREAM_ERR]);
}

bool relay_owes(const struct client *client)
{
	return client->output[STREAM_OUT].backlog || client->output[STREAM_ERR].backlog;
}

bool relay_is_warm(void)
{
	return is_warm;
}

void relay_idle(void)
{
	is_warm = false;
	if (buffer)
		madvise(buffer, CHUNK, MADV_DONTNEED);
	if (journal)
		mr_log_idle(journal);
}
