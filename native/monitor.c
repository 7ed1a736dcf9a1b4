/* monitor.c: the parent of one container's first process, from before its birth until its exit is recorded.
 *
 *     minirun-monitor     descriptor 3: the owner's socket; all else comes by it: the plan, descriptors that its prepare side
 *                         takes (TAKE), and some that are held until the container has ended (they keep its host ports taken)
 *
 * Owns: the order of events. Leaves to others: see monitor.h for the files, minirun.h for the protocol.
 *
 *     PLAN -> prepare -> (owner attached) -> spawn -> STARTED -> relay ... -> the child is dead -> drain -> `exit` written
 *                                               \-> FAILED                        -> EXITED to all -> ACK, or the exit hook
 *
 * Nothing stops the monitor but SIGKILL, and then the container's process gets its DEATH_SIGNAL: there is never a container
 * that nobody watches. It needs the privileges of what the plan does, and runs none of the container's code.
 */
#include "monitor.h"
#include "mount_api.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PIPEFS_MAGIC
#define PIPEFS_MAGIC 0x50495045
#endif

#define OWNER_SOCKET 3
#define IDLE_MS 1000 /* without output for so long, buffers are given back */
#define LINGER_NS 10000000000 /* how long a client may take to read what a dead container said */

struct container {
	pid_t pid;
	struct watch pidfd;
	int run_directory, lock, cgroup;
	int stdio[3]; /* the child's ends */
	int network; /* made ahead, for the child; or -1 */
	int null_mount; /* what they may have been opened through. Kept: its end takes an RCU grace period, which a short container's
			 * own end would have to wait for */
	int root; /* its root directory, held beyond its end: see let_go_of_root */
	bool dead;
	int status;
	uint64_t ended_ns;
};

/* ---- beginning ------------------------------------------------------------------------------------------------ */

/* A process of its own: no terminal, no signals, no directory, no descriptor that a program executed later could inherit. Nobody
 * has to wait for it: it is nobody's child, or that of a command that ends soon (minirun/monitor/launch.py). */
static void isolate(void)
{
	sigset_t all;
	memset(&all, 0xff, sizeof all); /* not sigfillset(3), which leaves out what a C library uses for its threads */
	sigprocmask(SIG_SETMASK, &all, NULL); /* blocked, not ignored: an ignored signal stays ignored after exec */
	setsid();
	umask(0022);
	if (chdir("/") < 0 || syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) < 0)
		_exit(125);
}

/* Root of a user namespace opens /dev/stdout, which is /proc/self/fd/1: it has to own the pipe, and can't take it by itself.
 * Pipes alone: what else the caller handed in isn't ours to give away. */
static void give_pipes(const struct container *container, const struct settings *settings)
{
	struct statfs filesystem;
	for (int i = 0; settings->stdio_uid != 0 && i < 3; i++) {
		int fd = container->stdio[i] >= 0 ? container->stdio[i] : i;
		if (fstatfs(fd, &filesystem) == 0 && filesystem.f_type == PIPEFS_MAGIC &&
		    fchown(fd, settings->stdio_uid, settings->stdio_gid) < 0)
			errno = 0; /* a program that can't reopen its own output is better than none */
	}
}

