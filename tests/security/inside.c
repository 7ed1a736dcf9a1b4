/* inside.c: what a container shows to a program in it, one fact per line: TOPIC<tab>KEY<tab>VALUE.
 *
 * Nothing here does harm, whatever the container allows. Files are opened and closed, never read or written. System calls
 * aren't made: a filter of our own, laid over the container's, hands every probed call to a second thread, which answers it
 * with PASSED. A filter's ERRNO and KILL come before a notification (seccomp(2), order of precedence), so the answer is
 * PASSED exactly when the container's filter would have let the call through. The kernel never sees it. (uretprobe and uprobe
 * pass every filter since Linux 6.14 and fail by themselves: outside of a probe's trampoline the first kills its caller.)
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void fact(const char *topic, const char *key, const char *value)
{
	printf("%s\t%s\t%s\n", topic, key, value);
}

/* ---- What /proc/self says ---------------------------------------------------------------------------------------- */

static void status_lines(void)
{
	static const char *const wanted[] = { "Uid",    "Gid",    "Groups", "CapInh",     "CapPrm", "CapEff",
		                              "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Umask" };
	FILE *file = fopen("/proc/self/status", "r");
	char line[4096];

	while (file && fgets(line, sizeof line, file)) {
		char *value = strstr(line, ":\t");

		if (!value)
			continue;
		*value = '\0';
		line[strcspn(line, "\n")] = '\0';
		value[2 + strcspn(value + 2, "\n")] = '\0';
		for (size_t place = 0; place < sizeof wanted / sizeof *wanted; place++)
			if (!strcmp(line, wanted[place]))
				fact("status", line, value + 2);
	}
	if (file)
		fclose(file);
}

static void namespaces(void)
{
	static const char *const kinds[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };

	for (size_t place = 0; place < sizeof kinds / sizeof *kinds; place++) {
		char path[64], target[64] = "";

		snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[place]);
		if (readlink(path, target, sizeof target - 1) > 0)
			fact("namespace", kinds[place], target);
	}
}

static void mounts(void)
{
	FILE *file = fopen("/proc/self/mounts", "r");
	char line[16384], target[4096], options[8192];

	while (file && fgets(line, sizeof line, file))
		if (sscanf(line, "%*s %4095s %*s %8191s", target, options) == 2)
			fact("mount", target, options);
	if (file)
		fclose(file);
}

static void limits(void)
{
	for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
		struct rlimit limit;
		char key[32], value[64];

		if (prlimit(0, resource, NULL, &limit) != 0)
			continue;
		snprintf(key, sizeof key, "%d", resource);
		snprintf(value, sizeof value, "%llu %llu", (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
		fact("limit", key, value);
	}
}

static void descriptors(void)
{
	for (int number = 0; number < 4096; number++) {
		char key[32];

		snprintf(key, sizeof key, "%d", number);
		if (fcntl(number, F_GETFD) >= 0)
			fact("descriptor", key, "open");
	}
}

/* ---- Files of the kernel ----------------------------------------------------------------------------------------- */

static void look(const char *path, int flags, const char *topic)
{
	int descriptor = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW);
	struct stat status;

	if (descriptor < 0)
		return;
	/* A path is masked by the null device: that one can be opened, and says nothing. */
	if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode))
		fact(topic, path, "yes");
	close(descriptor);
}

/* Go through a tree; of the processes in /proc only our own counts, and of that no second way to the same. */
static void tree(const char *top, int depth)
{
	static const char *const elsewhere[] = { "fd", "fdinfo", "map_files", "task", "thread-self", "cgroup" };
	DIR *directory = opendir(top);
	struct dirent *entry;

	while (directory && depth < 24 && (entry = readdir(directory))) {
		const char *name = entry->d_name;
		char path[4096];
		int known = !strcmp(name, ".") || !strcmp(name, "..") || (depth == 0 && name[0] >= '0' && name[0] <= '9');

		for (size_t place = 0; place < sizeof elsewhere / sizeof *elsewhere; place++)
			known |= !strcmp(name, elsewhere[place]) && entry->d_type == DT_DIR;
		if (known || (size_t)snprintf(path, sizeof path, "%s/%s", top, name) >= sizeof path)
			continue;
		if (entry->d_type == DT_DIR)
			tree(path, depth + 1);
		if (entry->d_type != DT_REG)
			continue;
		look(path, O_RDONLY, "readable");
		look(path, O_WRONLY, "writable");
	}
	if (directory)
		closedir(directory);
}

