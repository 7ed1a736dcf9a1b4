/* launcher.c: `minirun` and `minirun-oci` as they are called: hands the command to the preloaded process, or runs it itself.
 *
 *     minirun WORD...          a link to it (runc, crun) keeps its meaning: the program is told by which name it was called
 *
 * Owns: the client's half of the protocol, and the decision between warm and cold. Leaves to others: the preloaded process and all
 * checks that protect it (minirun/warm/), the commands. docs/decisions/0020 says why it is as it is.
 *
 *     request   (memfd, token, other end of a pair)   ->    see struct request; in the pair waits (directory, descriptors...)
 *               <-  SEEN                                    the preloaded process has it
 *               <-  COLD                                    no: run it yourself
 *               <-  ACCEPTED pid (pidfd of the worker)      the worker has taken the token, and the command is its own
 *               <-  STOPPED signal                          stop as the worker has
 *               <-  EXITED status                           end as the worker has
 *     the end of the connection: while the token is there it means COLD; after that the worker was killed, and so are we
 *
 * A static program without dependencies, and all of it in one file: its own start is what every command waits for.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define SOCKET "/run/minirun/warm.sock"
#define CONFIGURATION "/etc/minirun/warm.conf"
#define DESCRIPTORS_MAX 250 /* SCM_RIGHTS takes 253: unix(7) */
#define ANSWER_MS 2 /* so long for the first answer of a process that may hang */
#define BUSY_MS 5000 /* so long when it is seen to live: it may have fifty callers */
#define ADOPTED_MS 5000 /* so long, again, for a worker to be ready */
#define SILENCE_MS 1000 /* so long until a worker's end is looked for elsewhere */
#define LOCK 3 /* the preloaded process's descriptor */
#define COUNT(array) (sizeof(array) / sizeof *(array))

#ifndef PR_GET_MDWE /* Linux 6.3 */
#define PR_GET_MDWE 66
#endif

/* minirun/warm/request.py has the same numbers. */
#define VERSION 1
enum answer_kind { SEEN = 1, COLD, ACCEPTED, STOPPED, EXITED };

struct answer {
	uint32_t kind;
	int32_t value;
};

/* The descriptors of the request come in this order. Those of the caller, its working directory first, lie in a socket pair whose
 * other end goes along: as long as no worker has fetched them, we can take them back. In the queue of a preloaded process that hangs,
 * the caller's pipes would never end. */
enum { REQUEST, TOKEN, PAIR, SENT };

/* At the beginning of the memfd. `count` descriptor numbers follow, then strings, each with its NUL: home of the installation, path
 * of the program, its arguments, the variables. */
struct request {
	uint32_t version, argument_count, variable_count, count;
	uint64_t blocked; /* signals: bit n - 1 for signal n */
	uint64_t has_terminal; /* we have a controlling one */
};

extern char **environ;
static char home[4096]; /* the directory that we, and the interpreter, lie in */
static const char *path_called, *program;
static char **words;
static sigset_t blocked_before;

/* ---- the cold path ------------------------------------------------------------------------------------------------- */

/* Replaces this process by the interpreter with the script `name` of this installation, or where there is none (a wheel that was
 * installed by hand) with the same in a line of Python. Gives back only what failed. */
static int interpret(const char *name, const char *module, char *const *arguments, size_t count)
{
	char python[sizeof home + 16], script[sizeof home + 64], line[256];
	char **argv = calloc(count + 8, sizeof *argv);
	size_t used = 0;

	if (!argv)
		return -ENOMEM;
	snprintf(python, sizeof python, "%s/python3", home);
	snprintf(script, sizeof script, "%s/../share/minirun/%s", home, name);
	argv[used++] = python;
	if (access(script, R_OK) == 0) {
		argv[used++] = (char *)"-IS";
		argv[used++] = script;
	} else {
		snprintf(line, sizeof line, "import sys; del sys.argv[0]; from %s import entry; entry()", module);
		argv[used++] = (char *)"-I";
		argv[used++] = (char *)"-c";
		argv[used++] = line;
	}
	for (size_t i = 0; i < count; i++)
		argv[used++] = arguments[i];
	execv(python, argv);
	return -errno;
}

