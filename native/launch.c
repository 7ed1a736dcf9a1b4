/* launch.c: system calls that Python needs and its os module lacks.
 *
 * Owns: starting a program from Python without a Python fork, pidfds, the read-only clone of an executable, the question whether
 * ids can be mapped. Leaves to others: containers (spawn.c), which are never made by the Python process itself.
 */
#include "mount_api.h"

#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define LAUNCH_DESCRIPTORS_MAX 256
#define HOLDER_STACK 16384

struct job {
	int executable; /* or -1: */
	const char *path;
	char *const *argv;
	char *const *environment;
	const int *targets;
	const int *sources;
	int count;
	bool orphan;
	int error; /* of the child, in memory that both see */
};

/* clone3 in line. A child that shares our memory (CLONE_VM) also shares the stack: were this a function, the child's next
 * call would overwrite the return address that we are going to use. Where we have no such code, memory is copied. */
#if defined(__x86_64__)
#define CLONE_SHARED (CLONE_VM | CLONE_VFORK)
static inline __attribute__((always_inline)) long clone3_inline(struct clone_args *arguments)
{
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"((long)SYS_clone3), "D"(arguments), "S"(sizeof *arguments)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
#define CLONE_SHARED (CLONE_VM | CLONE_VFORK)
static inline __attribute__((always_inline)) long clone3_inline(struct clone_args *arguments)
{
	register long x8 __asm__("x8") = SYS_clone3;
	register long x0 __asm__("x0") = (long)arguments;
	register long x1 __asm__("x1") = sizeof *arguments;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1) : "memory");
	return x0;
}
#else
#define CLONE_SHARED CLONE_VFORK
static inline long clone3_inline(struct clone_args *arguments)
{
	long result = syscall(SYS_clone3, arguments, sizeof *arguments);
	return result < 0 ? -errno : result;
}
#endif

/* For an orphan, the child has a child of its own, which goes on while it waits (CLONE_VFORK), and then ends: nobody has to wait
 * for the one that executes. Before exec and not after it, when there would be memory of its own to copy and to give back. */
static inline __attribute__((always_inline)) int leave_behind(void)
{
	struct clone_args arguments = { .flags = CLONE_SHARED | CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD };
	long pid = clone3_inline(&arguments);

	if (pid > 0)
		_exit(0);
	return (int)pid;
}

/* In the child: only system calls, nothing that the parent would find changed in the memory it shares. */
static __attribute__((noinline)) void child(struct job *job)
{
	int copies[LAUNCH_DESCRIPTORS_MAX], executable, above = 3;
	struct sigaction standard = { .sa_handler = SIG_DFL };
	sigset_t none;
	int error;

	if (job->orphan && (error = leave_behind()) < 0) {
		job->error = -error;
		_exit(127);
	}
	/* Python ignores these two; what is handled was reset by CLONE_CLEAR_SIGHAND. */
	sigaction(SIGPIPE, &standard, NULL);
	sigaction(SIGXFSZ, &standard, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);

	/* Out of the way first: a target may be the number of a source that comes later. */
	for (int i = 0; i < job->count; i++)
		if (job->targets[i] >= above)
			above = job->targets[i] + 1;
	for (int i = 0; i < job->count; i++) {
		copies[i] = fcntl(job->sources[i], F_DUPFD_CLOEXEC, above);
		if (copies[i] < 0)
			goto failed;
	}
	executable = job->executable < 0 ? AT_FDCWD : fcntl(job->executable, F_DUPFD_CLOEXEC, above);
	if (executable == -1 || syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		goto failed;
	for (int i = 0; i < job->count; i++)
		if (dup2(copies[i], job->targets[i]) < 0)
			goto failed;
	/* A script is read by its interpreter, by name: a descriptor that is closed by then would be none. execveat(2), BUGS. */
	if (executable == AT_FDCWD)
		execve(job->path, job->argv, job->environment);
	else
		syscall(SYS_execveat, executable, "", job->argv, job->environment, AT_EMPTY_PATH);
failed:
	job->error = errno;
	_exit(127);
}

int mr_launch(int executable, const char *path, char *const *argv, char *const *environment, const int *targets,
	      const int *sources, int count, int cgroup, int orphan)
{
	struct clone_args arguments = {
		.flags = CLONE_SHARED | CLONE_CLEAR_SIGHAND | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
		.exit_signal = SIGCHLD,
		.cgroup = cgroup >= 0 ? (uint64_t)(unsigned)cgroup : 0,
	};
	struct job *job;
	sigset_t all, before;
	long pid;

	if (count < 0 || count > LAUNCH_DESCRIPTORS_MAX)
		return -E2BIG;
	job = mmap(NULL, sizeof *job, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (job == MAP_FAILED)
		return -errno;
	*job = (struct job){ executable, path, argv, environment, targets, sources, count, orphan != 0, 0 };

	sigfillset(&all); /* a handler of ours must not run in the child */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = clone3_inline(&arguments);
	if (pid == 0)
		child(job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);

	if (pid > 0 && (job->error || orphan))
		while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
			;
	if (pid > 0 && job->error)
		pid = -job->error;
	else if (pid > 0 && orphan)
		pid = 0;
	munmap(job, sizeof *job);
	return (int)pid;
}

int mr_set_subreaper(int reaps)
{
	return mr_result(prctl(PR_SET_CHILD_SUBREAPER, (unsigned long)(reaps != 0)));
}

uint64_t mr_held_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	uint64_t held;

	if (syscall(SYS_capget, &header, data) < 0)
		return 0;
	held = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	for (int capability = 0; capability < 64; capability++)
		if (held >> capability & 1 && prctl(PR_CAPBSET_READ, (unsigned long)capability, 0, 0, 0) != 1)
			held &= ~(1ull << capability);
	return held;
}

int mr_pidfd_open(int pid)
{
	return mr_result(syscall(SYS_pidfd_open, pid, 0));
}

int mr_pidfd_send_signal(int pidfd, int number)
{
	return mr_result(syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0));
}

