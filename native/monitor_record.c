/* monitor_record.c: what the monitor leaves in the run directory, and the hook that it runs when nobody took note.
 *
 *     lock      flock(2) held as long as the container has a monitor that is responsible for it: the kernel drops it
 *     started   "PID START_TIME TIME_NS\n"      START_TIME: field 22 of /proc/PID/stat, proc(5)
 *     exit      "STATUS OOM TIME_NS\n"          STATUS as waitpid(2) has it, OOM 0 or 1
 *
 * Files appear whole: written under another name, then renamed. That of `exit` is there, blank, from the start: a disk that is
 * full at the end takes nobody's exit code away.
 */
#include "monitor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_SPACE "exit.new"
enum { RECORD = 80 }; /* bytes of a record at most, and its end */

/* A monitor that has handed its container over still holds the lock for the moment that it needs to leave. */
#define LOCK_TRIES 2000 /* milliseconds */

static int take_lock(int lock)
{
	for (int left = LOCK_TRIES; flock(lock, LOCK_EX | LOCK_NB) < 0; left--) {
		if (errno != EWOULDBLOCK || left == 0)
			return -errno;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return 0;
}

int record_open(const char *path, int *lock)
{
	MR_AUTOCLOSE directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return -errno;
	MR_AUTOCLOSE file = openat(directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int status = file < 0 ? -errno : take_lock(file);
	if (status < 0)
		return status;
	record_remove(directory);
	*lock = file;
	int result = directory;
	file = directory = -1;
	return result;
}

void record_remove(int directory)
{
	static const char *const names[] = { "started", "exit", EXIT_SPACE, "attach.sock" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlinkat(directory, names[i], 0);
}

/* Over what the file holds, if it is there: what has its place on the disk needs no other. */
static int write_text(int directory, const char *name, const char *text)
{
	MR_AUTOCLOSE file = openat(directory, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0)
		return -errno;
	ssize_t length = (ssize_t)strlen(text), wrote = write(file, text, (size_t)length);
	if (wrote != length)
		return wrote < 0 ? -errno : -ENOSPC;
	return ftruncate(file, length) < 0 ? -errno : 0;
}

static int write_whole(int directory, const char *name, const char *text)
{
	char temporary[32];
	snprintf(temporary, sizeof temporary, "%s.new", name);
	int status = write_text(directory, temporary, text);
	if (status == 0 && renameat(directory, temporary, directory, name) == 0)
		return 0;
	status = status < 0 ? status : -errno;
	unlinkat(directory, temporary, 0);
	return status;
}

/* A short file of procfs or cgroupfs as a string; "" when it can't be read. */
static void read_short(int directory, const char *path, char *text, size_t size)
{
	MR_AUTOCLOSE file = openat(directory, path, O_RDONLY | O_CLOEXEC);
	ssize_t got = file < 0 ? 0 : read(file, text, size - 1);
	text[got > 0 ? got : 0] = 0;
}

uint64_t record_start_time(pid_t pid)
{
	char digits[16];
	uint64_t ticks;
	snprintf(digits, sizeof digits, "%d", (int)pid);
	return mr_start_time(digits, &ticks) < 0 ? 0 : ticks;
}

int record_started(int directory, pid_t pid, uint64_t time_ns)
{
	char text[RECORD];
	snprintf(text, sizeof text, "%*s", RECORD - 1, "");
	int status = write_text(directory, EXIT_SPACE, text);
	if (status < 0)
		return status;
	snprintf(text, sizeof text, "%d %llu %llu\n", (int)pid, (unsigned long long)record_start_time(pid),
		 (unsigned long long)time_ns);
	return write_whole(directory, "started", text);
}

int record_exit(int directory, int status, bool oom_killed, uint64_t time_ns)
{
	char text[RECORD];
	snprintf(text, sizeof text, "%d %d %llu\n", status, oom_killed, (unsigned long long)time_ns);
	return write_whole(directory, "exit", text);
}

/* memory.events counts what happened in the cgroup and below: Documentation/admin-guide/cgroup-v2.rst. The file is absent where
 * the host has no memory controller in version 2. */
bool record_oom_killed(int cgroup)
{
	if (cgroup < 0)
		return false;
	char text[512];
	read_short(cgroup, "memory.events", text, sizeof text);
	const char *line = strstr(text, "\noom_kill ");
	return line && strtoull(line + strlen("\noom_kill "), NULL, 10) > 0;
}

/* What the freezer was told, not whether all have come to rest. */
bool record_is_frozen(int cgroup)
{
	char text[8] = "";
	if (cgroup >= 0)
		read_short(cgroup, "cgroup.freeze", text, sizeof text);
	return text[0] == '1';
}

/* The container's process inherits our value, so this is done after it was born; the hook gets the old one back. */
static char old_oom_score[16] = "0";

static void set_oom_score(const char *value)
{
	MR_AUTOCLOSE file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (file >= 0 && write(file, value, strlen(value)) < 0)
		return; /* lowering needs CAP_SYS_RESOURCE; without it we are as likely a victim as anybody */
}

void record_protect(void)
{
	read_short(AT_FDCWD, "/proc/self/oom_score_adj", old_oom_score, sizeof old_oom_score);
	set_oom_score("-999");
}

void record_unprotect(void)
{
	set_oom_score(old_oom_score);
}

static char **with_word(char **argv, const char *word)
{
	size_t count = 0;
	while (argv[count])
		count++;
	char **longer = calloc(count + 2, sizeof *longer);
	if (longer) {
		memcpy(longer, argv, count * sizeof *argv);
		memcpy(&longer[count], &word, sizeof word);
	}
	return longer;
}

pid_t record_start_hook(char **argv, const char *word, char **environment, int *pidfd)
{
	char **longer = with_word(argv, word);
	pid_t child = longer ? mr_clone(0, pidfd, -1) : -ENOMEM;
	if (child == 0) {
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		record_unprotect();
		setsid();
		execve(longer[0], longer, environment);
		_exit(127);
	}
	free(longer);
	return child;
}

void record_run_hook(char **argv, const char *word, char **environment)
{
	int pidfd = -1;
	pid_t child = record_start_hook(argv, word, environment, &pidfd);
	if (child < 0)
		return;
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	poll(&ended, 1, HOOK_SECONDS * 1000);
	waitpid(child, NULL, WNOHANG);
	close(pidfd);
}