/* Runs the command in this process. Never returns. */
static _Noreturn void run_cold(void)
{
	bool is_oci = strcmp(program, "minirun-oci") == 0;
	size_t count = 0;
	char **arguments;
	int error = -ENOMEM;

	sigprocmask(SIG_SETMASK, &blocked_before, NULL);
	while (words[count])
		count++;
	arguments = calloc(count + 1, sizeof *arguments);
	if (arguments) {
		arguments[0] = (char *)path_called;
		for (size_t i = 1; i < count; i++)
			arguments[i] = words[i];
		error = interpret(program, is_oci ? "minirun.oci.main" : "minirun.cli.main", arguments, count ? count : 1);
	}
	dprintf(2, "%s: start %s/python3: %s\n", program, home, strerror(-error));
	_exit(is_oci ? 1 : 125);
}

/* ---- may it be warm? ----------------------------------------------------------------------------------------------- */

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* What changes the interpreter or the C library of a new process, and can't be changed in one that runs already; and what makes
 * the process id matter: sd_notify(3) is heard from the process that the service manager has started. */
static bool environment_is_ordinary(void)
{
	static const char *const special[] = { "LD_", "GLIBC_TUNABLES=", "MALLOC_", "GCONV_PATH=", "LOCPATH=", "OPENSSL_",
					       "NOTIFY_SOCKET=", "SQLITE_", "RES_OPTIONS=", "LOCALDOMAIN=", "HOSTALIASES=" };
	for (char **variable = environ; *variable; variable++)
		for (size_t i = 0; i < COUNT(special); i++)
			if (begins(*variable, special[i]))
				return false;
	return true;
}

/* Writing to a terminal with TOSTOP stops who isn't in the foreground, but nobody of another session. termios(3) */
static bool terminals_are_ordinary(void)
{
	struct termios mode;
	for (int fd = 0; fd < 3; fd++)
		if (tcgetattr(fd, &mode) == 0 && (mode.c_lflag & TOSTOP))
			return false;
	return true;
}

/* The administrator's word: a line `warm = off`. */
static bool is_switched_off(void)
{
	char text[4096], *line = text;
	int file = open(CONFIGURATION, O_RDONLY | O_CLOEXEC);
	ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);

	if (file >= 0)
		close(file);
	text[length > 0 ? length : 0] = 0;
	for (char *end; *line; line = end + (*end != 0)) {
		char value[8];
		end = line + strcspn(line, "\n");
		if (sscanf(line, " warm = %7[a-z]", value) == 1 && strcmp(value, "off") == 0)
			return true;
	}
	return false;
}

/* What the kernel shows of no process but to itself, and a worker doesn't take on: to reap orphans, to get memory from chosen nodes,
 * to map none that is written and executed. What the kernel doesn't know stays 0. */
static bool process_is_ordinary(void)
{
	int reaps = 0, policy = 0;

	prctl(PR_GET_CHILD_SUBREAPER, &reaps);
	syscall(SYS_get_mempolicy, &policy, NULL, 0UL, NULL, 0UL);
	return prctl(PR_GET_SECUREBITS) == 0 && reaps == 0 && policy == 0 && prctl(PR_GET_MDWE, 0UL, 0UL, 0UL, 0UL) <= 0;
}

/* The main process of a service. When that is stopped, the service manager sends the signal to each process in its cgroup: a command
 * would hear it twice, from its launcher too, and many a program takes the second one for impatience. systemd.exec(5), systemd.kill(5) */
static bool is_a_service(void)
{
	return getenv("INVOCATION_ID") && getsid(0) == getpid();
}

/* ---- other processes ------------------------------------------------------------------------------------------------ */

/* Reads a short file of /proc; an empty text when there is nothing to read. */
static void read_text(const char *path, char *text, size_t size)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = file < 0 ? -1 : read(file, text, size - 1);

	if (file >= 0)
		close(file);
	text[length > 0 ? length : 0] = 0;
}