int mr_read_only_clone(const char *path)
{
	int tree = mr_open_tree(AT_FDCWD, path, false), error;

	if (tree < 0)
		return tree;
	error = mr_mount_setattr(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, 0, false);
	if (error < 0) {
		close(tree);
		return error;
	}
	return tree;
}

/* ---- ID-mapped mounts ---- */

static int write_once(int directory, const char *file, const char *text)
{
	MR_AUTOCLOSE descriptor = mr_result(openat(directory, file, O_WRONLY | O_CLOEXEC));
	size_t length = strlen(text);

	if (descriptor < 0)
		return descriptor;
	return write(descriptor, text, length) == (ssize_t)length ? 0 : -errno;
}

/* Of process `pid`, which waits. */
static int map_namespace(pid_t pid, const char *uid_map, const char *gid_map)
{
	MR_AUTOCLOSE process = -1;
	char path[32];
	int error;

	snprintf(path, sizeof path, "/proc/%d", pid);
	process = mr_result(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (process < 0)
		return process;
	error = write_once(process, "gid_map", gid_map);
	if (error == 0)
		error = write_once(process, "uid_map", uid_map);
	return error < 0 ? error : mr_result(openat(process, "ns/user", O_RDONLY | O_CLOEXEC));
}

/* Only waits to be killed. */
static int hold(void *parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == *(pid_t *)parent)
		pause();
	_exit(0);
}

/* The process that the namespace is made with shares our memory (CLONE_VM): a copy would cost us a fault for each page that we
 * write to from then on. */
int mr_user_namespace(const char *uid_map, const char *gid_map)
{
	/* One for each call: other threads may ask at the same time. */
	char *stack = mmap(NULL, HOLDER_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	pid_t self = getpid(), pid;
	sigset_t all, before;
	int namespace;

	if (stack == MAP_FAILED)
		return -errno;
	sigfillset(&all); /* a handler of ours must not run there */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = mr_result(clone(hold, stack + HOLDER_STACK, CLONE_NEWUSER | CLONE_VM | SIGCHLD, &self));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	namespace = pid < 0 ? pid : map_namespace(pid, uid_map, gid_map);
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	munmap(stack, HOLDER_STACK);
	return namespace;
}

int mr_id_map_check(const char *path, int namespace)
{
	MR_AUTOCLOSE tree = mr_open_tree(AT_FDCWD, path, false);

	return tree < 0 ? tree : mr_map_ids(tree, namespace, false);
}
