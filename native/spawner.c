/* spawner.c: the program `minirun-spawn`, which makes the first process of an OCI container (or a further one) and leaves.
 *
 *     minirun-spawn N     descriptors 3 to N+2: for the program in the container (--preserve-fds), N+3: the owner's socket,
 *                         N+4: the plan. Standard input, output and error are the container's own.
 *
 * Owns: the talk with the owner (runtime/process.py) while the plan is walked. Leaves to others: the plan (spawn.c), everything
 * afterwards: the new process becomes a child of whoever reaps for the caller, as the specification's users expect.
 *
 *     owner                              minirun-spawn
 *       | <---- TRACE ------------------- |   if argv[2] says "trace"
 *       | <---- STAGE(n), pid ----------- |   parent's operation: hooks run, devices move
 *       | ----- STAGE(n) ---------------> |   go on; closing the socket instead ends the start
 *       | <---- LISTENER (+fd) ---------- |
 *       | <---- STARTED, pid (+terminal)  |   or FAILED; then it ends
 *
 * It is a program of its own because what walks a plan must not be the host's Python: the new process has it as /proc/PID/exe
 * until exec, for a created container as long as nobody starts it.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int owner;

static void report(void *context, const struct mr_message *message)
{
	(void)context;
	mr_send(owner, message, -1);
}

static int stage(void *context, const struct mr_message *message)
{
	struct mr_message answer;
	(void)context;
	int status = mr_send(owner, message, -1);
	if (status == 0)
		status = mr_receive(owner, &answer, NULL);
	if (status <= 0)
		return status < 0 ? status : -ECANCELED;
	return answer.kind == MR_MSG_STAGE && answer.value == message->value ? 0 : -EPROTO;
}

static int fail(uint32_t operation, int status)
{
	struct mr_message message = { .kind = MR_MSG_FAILED, .operation = operation, .error = -status };
	mr_send(owner, &message, -1);
	return 1;
}

int main(int argc, char **argv)
{
	int preserved = argc > 1 ? atoi(argv[1]) : 0;
	struct mr_spawn_options options = {
		.stdio = { -1, -1, -1 },
		.trace = argc > 2 && strcmp(argv[2], "trace") == 0,
		.report = report,
		.stage = stage,
	};
	struct mr_spawned spawned;
	size_t length;
	int mount = -1; /* closed by our end */
	owner = options.own = 3 + preserved;
	if (!mr_tie(owner)) /* its end is ours, until the new process is complete */
		return 1;
	const void *plan = mr_plan_map(owner + 1, &length);
	if (!plan)
		return fail(MR_NO_OPERATION, -EINVAL);
	close(owner + 1);
	int status = mr_stdio_replace_null(options.stdio, true, &mount);
	if (status < 0)
		return fail(MR_NO_OPERATION, status);
	if (mr_spawn(plan, &options, &spawned) < 0) {
		mr_send(owner, &spawned.message, -1);
		return 1;
	}
	if (spawned.listener >= 0)
		mr_send(owner, &(struct mr_message){ .kind = MR_MSG_LISTENER }, spawned.listener);
	mr_send(owner, &spawned.message, spawned.terminal);
	return 0;
}