/* Reads what the kernel says of a process; an empty text when it has gone. proc_pid_stat(5) */
static void read_stat(pid_t pid, char *text, size_t size)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	read_text(path, text, size);
}

static char state_of(pid_t pid)
{
	char text[512];
	const char *after_name;

	read_stat(pid, text, sizeof text);
	after_name = strrchr(text, ')');
	return after_name && after_name[1] == ' ' ? after_name[2] : 'X';
}

/* ---- signals: the functions of a C library leave out the two or three that it uses for its threads, which others may have sent --- */

static void let_be_default(int number)
{
	unsigned long standard[8] = { 0 }; /* the kernel's own struct: SIG_DFL, no flags. rt_sigaction(2) */
	syscall(SYS_rt_sigaction, number, standard, NULL, sizeof(uint64_t));
}

/* ---- the preloaded process for the next command --------------------------------------------------------------------- */

static bool same_link(const char *a, const char *b)
{
	char left[128], right[128];
	ssize_t first = readlink(a, left, sizeof left), second = readlink(b, right, sizeof right);
	return first > 0 && first == second && memcmp(left, right, (size_t)first) == 0;
}

/* The kernel's struct statx, of which not every C library knows the mount. statx(2), Linux 5.8 */
struct facts {
	uint32_t mask, block_size;
	uint64_t attributes;
	uint32_t links, uid, gid;
	uint16_t mode, padding;
	uint64_t inode, sizes[3], times[8];
	uint32_t device_it_is[2], device[2];
	uint64_t mount, later[13];
};

_Static_assert(sizeof(struct facts) == 256, "as large as what the kernel fills");

static bool facts_of(int directory, const char *path, struct facts *facts)
{
	static const unsigned basic = 0x7ff, mount = 0x1000; /* STATX_BASIC_STATS, STATX_MNT_ID */

	*facts = (struct facts){ 0 };
	return syscall(SYS_statx, directory, path, AT_EMPTY_PATH, basic | mount, facts) == 0;
}

/* The link names a directory as whoever reads it sees it: "/" in every chroot. So by its inode and its mount. */
static bool same_root(pid_t other)
{
	struct facts left, right;
	char path[32];

	snprintf(path, sizeof path, "/proc/%d/root", other);
	return facts_of(AT_FDCWD, "/proc/self/root", &left) && facts_of(AT_FDCWD, path, &right) && left.inode == right.inode &&
	       memcmp(left.device, right.device, sizeof left.device) == 0 && left.mount == right.mount;
}

static bool same_namespaces(pid_t other)
{
	static const char *const kinds[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };

	for (size_t i = 0; i < COUNT(kinds); i++) {
		char own[32], path[32];
		snprintf(own, sizeof own, "/proc/self/ns/%s", kinds[i]);
		snprintf(path, sizeof path, "/proc/%d/ns/%s", other, kinds[i]);
		if (!same_link(own, path))
			return false;
	}
	return true;
}

/* Gives the next line that is of a hierarchy of version 1, NULL at the end: those of version 2 can be left. cgroups(7) */
static char *next_hierarchy(char **rest, const char *containing)
{
	char *line;

	while ((line = strsep(rest, "\n")))
		if (*line && strncmp(line, "0::", 3) != 0 && strstr(line, containing))
			return line;
	return NULL;
}

/* A hierarchy with a name is some service manager's, who tells by it what is a service's or a login's, and when that has ended. */
static bool same_hierarchies(pid_t other, const char *containing)
{
	char path[32], own[8192], others[8192], *left = own, *right = others;

	snprintf(path, sizeof path, "/proc/%d/cgroup", other);
	read_text("/proc/self/cgroup", own, sizeof own);
	read_text(path, others, sizeof others);
	for (;;) {
		char *first = next_hierarchy(&left, containing), *second = next_hierarchy(&right, containing);
		if (!first || !second)
			return first == second;
		if (strcmp(first, second) != 0)
			return false;
	}
}