/* ---- Devices ----------------------------------------------------------------------------------------------------- */

static void nodes_of_dev(void)
{
	DIR *directory = opendir("/dev");
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		struct stat status;
		char value[64];

		if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode))
			continue;
		snprintf(value, sizeof value, "%u:%u %o", major(status.st_rdev), minor(status.st_rdev), status.st_mode);
		fact("node", entry->d_name, value);
	}
	if (directory)
		closedir(directory);
}

/* Opening some devices does something: tapes rewind, a watchdog (also behind dynamic numbers) begins to count. */
static int acts_when_opened(mode_t kind, unsigned int number, unsigned int minor_number)
{
	return kind == S_IFCHR && (number == 9 || number == 37 || number >= 234 || (number == 10 && minor_number == 130));
}

static void device(const char *path, mode_t kind, unsigned int number, unsigned int minor_number)
{
	char key[64];
	int descriptor;

	snprintf(key, sizeof key, "%s %c %u:%u", path, kind == S_IFCHR ? 'c' : 'b', number, minor_number);
	if (mknod(path, kind | 0600, makedev(number, minor_number)) != 0)
		return;
	fact("device made", key, "yes");
	descriptor = acts_when_opened(kind, number, minor_number) ? -1 : open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	/* ENXIO and its like come from a driver: the question had been let through to it. */
	if (descriptor >= 0 || (errno != EPERM && errno != EACCES && !acts_when_opened(kind, number, minor_number)))
		fact("device opened", key, "yes");
	if (descriptor >= 0)
		close(descriptor);
	unlink(path);
}

static void devices(void)
{
	static const char *const places[] = { "/node", "/dev/node", "/dev/shm/node" };

	for (size_t place = 0; place < sizeof places / sizeof *places; place++)
		for (unsigned int number = 1; number < 256; number++)
			for (unsigned int minor_number = 0; minor_number < (number <= 10 ? 16U : 1U); minor_number++) {
				device(places[place], S_IFCHR, number, minor_number);
				device(places[place], S_IFBLK, number, minor_number);
			}
	for (unsigned int minor_number = 16; minor_number < 256; minor_number++)
		device("/dev/node", S_IFCHR, 10, minor_number); /* 10:200 tun, 10:229 fuse, 10:232 kvm */
}

/* ---- System calls ------------------------------------------------------------------------------------------------ */

#define PASSED 4000 /* an errno that the kernel has not */
#define MAGIC 0x6d696e69
#define HIGHEST 600
#define X32 0x40000000

struct call {
	enum { NATIVE, INT80 } way;
	const char *topic;
	unsigned long key, number, first, second;
};

static struct call calls[4096];
static size_t count;
static volatile size_t *current; /* shared with the children, one of which a filter may kill */

static void add(int way, const char *topic, unsigned long key, unsigned long number, unsigned long first, unsigned long second)
{
	if (count < sizeof calls / sizeof *calls)
		calls[count++] = (struct call){ way, topic, key, number, first, second };
}

