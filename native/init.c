/* init.c: pid 1 of a container that was started with --init.
 *
 * Owns: forwarding signals, reaping, ending as the container's program ended.
 * Leaves to others: everything before (the plan) and after (EXEC, in the new process).
 *
 * It is a fork of the process that walks the plan, so nothing has to exist in the root file system, and it has the identity, the
 * capabilities and the filter that the plan has given it so far. What it needs from then on is wait, kill and _exit.
 *
 *     spawner --- pid 1: mr_op_init ---+--- goes on: EXEC
 *                 |                    |
 *                 | signals ---------> | kill(2)
 *                 | <----------------- | its end: pid 1 ends alike, and the kernel ends all others
 */
#include "internal.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The program gets a process group of its own, in front of the terminal if there is one: the terminal's ctrl-C goes to it
 * alone, and not a second time by way of us. */
static void be_foreground(void)
{
	setpgid(0, 0);
	/* fails where stdin isn't our terminal, and that is fine. A background group that does this gets SIGTTOU, which is
	 * blocked here: tcsetpgrp(3) */
	tcsetpgrp(STDIN_FILENO, getpid());
}

/* Signals that the kernel sends because of what the receiver itself did, or that stop it: not for others. */
static bool is_own(int number)
{
	switch (number) {
	case SIGFPE:
	case SIGILL:
	case SIGSEGV:
	case SIGBUS:
	case SIGABRT:
	case SIGTRAP:
	case SIGSYS:
	case SIGTTIN:
	case SIGTTOU:
		return true;
	default:
		return false;
	}
}

/* Reaps all that are dead; gives the exit code once the program itself is. 128 + n for a signal, as shells have it. */
static int reap(pid_t program)
{
	int status, code = -1;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
		if (pid == program)
			code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return code;
}

static _Noreturn void serve(pid_t program, const sigset_t *signals)
{
	for (;;) {
		int code = reap(program);
		if (code >= 0)
			mr_exit(code);
		int number = sigwaitinfo(signals, NULL);
		if (number > 0 && number != SIGCHLD && !is_own(number))
			kill(program, number);
	}
}

int mr_op_init(void)
{
	sigset_t all, before;
	memset(&all, 0xff, sizeof all); /* not sigfillset(3), which leaves out what a C library uses for its threads */
	sigprocmask(SIG_SETMASK, &all, &before);
	pid_t parent = getpid();
	/* clone(2), not clone3: the container's filter holds already and answers clone3 with ENOSYS, as it can't look into it */
	pid_t program = mr_result(syscall(SYS_clone, (unsigned long)SIGCHLD, 0L, 0L, 0L, 0L));
	if (program == 0) {
		/* where we aren't pid 1 of a namespace, nothing else would end the program with us */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			mr_exit(128 + SIGKILL);
		be_foreground();
		sigprocmask(SIG_SETMASK, &before, NULL);
		return 0;
	}
	if (program < 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		return program;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* a no-op for pid 1 of a namespace, which has that role anyway */
	syscall(SYS_close_range, 0u, ~0u, 0u);
	serve(program, &all);
}