/* A process with all capabilities that we have, and others: the kernel doesn't let us look at it, and needs no other reason. */
static bool has_more_capabilities(pid_t other)
{
	char path[32], text[4096], *line;
	unsigned long long own = 0, theirs = 0;

	read_text("/proc/self/status", text, sizeof text);
	line = strstr(text, "\nCapPrm:");
	if (!line || sscanf(line, "\nCapPrm: %llx", &own) != 1)
		return false;
	snprintf(path, sizeof path, "/proc/%d/status", other);
	read_text(path, text, sizeof text);
	line = strstr(text, "\nCapPrm:");
	return line && sscanf(line, "\nCapPrm: %llx", &theirs) == 1 && (own & ~theirs) == 0 && (theirs & ~own) != 0;
}

/* Some root processes mayn't look at process 1: then it is as good as the last one below it, and there has to be one. */
static bool same_as_init(bool has_seen_others)
{
	char link[64];

	if (!same_hierarchies(1, ":name="))
		return false;
	if (readlink("/proc/1/ns/mnt", link, sizeof link) < 0)
		return errno == EACCES && has_seen_others && has_more_capabilities(1);
	return same_namespaces(1) && same_root(1);
}

/* Gives the parent of a process, 0 where there is none that we see. proc_pid_stat(5) */
static pid_t parent_of(pid_t pid)
{
	const char *after_name;
	char text[512];
	int parent = 0;

	read_stat(pid, text, sizeof text);
	after_name = strrchr(text, ')');
	if (!after_name || sscanf(after_name, ") %*c %d", &parent) != 1)
		return 0;
	return parent;
}

/* What is left behind lives longer than its caller, and must keep nothing of it: no namespace, no mount below another root, no cgroup
 * that somebody waits for. So only where all that is above us, up to process 1, has the same: then they are the system's own, or
 * a container's, and end with it. minirun/warm/server.py looks at what one process can see of itself, and leaves its cgroup. */
static bool may_leave_one_behind(void)
{
	bool has_seen_others = false;
	pid_t above;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0 || prctl(PR_GET_SECCOMP) != 0 || getpid() == 1)
		return false;
	for (above = getppid(); above > 1; above = parent_of(above)) {
		if (!same_namespaces(above) || !same_root(above) || !same_hierarchies(above, ":"))
			return false;
		has_seen_others = true;
	}
	return same_as_init(has_seen_others);
}

