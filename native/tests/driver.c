/* driver.c: spawns what a plan file says and reports it, for tests and for the sanitizers.
 *
 *     driver PLAN REPORTS     on descriptor REPORTS:   trace INDEX NANOSECONDS ERRNO    (of an operation that failed)
 *                                                      started PID | failed INDEX ERRNO
 *                                                      exited STATUS                    (as waitpid(2) has it)
 *
 * The child has the driver's 0, 1, 2; what comes out of a TERMINAL goes to 1 as well, what goes in comes from 0.
 */
#include "../internal.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int reports;

static void report(void *context, const struct mr_message *message)
{
	(void)context;
	dprintf(reports, "trace %u %llu %d\n", message->operation, (unsigned long long)message->time, message->error);
}

static void *load(const char *path, size_t *length)
{
	MR_AUTOCLOSE file = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *plan;

	if (file < 0 || fstat(file, &status) < 0)
		return NULL;
	*length = (size_t)status.st_size;
	plan = malloc(*length + 1);
	if (plan && read(file, plan, *length) != status.st_size)
		return NULL;
	return plan;
}

static void relay(int terminal)
{
	struct pollfd watched[2] = { { .fd = terminal, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	char buffer[4096];

	while (poll(watched, 2, -1) > 0) {
		if (watched[0].revents) {
			ssize_t length = read(terminal, buffer, sizeof buffer);
			if (length <= 0 || write(1, buffer, (size_t)length) != length)
				return;
		}
		if (watched[1].revents) {
			ssize_t length = read(0, buffer, sizeof buffer);
			if (length <= 0)
				watched[1].fd = -1;
			else if (write(terminal, buffer, (size_t)length) != length)
				return;
		}
	}
}

int main(int argc, char **argv)
{
	struct mr_spawn_options options = { .stdio = { -1, -1, -1 }, .trace = true, .report = report };
	struct mr_spawned spawned;
	size_t length;
	void *plan;
	int error, status;

	if (argc != 3)
		return 2;
	reports = atoi(argv[2]);
	plan = load(argv[1], &length);
	if (!plan)
		return 2;
	error = mr_plan_check(plan, length);
	if (error < 0) {
		dprintf(reports, "malformed %d\n", -error);
		return 1;
	}
	if (mr_spawn(plan, &options, &spawned) < 0) {
		dprintf(reports, "failed %d %d\n", (int)spawned.message.operation, spawned.message.error);
		free(plan);
		return 1;
	}
	free(plan);
	dprintf(reports, "started %d\n", spawned.message.pid);
	if (spawned.terminal >= 0)
		relay(spawned.terminal);
	if (waitpid(spawned.pid, &status, 0) < 0)
		return 2;
	dprintf(reports, "exited %d\n", status);
	close(spawned.pidfd);
	mr_close(&spawned.terminal);
	return 0;
}