/* Opens what the settings name. 0, or -errno with *failed the operation that asked for it. */
static int prepare(struct container *container, const struct settings *settings, uint32_t *failed)
{
	int status = 0;
	if (settings->run_directory) {
		*failed = settings->run_operation;
		container->run_directory = status = record_open(settings->run_directory, &container->lock);
		if (status >= 0)
			status = clients_listen(container->run_directory);
	}
	if (status >= 0 && settings->log_path) {
		struct mr_log *log = NULL;
		*failed = settings->log_operation;
		status = mr_log_open(&log, settings->log_path, settings->log_bytes, settings->log_files,
				     settings->log_attributes.data, settings->log_attributes.length);
		output_log_to(log);
	}
	if (settings->cgroup) /* mr_spawn says what is wrong with it, if something is */
		container->cgroup = open(settings->cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (status >= 0) {
		*failed = MR_NO_OPERATION;
		status = output_prepare(settings, container->stdio);
	}
	if (status >= 0)
		status = input_prepare(settings, container->stdio);
	if (status >= 0)
		status = mr_stdio_replace_null(container->stdio, settings->open_stdin, &container->null_mount);
	if (status >= 0)
		give_pipes(container, settings);
	return status < 0 ? status : 0;
}

static void release_lock(struct container *container)
{
	if (container->lock >= 0)
		close(container->lock);
	container->lock = -1;
}

/* Says it last: then nothing is left of the attempt, and the owner may try again. */
static void fail(struct container *container, const struct mr_message *message)
{
	if (container->run_directory >= 0)
		record_remove(container->run_directory);
	plan_release_held();
	release_lock(container);
	clients_report(NULL, message);
	_exit(1);
}

static void fail_at(struct container *container, uint32_t operation, int status)
{
	fail(container, &(struct mr_message){ .kind = MR_MSG_FAILED, .operation = operation, .error = -status });
}

/* Whoever is the last to hold a root file system unmounts it: an RCU grace period, and with an overlay that keeps its files the disk is
 * waited for (sync_filesystem). The container's last process would do so before anybody hears of its end. Where there is an owner, we do
 * it when he has heard, while he writes that down; he is done with the container when we are. Others wait for the process alone: for
 * them nothing may be left when it has ended. */
static void hold_root(struct container *container)
{
	char path[32];

	(void)snprintf(path, sizeof path, "/proc/%d/root", container->pid);
	if (container->run_directory >= 0 && clients_owner_waits())
		container->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC); /* -1: it has ended, and has done so itself */
}

static void let_go_of_root(struct container *container)
{
	mr_close(&container->root);
}

static void child_ready(void *context)
{
	struct container *container = context;
	if (waitpid(container->pid, &container->status, WNOHANG | __WALL) != container->pid)
		return;
	container->ended_ns = mr_wall_clock();
	container->dead = true;
	watch_close(&container->pidfd);
}

static void start(struct container *container, const struct settings *settings, const void *plan)
{
	struct mr_spawned spawned = { .terminal = -1 };
	struct mr_spawn_options options = {
		.stdio = { container->stdio[0], container->stdio[1], container->stdio[2] },
		.network = container->network,
		.trace = clients_trace(),
		.report = clients_report,
	};
	if (mr_spawn(plan, &options, &spawned) < 0)
		fail(container, &spawned.message);
	mr_close(&container->network); /* it is the child's, and shall end with it */
	container->pid = spawned.pid;
	hold_root(container);
	watch_open(&container->pidfd, spawned.pidfd, child_ready, container);
	watch_for(&container->pidfd, EPOLLIN);
	int recorded = container->run_directory < 0
			       ? 0
			       : record_started(container->run_directory, spawned.pid, spawned.message.time);
	if (recorded < 0) { /* nobody would find it */
		kill(spawned.pid, SIGKILL);
		waitpid(spawned.pid, NULL, __WALL);
		fail_at(container, settings->run_operation, recorded);
	}
	recorded = health_begin(settings, spawned.pid, container->cgroup);
	if (recorded < 0) {
		kill(spawned.pid, SIGKILL);
		waitpid(spawned.pid, NULL, __WALL);
		fail_at(container, MR_NO_OPERATION, recorded);
	}
	clients_started(&spawned.message);
	for (int fd = 0; fd < 3; fd++)
		mr_close(&container->stdio[fd]);
	if (spawned.terminal >= 0)
		set_nonblocking(spawned.terminal);
	output_start(spawned.terminal);
	input_start(spawned.terminal);
}

/* The child has what it needs: the plan is no use to us any more. */
static void leave_inheritance(const void *plan, size_t length, int file)
{
	munmap((void *)(uintptr_t)plan, length);
	close(file);
	leave_stdio();
	record_protect();
}