/* Who can write to a directory, or to one above it, puts there what he likes. One with the sticky bit, as /tmp is, may be above. */
static bool is_roots_alone(const char *path)
{
	int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t inode = 0, mount = 0;

	for (bool is_first = true; directory >= 0; is_first = false) {
		struct facts facts;
		int above = -1;
		bool is_known = facts_of(directory, "", &facts);
		bool is_writable = facts.mode & (S_IWGRP | S_IWOTH) && (is_first || !(facts.mode & S_ISVTX));
		bool is_safe = is_known && facts.uid == 0 && !is_writable;
		if (is_safe && !is_first && facts.inode == inode && facts.mount == mount) {
			close(directory); /* the root is its own parent */
			return true;
		}
		inode = facts.inode;
		mount = facts.mount;
		if (is_safe)
			above = openat(directory, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(directory);
		directory = above;
	}
	return false;
}

/* In the process that stays: nothing of the caller. Never returns. */
static _Noreturn void become_preloaded(const char *socket_path, int lock, pid_t parent)
{
	static char path_variable[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	static char language[] = "LANG=C.UTF-8";
	static char *variables[] = { path_variable, language, NULL };
	char number[16];
	char *arguments[] = { (char *)socket_path, number, NULL };
	sigset_t none;
	int opened = open("/dev/null", O_RDWR), null = fcntl(opened, F_DUPFD, LOCK + 1); /* LOCK is to be free */

	while (getppid() == parent)
		poll(NULL, 0, 1); /* it ends at once */
	if (getppid() != 1) /* a subreaper is above us, prctl(2): it shall find no child that it knows nothing of */
		_exit(1);
	setsid();
	umask(0022);
	if (null < 0 || chdir("/") < 0 || (lock != LOCK && dup2(lock, LOCK) < 0))
		_exit(1);
	fcntl(LOCK, F_SETFD, 0);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (syscall(SYS_close_range, LOCK + 1u, ~0u, 0u) < 0)
		_exit(1);
	for (int number_of = 1; number_of < NSIG; number_of++)
		let_be_default(number_of);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(number, sizeof number, "%d", LOCK);
	environ = variables;
	interpret("minirun-warm", "minirun.warm.server", arguments, 2);
	_exit(1);
}

/* Whoever gets the lock starts it; fifty callers at once start one. It isn't waited for. */
static void leave_one_behind(const char *socket_path)
{
	char lock_path[sizeof((struct sockaddr_un *)0)->sun_path + 8], directory[sizeof lock_path], *slash;
	int lock;
	pid_t child;

	if (!may_leave_one_behind())
		return;
	snprintf(lock_path, sizeof lock_path, "%s.lock", socket_path);
	snprintf(directory, sizeof directory, "%s", socket_path);
	slash = strrchr(directory, '/');
	slash[slash == directory] = 0;
	mkdir(directory, 0700);
	if (!is_roots_alone(directory))
		return;
	lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0)
		return;
	if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
		child = fork();
		if (child == 0) {
			pid_t parent = getpid();
			if (fork() == 0)
				become_preloaded(socket_path, lock, parent);
			_exit(0);
		}
		while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close(lock);
}

/* ---- the request --------------------------------------------------------------------------------------------------- */

/* Gives the numbers of our descriptors, all of them the caller's. Their count, or -1 when they can't go along. */
static int list_descriptors(int *numbers)
{
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;
	int count = 0;

	if (!directory)
		return -1;
	while (count >= 0 && (entry = readdir(directory))) {
		int number = atoi(entry->d_name);
		if (entry->d_name[0] == '.' || number == dirfd(directory))
			continue;
		if (count == DESCRIPTORS_MAX)
			count = -1;
		else
			numbers[count++] = number;
	}
	closedir(directory);
	return count;
}

static size_t length_of(char *const *strings)
{
	size_t length = 0;

	for (; *strings; strings++)
		length += strlen(*strings) + 1;
	return length;
}

/* Could a file be that large? To try would cost us a signal, which the cold program would get. getrlimit(2), RLIMIT_FSIZE */
static bool may_be_written(uint32_t count)
{
	size_t numbers = sizeof(int) * count, strings = length_of(words) + length_of(environ);
	size_t length = sizeof(struct request) + numbers + strings + strlen(home) + strlen(path_called) + strlen(program) + 3;
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) == 0 && length <= limit.rlim_cur;
}

/* Gives a memfd with all that isn't a descriptor, or -1. */
static int write_request(const int *numbers, uint32_t count)
{
	struct request request = { .version = VERSION, .count = count };
	int file = memfd_create("minirun-command", MFD_CLOEXEC), terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	FILE *stream;

	request.has_terminal = terminal >= 0;
	if (terminal >= 0)
		close(terminal);
	for (int number = 1; number < NSIG; number++)
		if (sigismember(&blocked_before, number) == 1)
			request.blocked |= UINT64_C(1) << (number - 1);
	for (char **word = words; word[0] && word[1]; word++)
		request.argument_count++;
	for (char **variable = environ; *variable; variable++)
		request.variable_count++;

	stream = file < 0 || !may_be_written(count) ? NULL : fdopen(file, "w");
	if (!stream)
		return -1;
	fwrite(&request, sizeof request, 1, stream);
	fwrite(numbers, sizeof *numbers, count, stream);
	fwrite(home, strlen(home) + 1, 1, stream);
	fwrite(path_called, strlen(path_called) + 1, 1, stream);
	fwrite(program, strlen(program) + 1, 1, stream);
	for (uint32_t i = 1; i <= request.argument_count; i++)
		fwrite(words[i], strlen(words[i]) + 1, 1, stream);
	for (uint32_t i = 0; i < request.variable_count; i++)
		fwrite(environ[i], strlen(environ[i]) + 1, 1, stream);
	return fflush(stream) == 0 && !ferror(stream) ? file : -1;
}

