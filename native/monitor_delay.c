/* monitor_delay.c: a monitor without a container, which lets a time pass and then runs the exit hook: the back-off between two
 * runs. It is all that stays in memory meanwhile.
 *
 *     waiting    in the run directory, flock(2) held from STARTED until the hook has ended
 *
 * Whoever removes that file (with the run directory, for a start or a removal) sends the waiting process away: inotify(7) tells
 * it that the file has lost its name. Owns: the wait. Leaves to others: why, and what the hook does (engine/restarts).
 */
#include "monitor.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has_name(int file)
{
	struct stat status;
	return fstat(file, &status) == 0 && status.st_nlink > 0;
}

/* The lock, and a descriptor that becomes readable when its file loses its name: 0 or -errno. */
static int open_watched(const char *run_directory, int *file, int *changes)
{
	char path[32];
	MR_AUTOCLOSE directory = open(run_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return -errno;
	*file = openat(directory, "waiting", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*file < 0 || flock(*file, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	*changes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	snprintf(path, sizeof path, "/proc/self/fd/%d", *file);
	return *changes < 0 || inotify_add_watch(*changes, path, IN_ATTRIB) < 0 ? -errno : 0;
}

/* True when the time is up, false when the file has lost its name before. */
static bool wait_until(uint64_t deadline, int file, int changes)
{
	char events[sizeof(struct inotify_event) * 8];
	while (has_name(file)) {
		uint64_t now = mr_clock();
		if (now >= deadline)
			return true;
		struct pollfd changed = { .fd = changes, .events = POLLIN };
		if (poll(&changed, 1, (int)((deadline - now) / 1000000) + 1) > 0 && read(changes, events, sizeof events) < 0)
			errno = 0; /* somebody else's look has taken it: the file is asked anyway */
	}
	return false;
}

int delay_run(const struct settings *settings)
{
	int file = -1, changes = -1; /* closed by our end: the lock is held until then */
	int status = open_watched(settings->run_directory, &file, &changes);
	if (status < 0)
		return status;
	record_protect();
	clients_started(&(struct mr_message){ .kind = MR_MSG_STARTED, .time = mr_wall_clock() });
	clients_close_owner();
	if (wait_until(mr_clock() + settings->delay_ns, file, changes))
		record_run_hook(settings->hook, NULL, settings->hook_environment);
	return 0;
}
