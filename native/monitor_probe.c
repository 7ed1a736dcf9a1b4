/* monitor_probe.c: one run of a health check, in a process of its own, so that nothing which holds it up (a frozen cgroup, a slow
 * start) holds the monitor up.
 *
 *     monitor --fork--> prober --mr_spawn--> the check, in the container
 *        ^    output (a pipe)   <---------------- 1, 2
 *        +--- outcome (a page that both see) <--- its code
 *
 * Owns: that process, from its birth to its end. Leaves to others: when it runs and what comes of it (monitor_health.c), the way into
 * the container (enter.c). Dies with the monitor, and the check with it: PR_SET_PDEATHSIG, prctl(2).
 */
#include "monitor.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nothing of the monitor's but the output: a client's pipe that is held here as well would never end for its reader. */
static void keep_only(int output, const struct probe *probe)
{
	if (probe->stdio_uid != 0 && fchown(output, probe->stdio_uid, probe->stdio_gid) < 0)
		errno = 0; /* as for the container's own pipes */
	if (dup2(output, 1) < 0 || dup2(output, 2) < 0 || syscall(SYS_close_range, 3u, ~0u, 0u) < 0)
		_exit(125);
}

/* Said last: whoever kills this process before has seen no end. */
static void wait_for(const struct mr_spawned *spawned, uint64_t timeout_ns, struct probe_outcome *outcome)
{
	struct pollfd ended = { .fd = spawned->pidfd, .events = POLLIN };
	int status = 0;
	uint64_t timeout_ms = timeout_ns / 1000000 + 1;
	bool late = poll(&ended, 1, timeout_ms > INT_MAX ? -1 : (int)timeout_ms) <= 0; /* -1: weeks, so for ever */
	if (late)
		kill(spawned->pid, SIGKILL);
	while (waitpid(spawned->pid, &status, __WALL) < 0 && errno == EINTR)
		;
	outcome->code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	outcome->kind = late ? PROBE_LATE : PROBE_ENDED;
}

void probe_run(const struct probe *probe, int output, struct probe_outcome *outcome)
{
	struct mr_spawned spawned;
	struct mr_spawn_options options = {
		.stdio = { -1, -1, -1 }, .enter = probe->pid, .enter_start_time = probe->start_time
	};
	int mount = -1; /* closed by our end */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != probe->monitor) /* it may have ended before the call */
		_exit(125);
	record_unprotect();
	keep_only(output, probe);
	int status = mr_stdio_replace_null(options.stdio, false, &mount);
	if (status == 0)
		status = mr_spawn(probe->plan, &options, &spawned);
	if (status < 0) {
		dprintf(1, "start the health check: %s", strerror(-status));
		outcome->kind = PROBE_NOT_STARTED;
	} else {
		wait_for(&spawned, probe->timeout_ns, outcome);
	}
	_exit(0);
}