_Static_assert(CMSG_SPACE(sizeof(int) * (DESCRIPTORS_MAX + 1)) <= 1024, "musl's sendmsg(3) takes no more");

/* Sends a byte and descriptors. False also when one of them couldn't be made. */
static bool send_descriptors(int socket_fd, const int *descriptors, size_t count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * (DESCRIPTORS_MAX + 1))] = { 0 };
	size_t length = sizeof(int) * count;
	struct iovec part = { .iov_base = (char[]){ VERSION }, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control };
	struct cmsghdr *header = (void *)control;

	message.msg_controllen = (socklen_t)CMSG_SPACE(length);
	*header = (struct cmsghdr){ .cmsg_len = (socklen_t)CMSG_LEN(length), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(header), descriptors, length);
	return sendmsg(socket_fd, &message, MSG_NOSIGNAL) == 1;
}

/* Takes the caller's descriptors back, if nobody has fetched them: what comes twice here closes with exec. */
static void take_back(int pair)
{
	char control[CMSG_SPACE(sizeof(int) * (DESCRIPTORS_MAX + 1))], byte;
	struct iovec part = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };

	recvmsg(pair, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
}

/* ---- the talk ------------------------------------------------------------------------------------------------------ */

/* Gives a connection to the preloaded process and its id; or -1, with *absent where there is none. */
static int reach(const char *socket_path, pid_t *preloaded, bool *absent)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ucred peer;
	socklen_t size = sizeof peer;
	int connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*absent = false;
	strncpy(address.sun_path, socket_path, sizeof address.sun_path - 1);
	if (connection < 0)
		return -1;
	if (connect(connection, (struct sockaddr *)&address, sizeof address) < 0) {
		*absent = errno == ENOENT || errno == ECONNREFUSED;
	} else if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == 0 && peer.pid > 1) {
		/* Process 1 listens for a preloaded process that doesn't live yet: systemd.socket(5). */
		char path[32], link[64];
		*preloaded = peer.pid;
		snprintf(path, sizeof path, "/proc/%d/ns/mnt", peer.pid);
		/* Who mayn't look at it has fewer rights than it has, by whatever the kernel knows: proc(5), ptrace(2). */
		if (readlink(path, link, sizeof link) > 0)
			return connection;
	}
	close(connection);
	return -1;
}

/* Takes one message and the descriptor in it. False at the connection's end. */
static bool receive(int connection, struct answer *answer, int *descriptor)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec part = { .iov_base = answer, .iov_len = sizeof *answer };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *header;

	if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != sizeof *answer)
		return false;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(descriptor, CMSG_DATA(header), sizeof *descriptor);
	return true;
}

static void set_mask(int how, int number)
{
	uint64_t set = UINT64_C(1) << (number - 1);
	syscall(SYS_rt_sigprocmask, how, &set, NULL, sizeof set);
}

/* Ends as the worker has. */
static _Noreturn void end_likewise(int status)
{
	int number = WTERMSIG(status);

	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	if (!WCOREDUMP(status))
		prctl(PR_SET_DUMPABLE, 0);
	let_be_default(number);
	kill(getpid(), number);
	set_mask(SIG_UNBLOCK, number);
	_exit(128 + number);
}

/* The command happens once: who takes the token runs it. */
static bool take_token(int token)
{
	uint64_t value;
	return read(token, &value, sizeof value) == sizeof value;
}

