/* op_scheduling.c: how the kernel shares the machine with the new process: time, I/O, CPUs, memory nodes; and its personality.
 *
 * Owns: attributes of the process that no cgroup has. Leaves to others: limits (op_process.c), cgroups (Python).
 */
#include "internal.h"

#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_CLASS_SHIFT 13
#define IOPRIO_CLASS_MAX 7
#define IOPRIO_PRIORITY_MAX 7

/* struct sched_attr of Linux 3.14, the first and still accepted size. sched_setattr(2). */
struct scheduling {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
};

/* A number that the kernel's type doesn't hold is refused, never cut to one that it does. */
static bool fits(uint64_t number)
{
	return number <= UINT32_MAX;
}

static bool fits_signed(uint64_t number)
{
	return (int64_t)number == (int32_t)number;
}

/* policy flags nice priority runtime deadline period. Real time and negative nice values need CAP_SYS_NICE. */
MR_ACTION(SCHEDULER)
{
	struct scheduling wanted = {
		.size = sizeof wanted,
		.policy = (uint32_t)argument[0].number,
		.flags = argument[1].number,
		.nice = (int32_t)argument[2].number,
		.priority = (uint32_t)argument[3].number,
		.runtime = argument[4].number,
		.deadline = argument[5].number,
		.period = argument[6].number,
	};

	(void)walk;
	if (!fits(argument[0].number) || !fits_signed(argument[2].number) || !fits(argument[3].number))
		return -EINVAL;
	return mr_result(syscall(SYS_sched_setattr, 0, &wanted, 0u));
}

/* class priority. ioprio_set(2); the real-time class needs CAP_SYS_ADMIN or CAP_SYS_NICE. The kernel takes the bits between
 * the two numbers for a hint. */
MR_ACTION(IO_PRIORITY)
{
	uint64_t class = argument[0].number, priority = argument[1].number;

	(void)walk;
	if (class > IOPRIO_CLASS_MAX || priority > IOPRIO_PRIORITY_MAX)
		return -EINVAL;
	return mr_result(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, (unsigned)(class << IOPRIO_CLASS_SHIFT | priority)));
}

/* mask: bit n is CPU n. sched_setaffinity(2) */
MR_ACTION(CPU_AFFINITY)
{
	(void)walk;
	return mr_result(syscall(SYS_sched_setaffinity, 0, (size_t)argument[0].length, argument[0].data));
}

/* mode nodes: a mode without nodes takes none. set_mempolicy(2) counts in bits, one more than it reads. */
MR_ACTION(MEMORY_POLICY)
{
	unsigned long nodes[16] = { 0 };
	unsigned long bits = argument[1].length * 8ul;

	(void)walk;
	if (argument[1].length > sizeof nodes || argument[0].number > INT_MAX)
		return -EINVAL;
	memcpy(nodes, argument[1].data, argument[1].length);
	return mr_result(syscall(SYS_set_mempolicy, (int)argument[0].number, bits ? nodes : NULL, bits ? bits + 1 : 0));
}

/* domain and flags. personality(2) */
MR_ACTION(PERSONALITY)
{
	(void)walk;
	if (argument[0].number >= UINT32_MAX) /* 0xffffffff asks, and changes nothing */
		return -EINVAL;
	return mr_result(personality((unsigned long)argument[0].number));
}