static void list_calls(void)
{
	static const unsigned long personalities[] = { 0, 8, 0x20000, 0x20008, 0xffffffff, 0x40000, 0x400000, 0x4000000 };

	for (unsigned long number = 0; number < HIGHEST; number++)
		add(NATIVE, "call", number, number, 0, 0);
	for (unsigned long family = 0; family < 64; family++)
		add(NATIVE, "socket", family, SYS_socket, family, 3);
	for (unsigned long family = 0; family < 64; family++)
		add(NATIVE, "socket with high bits", family, SYS_socket, family | 1UL << 32, 3);
	for (unsigned long family = 0; family < 64; family++)
		add(NATIVE, "socketpair", family, SYS_socketpair, family, 1);
	for (unsigned long bit = 0; bit < 64; bit++)
		add(NATIVE, "clone", bit, SYS_clone, 1UL << bit, 0);
	for (unsigned long bit = 0; bit < 32; bit++)
		add(NATIVE, "unshare", bit, SYS_unshare, 1UL << bit, 0);
	for (size_t place = 0; place < sizeof personalities / sizeof *personalities; place++)
		add(NATIVE, "personality", personalities[place], SYS_personality, personalities[place], 0);
	add(NATIVE, "ioctl", 0x5412, SYS_ioctl, 0, 0x5412); /* TIOCSTI */
	add(NATIVE, "ioctl", 0x541c, SYS_ioctl, 0, 0x541c); /* TIOCLINUX */
#if defined(__x86_64__)
	for (unsigned long number = 0; number < HIGHEST; number++)
		add(NATIVE, "x32 call", number, number | X32, 0, 0);
	for (unsigned long number = 0; number < HIGHEST; number++)
		add(INT80, "i386 call", number, number, 0, 0);
	for (unsigned long family = 0; family < 64; family++)
		add(INT80, "i386 socket", family, 359, family, 3);
	for (unsigned long bit = 0; bit < 32; bit++)
		add(INT80, "i386 clone", bit, 120, 1UL << bit, 0);
#endif
}

static long make(const struct call *call)
{
#if defined(__x86_64__)
	if (call->way == INT80) {
		long result;

		__asm__ volatile("int $0x80"
				 : "=a"(result)
				 : "a"(call->number), "b"(call->first), "c"(call->second), "d"(0), "S"(0), "D"(0)
				 : "memory", "r8", "r9", "r10", "r11");
		return (int)result;
	}
#endif
	long result = syscall((long)call->number, call->first, call->second, 0L, 0L, 0L, (long)MAGIC);

	return result < 0 ? -(long)errno : result;
}

#define FIELD(name) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))

/* Lay the filter over this thread; gives the descriptor that notifications come from. */
static int notify_calls(void)
{
	struct sock_filter program[] = {
		FIELD(arch),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, 2, 0),
		FIELD(args[5]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAGIC, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof program / sizeof *program, program };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
}

static void *ask(void *pipe_end)
{
	int listener = notify_calls();

	if (write(*(int *)pipe_end, &listener, sizeof listener) != sizeof listener || listener < 0)
		_exit(3);
	for (; *current < count; (*current)++) {
		const struct call *call = &calls[*current];
		long result = make(call);
		char key[32], value[32];

		snprintf(key, sizeof key, "%#lx", call->key);
		snprintf(value, sizeof value, "%ld", result);
		fact(call->topic, key, result == -PASSED ? "passed" : value);
		fflush(stdout);
	}
	_exit(0);
}

static _Noreturn void answer(void)
{
	int ends[2], listener;
	pthread_t thread;

	if (pipe(ends) != 0 || pthread_create(&thread, NULL, ask, &ends[1]) != 0)
		_exit(3);
	if (read(ends[0], &listener, sizeof listener) != sizeof listener)
		_exit(3);
	for (;;) {
		struct seccomp_notif asked = { 0 };
		struct seccomp_notif_resp reply = { .error = -PASSED };

		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0)
			continue;
		reply.id = asked.id;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
	}
}

static int system_calls(void)
{
	current = mmap(NULL, sizeof *current, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (current == MAP_FAILED)
		return 3;
	list_calls();
	while (*current < count) {
		int status = 0;
		pid_t child;

		fflush(stdout);
		child = fork();
		if (child == 0)
			answer();
		if (child < 0 || waitpid(child, &status, 0) != child)
			return 3;
		if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
			return 3;
		if (WIFSIGNALED(status)) {
			char key[32];

			snprintf(key, sizeof key, "%#lx", calls[*current].key);
			fact(calls[*current].topic, key, "killed");
			(*current)++;
		}
	}
	return 0;
}

int main(void)
{
	status_lines();
	namespaces();
	mounts();
	limits();
	descriptors();
	nodes_of_dev();
	devices();
	tree("/proc", 0);
	tree("/proc/self", 1);
	tree("/sys", 1);
	return system_calls();
}
