/* pump.c: see pump.h. Called from Python without its lock (cffi), so Python's other threads go on.
 *
 * The caller's descriptors are shared with others (a shell's terminal), so O_NONBLOCK is never set on them. Instead: splice(2) with
 * SPLICE_F_NONBLOCK from pipe to pipe, send(2) with MSG_DONTWAIT to a socket, and a description of our own for a terminal.
 */
#define _GNU_SOURCE
#include "pump.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum mode { MODE_SPLICE = 0, MODE_COPY = 1, MODE_SEND = 2, MODE_OWN = 3 /* MODE_COPY, and `target` is ours to close */ };
enum { INPUT = 0, OUTPUT = 1, ERROR = 2, LANES = 3 };

#define SPLICE_BYTES ((size_t)1 << 20)

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* The pipe's end is ours, the other one is the caller's. */
static void close_lane(struct mr_pump *pump, int number)
{
	struct mr_lane *lane = &pump->lanes[number];
	shut(number == INPUT ? &lane->target : &lane->source);
	if (lane->mode == MODE_OWN && number != INPUT)
		shut(&lane->target);
	lane->source = lane->target = -1;
	lane->start = lane->end = 0;
	lane->blocked = 0;
}

static bool is_open(const struct mr_lane *lane)
{
	return lane->source >= 0;
}

static bool is_holding(const struct mr_lane *lane)
{
	return lane->start < lane->end;
}

/* ---- how to write without waiting ----------------------------------------------------------------------------- */

static void prepare_output(struct mr_lane *lane)
{
	struct stat status;
	if (!is_open(lane) || fstat(lane->target, &status) < 0)
		return;
	if (S_ISSOCK(status.st_mode)) {
		lane->mode = MODE_SEND;
	} else if (isatty(lane->target)) {
		char path[32];
		snprintf(path, sizeof path, "/proc/self/fd/%d", lane->target);
		int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		lane->mode = own < 0 ? MODE_COPY : MODE_OWN;
		lane->target = own < 0 ? lane->target : own;
	}
}

int mr_pump_prepare(struct mr_pump *pump)
{
	struct mr_lane *input = &pump->lanes[INPUT];
	if (pump->keys_length > sizeof pump->keys)
		return -EINVAL;
	if (is_open(input)) {
		input->mode = pump->keys_length ? MODE_COPY : MODE_SPLICE;
		if (fcntl(input->target, F_SETFL, fcntl(input->target, F_GETFL) | O_NONBLOCK) < 0)
			return -errno;
	}
	prepare_output(&pump->lanes[OUTPUT]);
	prepare_output(&pump->lanes[ERROR]);
	return 0;
}

void mr_pump_close(struct mr_pump *pump)
{
	for (int number = 0; number < LANES; number++)
		close_lane(pump, number);
	shut(&pump->signals);
}

/* ---- moving bytes --------------------------------------------------------------------------------------------- */

static void let_keys_through(struct mr_pump *pump)
{
	struct mr_lane *lane = &pump->lanes[INPUT];
	memcpy(lane->bytes + lane->end, pump->keys, pump->keys_matched);
	lane->end += pump->keys_matched;
	pump->keys_matched = 0;
}

/* Takes the detach keys out of what was typed; true when they are complete. A beginning of them is held back until
 * the next byte tells; a wrong continuation lets all of it through. */
static bool find_keys(struct mr_pump *pump, const unsigned char *typed, size_t length)
{
	struct mr_lane *lane = &pump->lanes[INPUT];
	for (size_t i = 0; i < length; i++) {
		if (typed[i] != pump->keys[pump->keys_matched])
			let_keys_through(pump);
		if (typed[i] != pump->keys[pump->keys_matched]) {
			lane->bytes[lane->end++] = typed[i];
		} else if (++pump->keys_matched == pump->keys_length) {
			pump->keys_matched = 0;
			return true;
		}
	}
	return false;
}

/* Fills an empty lane: bytes, 0 at the end, or -errno. */
static ssize_t fill(struct mr_pump *pump, int number)
{
	struct mr_lane *lane = &pump->lanes[number];
	unsigned char typed[4096];
	bool keys = number == INPUT && pump->keys_length;
	ssize_t got = read(lane->source, keys ? typed : lane->bytes, keys ? sizeof typed : sizeof lane->bytes);
	if (got < 0)
		return -errno;
	lane->start = lane->end = 0;
	if (!keys) {
		lane->end = (uint32_t)got;
	} else if (got == 0 && pump->keys_matched) { /* no more will come: it was only a beginning */
		let_keys_through(pump);
		return 1;
	} else if (find_keys(pump, typed, (size_t)got)) {
		return -ECANCELED;
	}
	return got;
}

/* Writes what the lane holds: 0, or -errno. */
static int empty(struct mr_lane *lane)
{
	while (is_holding(lane)) {
		const unsigned char *bytes = lane->bytes + lane->start;
		size_t length = lane->end - lane->start;
		ssize_t wrote = lane->mode == MODE_SEND ? send(lane->target, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL)
							: write(lane->target, bytes, length);
		if (wrote < 0)
			return -errno;
		lane->start += (uint32_t)wrote;
	}
	return 0;
}