/* ---- end ------------------------------------------------------------------------------------------------------ */

static void watch_over(struct container *container)
{
	while (!container->dead) {
		if (!loop_turn(output_is_warm() ? IDLE_MS : -1))
			output_idle();
		if (!clients_owner_waits())
			let_go_of_root(container);
	}
}

static void finish(struct container *container)
{
	health_end();
	bool oom_killed = record_oom_killed(container->cgroup);
	output_drain();
	input_close();
	plan_release_held(); /* before anybody is told: who hears of the end may start it again, on the same host ports */
	if (container->run_directory >= 0)
		record_exit(container->run_directory, container->status, oom_killed, container->ended_ns);
	output_end_log(); /* after the record: who follows the log looks for it when the file is closed */
	if (container->run_directory >= 0)
		unlinkat(container->run_directory, "attach.sock", 0);
	clients_exited(&(struct mr_message){ .kind = MR_MSG_EXITED,
					     .pid = container->pid,
					     .value = (uint32_t)container->status,
					     .error = oom_killed,
					     .time = container->ended_ns });
	let_go_of_root(container);
}

/* The owner may take as long as it lives; others, who have no duty here, may not hold the end up. */
static void say_goodbye(struct container *container)
{
	uint64_t deadline = mr_clock() + LINGER_NS;
	while (clients_owner_waits())
		loop_turn(-1);
	/* the lock goes first: once the owner sees the socket closed, it may start the container again */
	release_lock(container);
	clients_close_owner();
	while (clients_others_wait() && mr_clock() < deadline)
		loop_turn((int)((deadline - mr_clock()) / 1000000) + 1);
}

/* Of a further process nothing is written down: the hook is told its status, as waitpid(2) has it. */
static void tell_end(const struct container *container, const struct settings *settings)
{
	char status[16];
	snprintf(status, sizeof status, "%d", container->status);
	record_run_hook(settings->hook, container->run_directory < 0 ? status : NULL, settings->hook_environment);
}

int main(void)
{
	isolate();
	struct container container = {
		.run_directory = -1, .lock = -1, .cgroup = -1, .stdio = { -1, -1, -1 }, .network = -1, .null_mount = -1, .root = -1
	};
	struct settings settings;
	uint32_t failed = MR_NO_OPERATION;
	size_t length = 0;
	int status = loop_init();
	clients_init(OWNER_SOCKET);
	if (status < 0)
		fail_at(&container, MR_NO_OPERATION, status);
	bool ahead = false;
	int file = plan_await(OWNER_SOCKET, &container.network, &ahead);
	if (file == -ECANCELED)
		return 0;
	if (file < 0)
		fail_at(&container, MR_NO_OPERATION, file);
	const void *plan = mr_plan_map(file, &length);
	if (!plan)
		fail_at(&container, MR_NO_OPERATION, -EINVAL);
	status = settings_read(&settings, plan, length, &failed);
	if (status == 0 && ahead && settings.stdio == MR_STDIO_INHERIT)
		status = -EPROTO;
	else if (status == 0 && !ahead && settings.stdio != MR_STDIO_INHERIT)
		leave_stdio();
	if (status == 0 && settings.delays) {
		failed = settings.run_operation;
		status = settings.run_directory && settings.hook ? delay_run(&settings) : -EINVAL;
		if (status == 0)
			return 0;
	} else if (status == 0) {
		status = prepare(&container, &settings, &failed);
	}
	if (status < 0)
		fail_at(&container, failed, status);
	if (settings.await_owner && clients_await_owner() < 0)
		fail_at(&container, MR_NO_OPERATION, -ECANCELED);

	start(&container, &settings, plan);
	leave_inheritance(plan, length, file);
	watch_over(&container);
	finish(&container);
	say_goodbye(&container);
	if (settings.hook && !clients_acknowledged())
		tell_end(&container, &settings);
	return 0;
}
