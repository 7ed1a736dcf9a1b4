/* monitor_output.c: what the container says goes to the log and to the clients.
 *
 *     container's pipe --+--tee(2)--> client's pipe     the usual case: one client, nothing is copied on its way
 *                        +--read----> log
 *
 *     several clients, or a terminal: read once, log, write to each
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
#define FLOWING ((size_t)64 * 1024) /* a whole pipe of the default size was waiting */
#define DRAIN_MAX ((size_t)4 << 20) /* a daemon that outlives the container's process may write on and on */

struct source { /* our end of a stream of the container */
	struct watch pipe;
	enum mr_log_stream stream;
	bool large; /* has PIPE_SIZE */
};

static struct source sources[STREAMS];
static bool is_terminal, is_warm;
static int peer = -1; /* the terminal's other side */
static struct mr_log *journal;
static char *buffer; /* CHUNK bytes, mapped; NULL: there is nothing to relay */

static void delivery_ready(void *context);

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
		ssize_t wrote = write(delivery->pipe.fd, delivery->backlog + delivery->start,
				      delivery->end - delivery->start);
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
		return errno == EIO ? 0 : -errno; /* EIO: a terminal that is hung up */
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
	ssize_t shared = journal ? tee(from, to, PIPE_SIZE, SPLICE_F_NONBLOCK)
				 : splice(from, NULL, to, NULL, PIPE_SIZE, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
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

void output_drain(void)
{
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
	mr_close(&peer);
	if (journal)
		mr_log_finish(journal, mr_wall_clock());
}

/* ---- beginning, clients coming and going ---------------------------------------------------------------------- */

int output_prepare(const struct settings *settings, int child[3])
{
	is_terminal = settings->stdio == MR_STDIO_TERMINAL;
	for (int stream = 0; stream < STREAMS; stream++) {
		sources[stream].stream = (enum mr_log_stream)stream;
		watch_open(&sources[stream].pipe, -1, output_ready, &sources[stream]);
	}
	if (settings->stdio != MR_STDIO_PIPES && !is_terminal)
		return 0;
	buffer = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status = buffer == MAP_FAILED ? -errno : 0;
	for (int stream = 0; status == 0 && !is_terminal && stream < STREAMS; stream++)
		status = watch_pipe(&sources[stream].pipe, O_RDONLY, &child[stream + 1]);
	return status;
}

void output_log_to(struct mr_log *log)
{
	journal = log;
}

void output_end_log(void)
{
	if (journal)
		mr_log_close(journal);
	journal = NULL;
}

void output_start(int terminal)
{
	if (terminal >= 0) {
		/* While nobody has its other side open a terminal reads as hung up. A program that closes it and opens it again (systemd
		 * does so with its console) shouldn't find it gone: so somebody always has. */
		peer = ioctl(terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
		watch_open(&sources[STREAM_OUT].pipe, terminal, output_ready, &sources[STREAM_OUT]);
	}
	for (struct source *source = sources; source < sources + STREAMS; source++)
		update_source(source);
}

void output_resize(uint64_t rows_and_columns)
{
	struct winsize size = { .ws_row = (unsigned short)(rows_and_columns >> 16 & 0xffff),
				.ws_col = (unsigned short)(rows_and_columns & 0xffff) };
	if (is_terminal && sources[STREAM_OUT].pipe.fd >= 0)
		ioctl(sources[STREAM_OUT].pipe.fd, TIOCSWINSZ, &size);
}

void output_attach(struct client *client, enum mr_log_stream stream, int fd)
{
	struct delivery *delivery = &client->output[stream];
	*delivery = (struct delivery){ .client = client, .stream = stream };
	if (fd >= 0 && (!buffer || (is_terminal && stream == MR_LOG_STDERR)))
		mr_close(&fd); /* nothing will ever come */
	watch_open(&delivery->pipe, fd, delivery_ready, delivery);
	watch_for(&delivery->pipe, EPOLLERR);
	if (fd < 0)
		return;
	set_nonblocking(fd);
	if (sources[stream].large)
		fcntl(fd, F_SETPIPE_SZ, PIPE_SIZE);
}

void output_detach(struct client *client)
{
	close_delivery(&client->output[STREAM_OUT]);
	close_delivery(&client->output[STREAM_ERR]);
}

bool output_owes(const struct client *client)
{
	return client->output[STREAM_OUT].backlog || client->output[STREAM_ERR].backlog;
}

bool output_is_warm(void)
{
	return is_warm;
}

void output_idle(void)
{
	is_warm = false;
	if (buffer)
		madvise(buffer, CHUNK, MADV_DONTNEED);
	if (journal)
		mr_log_idle(journal);
}