/* Moves what there is: bytes moved, 0 at the end, or -errno: -EAGAIN when `target` has no room. */
static ssize_t move(struct mr_pump *pump, int number)
{
	struct mr_lane *lane = &pump->lanes[number];
	if (lane->mode == MODE_SPLICE && !is_holding(lane)) {
		ssize_t moved = splice(lane->source, NULL, lane->target, NULL, SPLICE_BYTES,
				       SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
		if (moved >= 0 || errno != EINVAL)
			return moved < 0 ? -errno : moved;
		lane->mode = MODE_COPY; /* a file that is appended to, a device without splice */
	}
	ssize_t got = is_holding(lane) ? 1 : fill(pump, number);
	int status = got > 0 ? empty(lane) : 0;
	return status < 0 ? status : got;
}

/* Serves one lane that is ready. 0, or the event that came of it. */
static int serve_lane(struct mr_pump *pump, int number)
{
	struct mr_lane *lane = &pump->lanes[number];
	ssize_t moved = move(pump, number);
	/* EAGAIN doesn't say which side it means: wait for the one that we haven't waited for */
	lane->blocked = moved == -EAGAIN && !lane->blocked;
	if (moved > 0 || moved == -EAGAIN || moved == -EINTR)
		return 0;
	if (moved == -ECANCELED && number == INPUT) {
		empty(lane);
		return MR_PUMP_DETACHED;
	}
	bool broken = moved < 0 && number != INPUT;
	int status = broken && moved != -EPIPE && moved != -ECONNRESET && moved != -EIO ? (int)moved : 0;
	close_lane(pump, number);
	if (broken)
		pump->value = number;
	return status ? status : broken ? MR_PUMP_BROKEN : 0;
}

/* ---- waiting -------------------------------------------------------------------------------------------------- */

static int serve_signals(struct mr_pump *pump)
{
	struct signalfd_siginfo signal;
	if (read(pump->signals, &signal, sizeof signal) != sizeof signal)
		return 0;
	pump->value = (int)signal.ssi_signo;
	return MR_PUMP_SIGNAL;
}

/* EXITED, or the end of the monitor; both wait until the output is through. */
static void serve_socket(struct mr_pump *pump)
{
	struct mr_message message;
	ssize_t got = recv(pump->socket, &message, sizeof message, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got == sizeof message && message.kind != MR_MSG_EXITED)
		return;
	if (got == sizeof message)
		pump->exited = message;
	else
		pump->exited.kind = MR_MSG_FAILED; /* never said by a monitor that got so far: it is gone */
	close_lane(pump, INPUT);
}

/* What a lane waits for: poll's place for reading, or for writing. */
static struct pollfd wish(const struct mr_lane *lane)
{
	if (is_holding(lane) || lane->blocked)
		return (struct pollfd){ .fd = lane->target, .events = POLLOUT };
	return (struct pollfd){ .fd = lane->source, .events = POLLIN };
}

static bool output_is_through(const struct mr_pump *pump)
{
	return !is_open(&pump->lanes[OUTPUT]) && !is_open(&pump->lanes[ERROR]);
}

int mr_pump(struct mr_pump *pump)
{
	enum { SOCKET = LANES, SIGNALS, HEARD, ALL };
	for (;;) {
		bool ended = pump->exited.kind != 0;
		if (ended && output_is_through(pump))
			return pump->exited.kind == MR_MSG_EXITED ? MR_PUMP_EXITED : MR_PUMP_HANG_UP;
		struct pollfd polls[ALL];
		for (int number = 0; number < LANES; number++)
			polls[number] = wish(&pump->lanes[number]);
		polls[SOCKET] = (struct pollfd){ .fd = ended ? -1 : pump->socket, .events = POLLIN };
		polls[SIGNALS] = (struct pollfd){ .fd = pump->signals, .events = POLLIN };
		polls[HEARD] = (struct pollfd){
			.fd = pump->lanes[INPUT].target
		}; /* POLLERR: the container closed its stdin */
		if (poll(polls, ALL, -1) < 0)
			return -errno;
		int event = polls[SIGNALS].revents ? serve_signals(pump) : 0;
		if (polls[SOCKET].revents)
			serve_socket(pump);
		if (polls[HEARD].revents & POLLERR)
			close_lane(pump, INPUT);
		for (int number = 0; event == 0 && number < LANES; number++)
			if (polls[number].revents && is_open(&pump->lanes[number]))
				event = serve_lane(pump, number);
		if (event)
			return event;
	}
}

int mr_signal_descriptor(const int *numbers, int count)
{
	sigset_t set;
	sigemptyset(&set);
	for (int i = 0; i < count; i++)
		sigaddset(&set, numbers[i]);
	int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int mr_watch_directory(const char *path)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (inotify_add_watch(fd, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR) < 0) {
		int status = -errno;
		close(fd);
		return status;
	}
	return fd;
}

int mr_watch_also(int descriptor, const char *path)
{
	uint32_t changes = IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
	int watch = inotify_add_watch(descriptor, path, changes);
	return watch < 0 ? -errno : watch;
}
