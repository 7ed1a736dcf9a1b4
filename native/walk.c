/* walk.c: one side of a plan, operation by operation.
 *
 * Owns: the loop, the way from a code to its function, slots, trace. Leaves to others: what an operation does (op_*.c), who
 * walks which side (spawn.c).
 */
#include "internal.h"

#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t mr_clock(void)
{
	return now(CLOCK_MONOTONIC);
}

uint64_t mr_wall_clock(void)
{
	return now(CLOCK_REALTIME);
}

void mr_walk_init(struct mr_walk *walk, const void *plan, int side)
{
	memset(walk, 0, offsetof(struct mr_walk, home));
	walk->home[0] = 0;
	walk->plan = plan;
	walk->side = side;
	walk->socket = walk->netlink = walk->procfs = walk->empty = walk->terminal = -1;
	walk->verdict = -1;
	mr_slots_clear(&walk->slots);
}

void mr_walk_reap(struct mr_walk *walk)
{
	while (walk->leaving > 0 && waitpid(walk->leaving, NULL, 0) < 0 && errno == EINTR)
		;
	walk->leaving = 0;
}

void mr_walk_close(struct mr_walk *walk)
{
	mr_walk_reap(walk);
	mr_close(&walk->netlink);
	mr_close(&walk->procfs);
	mr_close(&walk->empty);
	for (unsigned slot = 0; slot < MR_SLOTS; slot++)
		mr_close(&walk->slots.descriptors[slot]);
}

int mr_slot(const struct mr_walk *walk, uint64_t slot)
{
	if (slot >= MR_SLOTS || walk->slots.descriptors[slot] < 0)
		return -EBADF;
	return walk->slots.descriptors[slot];
}

int mr_slot_set(struct mr_walk *walk, uint64_t slot, int descriptor)
{
	if (descriptor < 0)
		return descriptor;
	if (slot >= MR_SLOTS) {
		close(descriptor);
		return -EBADF;
	}
	mr_close(&walk->slots.descriptors[slot]);
	walk->slots.descriptors[slot] = descriptor;
	return 0;
}

void mr_walk_trace(struct mr_walk *walk, uint32_t index, int error, uint64_t nanoseconds)
{
	struct mr_message message = { .kind = MR_MSG_TRACE, .operation = index, .error = -error, .time = nanoseconds };

	if (!walk->trace)
		return;
	if (walk->side == MR_SIDE_CHILD)
		mr_send(walk->socket, &message, -1);
	else if (walk->report)
		walk->report(walk->context, &message);
}

static int perform(struct mr_walk *walk, const struct mr_operation *operation)
{
	switch (operation->code) {
#define CASE(NAME, code, signature, parameters) \
	case code:                              \
		return mr_do_##NAME(walk, operation->arguments);
		MR_ACTIONS(CASE)
#undef CASE
	default:
		return -EINVAL;
	}
}

int mr_walk_side(struct mr_walk *walk, uint32_t *failed)
{
	struct mr_cursor cursor;
	struct mr_operation operation;
	int more = mr_cursor_init(&cursor, walk->plan, mr_plan_length(walk->plan));

	*failed = MR_NO_OPERATION;
	if (more < 0)
		return more;
	while ((more = mr_cursor_next_of(&cursor, walk->side, &operation)) > 0) {
		uint64_t start = walk->trace ? mr_clock() : 0;
		int error = perform(walk, &operation);

		if (walk->trace)
			mr_walk_trace(walk, operation.index, error < 0 ? error : 0, mr_clock() - start);
		if (error < 0 && !(operation.flags & MR_OP_OPTIONAL)) {
			*failed = operation.index;
			return error;
		}
	}
	return more;
}
