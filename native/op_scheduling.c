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
	return mr_result(syscall(SYS_sched_setattr, 0, &wanted, 0u));
}

/* class priority. ioprio_set(2) */
MR_ACTION(IO_PRIORITY)
{
	unsigned value = (unsigned)(argument[0].number << IOPRIO_CLASS_SHIFT) | (unsigned)(argument[1].number & 7);

	(void)walk;
	return mr_result(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value));
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
	if (argument[1].length > sizeof nodes)
		return -EINVAL;
	memcpy(nodes, argument[1].data, argument[1].length);
	return mr_result(syscall(SYS_set_mempolicy, (int)argument[0].number, bits ? nodes : NULL, bits ? bits + 1 : 0));
}

/* domain and flags. personality(2) */
MR_ACTION(PERSONALITY)
{
	(void)walk;
	return mr_result(personality((unsigned long)argument[0].number));
}
