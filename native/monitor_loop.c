/* monitor_loop.c: the monitor's one place to wait. epoll(7). */
#include "monitor.h"

#include <fcntl.h>
#include <unistd.h>

static int epoll = -1;

int loop_init(void)
{
	epoll = epoll_create1(EPOLL_CLOEXEC);
	return mr_result(epoll);
}

void watch_open(struct watch *watch, int fd, void (*ready)(void *), void *context)
{
	*watch = (struct watch){ .fd = fd, .ready = ready, .context = context };
}

void watch_for(struct watch *watch, uint32_t events)
{
	if (watch->fd < 0 || watch->events == events)
		return;
	struct epoll_event event = { .events = events, .data.ptr = watch };
	int operation = !events ? EPOLL_CTL_DEL : watch->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(epoll, operation, watch->fd, &event) == 0)
		watch->events = events;
}

void watch_close(struct watch *watch)
{
	if (watch->fd < 0)
		return;
	watch_for(watch, 0); /* closing wouldn't do: whoever passed the descriptor may hold it too */
	close(watch->fd);
	watch->fd = -1;
}

int set_nonblocking(int fd)
{
	return mr_result(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK));
}

int watch_pipe(struct watch *watch, int mode, int *theirs)
{
	int ends[2], ours = mode == O_RDONLY ? 0 : 1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	watch->fd = ends[ours];
	*theirs = ends[!ours];
	return set_nonblocking(watch->fd);
}

bool loop_turn(int timeout_ms)
{
	/* One event at a time: a second one could name something that the first one has closed. Level-triggered epoll serves the
	 * ready descriptors in turn, so nobody starves. */
	struct epoll_event event;
	if (epoll_wait(epoll, &event, 1, timeout_ms) <= 0)
		return false;
	struct watch *watch = event.data.ptr;
	watch->ready(watch->context);
	return true;
}
