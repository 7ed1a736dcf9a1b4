/* monitor_health.c: the health of a container: its check runs by a timer, results are counted and written down.
 *
 *     timer --> prober (monitor_probe.c) --> result --> status --> `health`, and the hook when the status is another one
 *
 *     starting --a check ends with 0--> healthy <--0---- unhealthy
 *         +------- `retries` failures in a row ------------^          those within the start period don't count while it is starting
 *
 * The file `health` is docker's State.Health as JSON: Status, FailingStreak, and in Log the last LOG_KEPT results. It appears whole.
 * Rules and numbers are docker's. Owns: all of this. Leaves to others: what the hook does (engine/health).
 */
#include "monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_KEPT 5
#define OUTPUT_MAX 4096 /* bytes of a result; "..." follows where there was more */
#define ROUNDS 64 /* as much as a pipe holds */
#define GRACE_NS 2000000000 /* what a prober gets beyond the time-out before it is killed itself: its check may be frozen */

enum status { STARTING, HEALTHY, UNHEALTHY };
static const char *const words[] = { "starting", "healthy", "unhealthy" };

struct result {
	uint64_t began, ended;
	int code; /* -1: it didn't end by itself */
	char *output;
	size_t length;
};

static struct {
	const struct health_settings *settings;
	char **hook, **hook_environment;
	struct probe probe;
	char pid[16];
	int cgroup;
	uint64_t started; /* on the clock that nobody sets, as what is compared with it */
	enum status status, told;
	unsigned streak;
	struct result log[LOG_KEPT];
	size_t count;
	struct watch timer, output, prober, hook_end;
	pid_t prober_pid, hook_pid;
	struct probe_outcome *outcome;
	uint64_t began, asked; /* the same moment, as it is shown and as it is compared */
	char text[OUTPUT_MAX + 3];
	size_t length;
} health = { .timer.fd = -1, .output.fd = -1, .prober.fd = -1, .hook_end.fd = -1 };

static void set_timer(uint64_t after_ns)
{
	struct itimerspec when = { .it_value = { (time_t)(after_ns / 1000000000), (long)(after_ns % 1000000000) } };
	timerfd_settime(health.timer.fd, 0, &when, NULL);
}

static void wait_for_next(void)
{
	const struct health_settings *settings = health.settings;
	bool starts = health.status == STARTING && mr_clock() - health.started < settings->start_period_ns;
	set_timer(starts ? settings->start_interval_ns : settings->interval_ns);
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

/* A result's output inside a JSON string. mr_encode stops at a newline. */
static unsigned char *put_text(unsigned char *to, const char *text, size_t length)
{
	const unsigned char *at = (const unsigned char *)text, *end = at + length;
	while ((at = mr_encode(&to, at, end)) < end && *at == '\n') {
		*to++ = '\\';
		*to++ = 'n';
		at++;
	}
	return to;
}

static unsigned char *put_result(unsigned char *to, const struct result *result)
{
	to += sprintf((char *)to, "{\"Start\":\"");
	mr_encode_time(to, result->began);
	to += MR_TIME_LENGTH;
	to += sprintf((char *)to, "\",\"End\":\"");
	mr_encode_time(to, result->ended);
	to += MR_TIME_LENGTH;
	to += sprintf((char *)to, "\",\"ExitCode\":%d,\"Output\":\"", result->code);
	to = put_text(to, result->output, result->length);
	return to + sprintf((char *)to, "\"}");
}

/* Under another name, then renamed. A full disk loses what would be said, and nothing else. */
static void write_file(void)
{
	size_t room = 256;
	char temporary[PATH_MAX];
	for (size_t i = 0; i < health.count; i++)
		room += 6 * health.log[i].length + MR_ENCODE_SLACK + 256;
	unsigned char *text = malloc(room), *to = text;
	if (!text || snprintf(temporary, sizeof temporary, "%s.new", health.settings->path) >= (int)sizeof temporary) {
		free(text);
		return;
	}
	to += sprintf((char *)to, "{\"Status\":\"%s\",\"FailingStreak\":%u,\"Log\":[", words[health.status], health.streak);
	for (size_t i = 0; i < health.count; i++) {
		if (i > 0)
			*to++ = ',';
		to = put_result(to, &health.log[i]);
	}
	to += sprintf((char *)to, "]}");
	MR_AUTOCLOSE file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file >= 0 && write(file, text, (size_t)(to - text)) == to - text)
		rename(temporary, health.settings->path);
	else if (file >= 0)
		unlink(temporary);
	free(text);
}

/* ---- the hook --------------------------------------------------------------------------------------------------- */

static void tell(void);

static void hook_ended(void *context)
{
	(void)context;
	waitpid(health.hook_pid, NULL, __WALL);
	watch_close(&health.hook_end);
	if (health.told != health.status)
		tell();
}

/* The hook's words, and the status as one more. One at a time: what has come and gone meanwhile is told by nobody. */
static void tell(void)
{
	if (!health.hook)
		return;
	int pidfd = -1;
	health.hook_pid = record_start_hook(health.hook, words[health.status], health.hook_environment, &pidfd);
	if (health.hook_pid < 0)
		return; /* no process can be made now: it is told with the next result */
	health.told = health.status;
	watch_open(&health.hook_end, pidfd, hook_ended, NULL);
	watch_for(&health.hook_end, EPOLLIN);
}

/* ---- results ---------------------------------------------------------------------------------------------------- */

