/* spawner.c: the program `minirun-spawn`, which makes the first process of an OCI container (or a further one) and leaves.
 *
 *     minirun-spawn N     descriptors 3 to N+2: for the program in the container (--preserve-fds), N+3: the owner's socket.
 *                         Standard input, output and error are the container's own.
 *
 * Owns: the talk with the owner (runtime/process.py) while the plan is walked. Leaves to others: the plan (spawn.c), everything
 * afterwards: the new process becomes a child of whoever reaps for the caller, as the specification's users expect.
 *
 *     owner                              minirun-spawn
 *       | ----- (AHEAD) ----------------> |   a network namespace, while the plan is made
 *       | ----- PLAN (+fd) -------------> |   its end before that is ours
 *       | <---- TRACE ------------------- |   if argv[2] says "trace"
 *       | <---- STAGE(n), pid ----------- |   parent's operation: hooks run, devices move
 *       | ----- STAGE(n) ---------------> |   go on; closing the socket instead ends the start
 *       | <---- LISTENER, pid (+fd) ----- |   of a filter that asks somebody, from now on
 *       | ----- LISTENER ---------------> |   who has it now
 *       | <---- STARTED, pid (+terminal)  |   or FAILED; then it ends
 *
 * It is a program of its own because what walks a plan must not be the host's Python: the new process has it as /proc/PID/exe
 * until exec, for a created container as long as nobody starts it.
 */
#include "internal.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int owner;

static void report(void *context, const struct mr_message *message)
{
	(void)context;
	mr_send(owner, message, -1);
}

/* The owner's part: what it says may end the start, and so does its end. */
static int ask(const struct mr_message *message, int descriptor)
{
	struct mr_message answer;
	int status = mr_send(owner, message, descriptor);
	if (status == 0)
		status = mr_receive(owner, &answer, NULL);
	if (status <= 0)
		return status < 0 ? status : -ECANCELED;
	return answer.kind == message->kind && answer.value == message->value ? 0 : -EPROTO;
}

static int stage(void *context, const struct mr_message *message)
{
	(void)context;
	return ask(message, -1);
}

static int listener(void *context, const struct mr_message *message, int descriptor)
{
	(void)context;
	return ask(message, descriptor);
}

static int fail(uint32_t operation, int status)
{
	struct mr_message message = { .kind = MR_MSG_FAILED, .operation = operation, .error = -status };
	mr_send(owner, &message, -1);
	return 1;
}

/* What is typed at the terminal while there is no plan is said to the owner, who passes it on to the program, or lets us go: it
 * mustn't end a start that has hardly begun. */
static void heed_terminal(bool heeds)
{
	static const int typed[] = { SIGINT, SIGQUIT };
	static struct sigaction before[sizeof typed / sizeof *typed];

	for (size_t i = 0; i < sizeof typed / sizeof *typed; i++)
		if (heeds)
			sigaction(typed[i], &before[i], NULL);
		else
			sigaction(typed[i], &(struct sigaction){ .sa_handler = SIG_IGN }, &before[i]);
}

/* A descriptor of the plan's file, or -errno. */
static int await_plan(int *network)
{
	struct mr_message message;
	int descriptor = -1, status = mr_receive(owner, &message, &descriptor);
	if (status > 0 && message.kind == MR_MSG_AHEAD && descriptor < 0) {
		if (message.value == CLONE_NEWNET)
			*network = mr_network_ahead();
		status = mr_receive(owner, &message, &descriptor);
	}
	if (status > 0 && message.kind == MR_MSG_PLAN && descriptor >= 0)
		return descriptor;
	mr_close(&descriptor);
	return status == 0 ? -ECANCELED : status < 0 ? status : -EPROTO;
}

int main(int argc, char **argv)
{
	int preserved = argc > 1 ? atoi(argv[1]) : 0;
	struct mr_spawn_options options = {
		.stdio = { -1, -1, -1 },
		.trace = argc > 2 && strcmp(argv[2], "trace") == 0,
		.report = report,
		.stage = stage,
		.listener = listener,
		.network = -1,
	};
	struct mr_spawned spawned;
	size_t length;
	int mount = -1; /* closed by our end */
	owner = options.own = 3 + preserved;
	heed_terminal(false);
	if (!mr_tie(owner)) /* its end is ours, until the new process is complete */
		return 1;
	int status = mr_stdio_replace_null(options.stdio, true, &mount);
	int file = await_plan(&options.network);
	heed_terminal(true);
	if (file < 0)
		return fail(MR_NO_OPERATION, file);
	if (status < 0)
		return fail(MR_NO_OPERATION, status);
	const void *plan = mr_plan_map(file, &length);
	if (!plan)
		return fail(MR_NO_OPERATION, -EINVAL);
	close(file);
	if (mr_spawn(plan, &options, &spawned) < 0) {
		mr_send(owner, &spawned.message, -1);
		return 1;
	}
	mr_send(owner, &spawned.message, spawned.terminal);
	return 0;
}