/* Gives a descriptor that is ready as soon as a signal is there that would do something to a process without handlers. signal(7) */
static int urgent_signals(void)
{
	static const int others[] = { SIGCHLD, SIGCONT, SIGURG, SIGWINCH };
	sigset_t urgent;

	memset(&urgent, 0xff, sizeof urgent);
	for (size_t i = 0; i < COUNT(others); i++)
		sigdelset(&urgent, others[i]);
	return signalfd(-1, &urgent, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Waits for the next message; false at its limit, at once where the preloaded process can't answer, and as soon as a signal wants
 * something of a command that nobody runs yet. */
static bool await_message(int connection, pid_t preloaded, int limit_ms)
{
	struct pollfd watched[] = { { .fd = connection, .events = POLLIN }, { .fd = -1, .events = POLLIN } };

	if (poll(watched, 1, ANSWER_MS) == 1)
		return true;
	if (strchr("TtZXx", state_of(preloaded)))
		return false;
	watched[1].fd = urgent_signals();
	poll(watched, COUNT(watched), limit_ms);
	close(watched[1].fd);
	return watched[0].revents != 0;
}

/* Waits until a worker has accepted the command, and gives its process id; 0 when the command is ours to run, for certain. */
static pid_t await_accepted(int connection, pid_t preloaded, int token, int *worker)
{
	struct answer answer = { 0 };

	if (await_message(connection, preloaded, BUSY_MS) && receive(connection, &answer, worker) && answer.kind == SEEN)
		answer.kind = 0;
	if (answer.kind == 0 && await_message(connection, preloaded, ADOPTED_MS))
		receive(connection, &answer, worker);
	if (answer.kind != ACCEPTED && take_token(token))
		return 0;
	if (answer.kind == EXITED) /* between the token and the message */
		end_likewise(answer.value);
	while (answer.kind != ACCEPTED) { /* a worker has taken it, and says so next */
		poll(&(struct pollfd){ .fd = connection, .events = POLLIN }, 1, -1);
		if (!receive(connection, &answer, worker))
			end_likewise(SIGKILL);
		if (answer.kind == EXITED)
			end_likewise(answer.value);
	}
	return answer.value;
}

/* Stops as the worker has, until somebody lets us go on; then the worker goes on, too. */
static void stop_likewise(int number, pid_t pid, int worker)
{
	sigset_t pending;

	if (state_of(pid) != 'T') /* it goes on already: SIGCONT was faster */
		return;
	kill(getpid(), number);
	set_mask(SIG_UNBLOCK, number);
	set_mask(SIG_BLOCK, number);
	sigpending(&pending);
	if (sigismember(&pending, SIGCONT) != 1) /* nobody stops us: credentials(7), orphaned process groups */
		syscall(SYS_pidfd_send_signal, worker, SIGCONT, NULL, 0);
}

/* The worker has ended, and nobody has waited for it yet: then the kernel knows how, and we needn't wait for the preloaded process
 * to hear and to say so, which may be busy, stopped or hang. The last field of proc_pid_stat(5). One that was killed may have left
 * memory that isn't given back yet: of that the preloaded process tells, if it answers at all. */
static void end_unheard(pid_t pid, int worker, bool also_when_killed)
{
	char text[1024], path[32], link[64];
	const char *last;
	int status;

	read_stat(pid, text, sizeof text);
	snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
	last = strrchr(text, ')');
	/* Who mayn't look at it is shown 0 there, and no such link. Or it isn't there any more, and the number may be another's. */
	if (!last || last[1] != ' ' || last[2] != 'Z' || readlink(path, link, sizeof link) < 0 ||
	    syscall(SYS_pidfd_send_signal, worker, 0, NULL, 0) < 0)
		return;
	last = strrchr(text, ' ');
	status = last ? atoi(last) : -1;
	if (last && (WIFEXITED(status) || also_when_killed))
		end_likewise(status);
}

/* What we are asked by signals is asked of the worker, until it ends. */
static _Noreturn void follow(int connection, int signals, pid_t pid, int worker)
{
	struct pollfd watched[] = { { .fd = connection, .events = POLLIN },
				    { .fd = signals, .events = POLLIN },
				    { .fd = worker, .events = POLLIN } };

	for (;;) {
		struct signalfd_siginfo information;
		struct answer answer;
		if (poll(watched, COUNT(watched), -1) < 0)
			continue;
		while (read(signals, &information, sizeof information) == sizeof information)
			if (information.ssi_signo != SIGCHLD)
				syscall(SYS_pidfd_send_signal, worker, (int)information.ssi_signo, NULL, 0);
		if (!watched[0].revents && watched[2].revents) {
			end_unheard(pid, worker, false);
			if (poll(watched, 1, SILENCE_MS) == 0)
				end_unheard(pid, worker, true);
		}
		if (!(watched[0].revents & (POLLIN | POLLHUP | POLLERR)))
			continue;
		if (!receive(connection, &answer, &worker))
			end_likewise(SIGKILL); /* as wait(2) gives it: killed, and nobody is left to say so */
		if (answer.kind == STOPPED)
			stop_likewise(answer.value, pid, worker);
		else if (answer.kind == EXITED)
			end_likewise(answer.value);
	}
}

/* `system warm stop` or `status` leaves none behind where there is none. */
static bool is_about_it(void)
{
	for (char **word = words; word[0] && word[1]; word++)
		if (strcmp(word[0], "system") == 0 && strcmp(word[1], "warm") == 0)
			return true;
	return false;
}

/* Returns only when nothing has been done and the command is ours to run. */
static void run_warm(const char *socket_path)
{
	int caller[DESCRIPTORS_MAX + 1], sent[SENT], ends[2];
	int count = list_descriptors(caller + 1), worker = -1, connection, signals;
	pid_t preloaded, pid;
	bool absent;
	sigset_t all;

	if (count < 0 || strlen(socket_path) >= sizeof((struct sockaddr_un *)0)->sun_path)
		return;
	connection = reach(socket_path, &preloaded, &absent);
	if (absent && !is_about_it())
		leave_one_behind(socket_path);
	if (connection < 0 || is_a_service() || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return;
	memset(&all, 0xff, sizeof all); /* what comes from now on is the worker's, or, kept by the kernel, the cold program's */
	sigprocmask(SIG_BLOCK, &all, NULL);
	signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	caller[0] = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	sent[REQUEST] = write_request(caller + 1, (uint32_t)count);
	sent[TOKEN] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	sent[PAIR] = ends[1];
	if (signals >= 0 && send_descriptors(ends[0], caller, (size_t)count + 1) && send_descriptors(connection, sent, SENT)) {
		pid = await_accepted(connection, preloaded, sent[TOKEN], &worker);
		if (pid > 0) {
			close(ends[0]);
			close(ends[1]);
			follow(connection, signals, pid, worker);
		}
	}
	take_back(ends[1]);
	close(connection); /* the others close with exec */
}

/* ---- beginning ----------------------------------------------------------------------------------------------------- */

/* Finds the directory in which this program lies, and its name there. */
static bool find_home(void)
{
	static const char mark[] = " (deleted)"; /* another one has been installed in its place */
	ssize_t length = readlink("/proc/self/exe", home, sizeof home - 1), without = length - (ssize_t)strlen(mark);
	char *slash;

	if (length <= 0)
		return false;
	home[length] = 0;
	if (without > 0 && strcmp(home + without, mark) == 0)
		home[without] = 0;
	slash = strrchr(home, '/');
	*slash = 0;
	program = strcmp(slash + 1, "minirun-oci") == 0 ? "minirun-oci" : "minirun";
	return true;
}

int main(int argc, char **argv)
{
	const char *setting = getenv("MINIRUN_WARM");
	(void)argc;

	words = argv;
	path_called = (const char *)getauxval(AT_EXECFN);
	sigprocmask(SIG_BLOCK, NULL, &blocked_before);
	if (!find_home()) {
		dprintf(2, "minirun: /proc is needed and isn't mounted\n");
		return 125;
	}
	if (geteuid() == 0 && !(setting && strcmp(setting, "0") == 0) && environment_is_ordinary() && terminals_are_ordinary() &&
	    process_is_ordinary() && !is_switched_off())
		run_warm(setting && setting[0] == '/' ? setting : SOCKET);
	run_cold();
}