static void count_result(int code, bool forgiven)
{
	if (code == 0) {
		health.streak = 0;
		health.status = HEALTHY;
	} else if (!forgiven && ++health.streak >= health.settings->retries) {
		health.status = UNHEALTHY;
	}
}

/* Keeps the newest LOG_KEPT; a result whose output can't be kept is kept without. */
static void remember(int code, const char *text, size_t length)
{
	if (health.count == LOG_KEPT) {
		free(health.log[0].output);
		memmove(health.log, health.log + 1, sizeof *health.log * --health.count);
	}
	char *output = malloc(length + 1);
	if (output)
		memcpy(output, text, length);
	health.log[health.count++] = (struct result){
		.began = health.began, .ended = mr_wall_clock(), .code = code, .output = output, .length = output ? length : 0
	};
}

static void conclude(int code, const char *text, size_t length)
{
	bool forgiven = health.status == STARTING && health.asked - health.started < health.settings->start_period_ns;
	remember(code, text, length);
	count_result(code, forgiven);
	write_file();
	if (health.told != health.status && health.hook_end.fd < 0)
		tell();
	wait_for_next();
}

/* ---- one run ---------------------------------------------------------------------------------------------------- */

/* Takes what is there; what is too much is taken too, so that nobody waits for room in the pipe. But not for ever: what the check has
 * left behind may write faster than we read. */
static void output_came(void *context)
{
	(void)context;
	char more[1024];
	for (int round = 0; round < ROUNDS; round++) {
		size_t room = OUTPUT_MAX > health.length ? OUTPUT_MAX - health.length : 0;
		ssize_t got = room ? read(health.output.fd, health.text + health.length, room)
				   : read(health.output.fd, more, sizeof more);
		if (got < 0)
			return;
		if (got == 0) {
			watch_close(&health.output);
			return;
		}
		if (room) {
			health.length += (size_t)got;
		} else if (health.length == OUTPUT_MAX) {
			memcpy(health.text + OUTPUT_MAX, "...", 3);
			health.length += 3;
		}
	}
}

static void end_probe(void)
{
	waitpid(health.prober_pid, NULL, __WALL);
	watch_close(&health.prober);
	if (health.output.fd >= 0)
		output_came(NULL);
	watch_close(&health.output);
}

static void prober_ended(void *context)
{
	(void)context;
	end_probe();
	struct probe_outcome outcome = *health.outcome;
	if (outcome.kind == PROBE_ENDED)
		conclude(outcome.code, health.text, health.length);
	else if (outcome.kind == PROBE_NOT_STARTED)
		conclude(-1, health.text, health.length);
	else
		conclude(-1, health.settings->late, strlen(health.settings->late));
}

static void begin_probe(void)
{
	int theirs = -1, pidfd = -1;
	health.began = mr_wall_clock();
	health.asked = mr_clock();
	health.length = 0;
	*health.outcome = (struct probe_outcome){ .kind = PROBE_KILLED };
	watch_open(&health.output, -1, output_came, NULL);
	int status = watch_pipe(&health.output, O_RDONLY, &theirs);
	health.prober_pid = status < 0 ? status : mr_clone(0, &pidfd, -1);
	if (health.prober_pid == 0)
		probe_run(&health.probe, theirs, health.outcome);
	mr_close(&theirs);
	if (health.prober_pid < 0) {
		watch_close(&health.output);
		const char *reason = strerror(-health.prober_pid);
		conclude(-1, reason, strlen(reason));
		return;
	}
	watch_for(&health.output, EPOLLIN);
	watch_open(&health.prober, pidfd, prober_ended, NULL);
	watch_for(&health.prober, EPOLLIN);
	set_timer(health.settings->timeout_ns + GRACE_NS);
}

static void time_came(void *context)
{
	(void)context;
	uint64_t times;
	if (read(health.timer.fd, &times, sizeof times) < 0)
		return; /* it was set anew meanwhile */
	if (health.prober.fd >= 0)
		kill(health.prober_pid, SIGKILL);
	else if (record_is_frozen(health.cgroup))
		wait_for_next(); /* a paused container isn't asked how it is */
	else
		begin_probe();
}

/* ---- beginning and end ------------------------------------------------------------------------------------------ */

int health_begin(const struct settings *settings, pid_t pid, int cgroup)
{
	if (!settings->health.plan)
		return 0;
	health.settings = &settings->health;
	health.hook = settings->hook;
	health.hook_environment = settings->hook_environment;
	health.started = mr_clock();
	health.cgroup = cgroup;
	snprintf(health.pid, sizeof health.pid, "%d", (int)pid);
	health.probe = (struct probe){ .plan = settings->health.plan,
				       .pid = health.pid,
				       .start_time = record_start_time(pid),
				       .timeout_ns = settings->health.timeout_ns,
				       .monitor = getpid(),
				       .stdio_uid = settings->stdio_uid,
				       .stdio_gid = settings->stdio_gid };
	health.outcome = mmap(NULL, sizeof *health.outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timer < 0 || health.outcome == MAP_FAILED)
		return -errno;
	watch_open(&health.timer, timer, time_came, NULL);
	watch_for(&health.timer, EPOLLIN);
	write_file();
	wait_for_next();
	return 0;
}

void health_end(void)
{
	watch_close(&health.timer);
	if (health.prober.fd >= 0) {
		kill(health.prober_pid, SIGKILL);
		end_probe();
	}
	watch_close(&health.hook_end);
}
