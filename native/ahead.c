/* ahead.c: the memory of a worker that is forked before its command comes (minirun/warm/spare.py).
 *
 * Owns: which pages workers write to, and making them a new worker's own while nobody waits; a process's step into
 * another one.
 * Leaves to others: when (minirun/warm/).
 *
 * A fork shares each page until one of the two writes to it: then the writer pays a fault and a copy, which is what most of a short
 * command's time goes to. What one command has written to the next one will, too. So every worker notes its own pages at its end, in
 * a map that all share, and a worker that waits for its command asks for these pages, and for the code.
 *
 *     preloaded process    mr_pages_remember(): where memory lies before the first fork
 *     a worker's end       mr_pages_learn():    which of these pages are its own by now      ---> the shared map
 *     a spare worker       mr_pages_touch():    makes them its own                           <---
 *
 * The preloaded process shares its pages with the fork as well, and a caller waits for it first: mr_pages_note() when it has handed
 * a command over, and mr_pages_take() after the next fork, for the pages that this took.
 */
#include "internal.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ /* Linux 5.14; not in older C libraries' headers. madvise(2) */
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#define SPARE_NAME "minirun-spare"
#define MEMORY_NAME "minirun-memory"
#define RANGES_MAX 1024
#define LEARNED_BY_EACH 4
#define LEARNED_BY_ONE_OF 32
#define BLOCK 512 /* pages whose entries are read at once */
#define GROWTH (1u << 20) /* of the heap; a `run` takes half of it */
#define BLOCK_OF_HEAP (32u << 10) /* below what malloc(3) makes a mapping of */
#define STEP 64	  /* pages, until we look whether the command has come */

/* Of an entry in /proc/PID/pagemap; Documentation/admin-guide/mm/pagemap.rst */
#define EXCLUSIVE (1ull << 56)
#define FILE_OR_SHARED (1ull << 61)
#define PRESENT (1ull << 63)

struct range {
	uintptr_t start;
	size_t pages, first; /* its place in the map; SIZE_MAX: code, which is only read */
};

static struct range ranges[RANGES_MAX];
static size_t range_count, page_size;
/* Shared with all workers. */
static struct map {
	_Atomic uint32_t commands[MR_KINDS];
	uint8_t written[]; /* a byte for each page */
} *map;
static uint8_t *noted; /* of this process alone, also a byte for each page */

/* A line of /proc/self/maps as a range; false for what isn't worth remembering. proc_pid_maps(5) */
static bool read_range(const char *line, struct range *range)
{
	char rights[5], path[8] = "";
	unsigned long start, end, offset, inode;
	bool is_file;

	if (sscanf(line, "%lx-%lx %4s %lx %*s %lu %7s", &start, &end, rights, &offset, &inode, path) < 5)
		return false;
	is_file = inode != 0;
	*range = (struct range){ .start = start, .pages = (end - start) / page_size, .first = SIZE_MAX };
	if (strcmp(rights, "rw-p") == 0)
		range->first = 0;
	else if (!is_file || rights[3] != 'p' || rights[1] == 'w' || rights[0] != 'r')
		return false;
	return true;
}

/* A command makes the heap grow, into pages that can't be remembered since they aren't there: so there is room before. mallopt(3) */
static void make_room(void)
{
	void *blocks[GROWTH / BLOCK_OF_HEAP];
	size_t count = sizeof blocks / sizeof *blocks;

	mallopt(M_TRIM_THRESHOLD, 4 * GROWTH); /* what is given back stays */
	for (size_t i = 0; i < count; i++)
		blocks[i] = malloc(BLOCK_OF_HEAP);
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
}

int mr_pages_remember(void)
{
	char line[1024];
	size_t pages = 0;
	FILE *maps = fopen("/proc/self/maps", "re");

	if (!maps)
		return -errno;
	make_room();
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	for (range_count = 0; range_count < RANGES_MAX && fgets(line, sizeof line, maps);) {
		if (!read_range(line, &ranges[range_count]))
			continue;
		if (ranges[range_count].first != SIZE_MAX) {
			ranges[range_count].first = pages;
			pages += ranges[range_count].pages;
		}
		range_count++;
	}
	fclose(maps);
	noted = calloc(pages + 1, 1);
	map = mmap(NULL, sizeof *map + pages, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED) {
		map = NULL;
		return -errno;
	}
	return 0;
}

/* Says which pages are this process's alone. */
static void learn_range(int pagemap, const struct range *range, uint8_t *own)
{
	uint64_t entries[BLOCK];

	for (size_t page = 0; page < range->pages; page += BLOCK) {
		off_t at = (off_t)((range->start / page_size + page) * sizeof *entries);
		ssize_t got = pread(pagemap, entries, sizeof entries, at);
		for (size_t i = 0; got > 0 && i < (size_t)got / sizeof *entries && page + i < range->pages; i++)
			if ((entries[i] & (PRESENT | EXCLUSIVE | FILE_OR_SHARED)) == (PRESENT | EXCLUSIVE))
				own[range->first + page + i] = 1;
	}
}

static void learn(uint8_t *own)
{
	MR_AUTOCLOSE pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; pagemap >= 0 && i < range_count; i++)
		if (ranges[i].first != SIZE_MAX)
			learn_range(pagemap, &ranges[i], own);
}

void mr_pages_learn(unsigned kind)
{
	uint32_t before;

	if (!map || kind >= MR_KINDS)
		return;
	before = map->commands[kind]++;
	if (before >= LEARNED_BY_EACH && before % LEARNED_BY_ONE_OF != 0)
		return;
	learn(map->written);
}

static bool has_come(int descriptor)
{
	return poll(&(struct pollfd){ .fd = descriptor, .events = POLLIN }, 1, 0) != 0;
}

/* Each run of pages that somebody wrote to. False: the command is there. `until` -1: none is waited for. */
static bool touch_range(const struct range *range, const uint8_t *written, int until, size_t *touched)
{
	const uint8_t *wanted = written + range->first;

	for (size_t page = 0, end; page < range->pages; page = end) {
		for (end = page; end < range->pages && wanted[end] && end - page < STEP; end++)
			;
		if (end == page) {
			end++;
			continue;
		}
		madvise((char *)range->start + page * page_size, (end - page) * page_size, MADV_POPULATE_WRITE);
		*touched += end - page;
		if (until >= 0 && *touched % STEP < end - page && has_come(until))
			return false;
	}
	return true;
}

size_t mr_pages_touch(int until)
{
	size_t touched = 0;

	for (size_t i = 0; map && i < range_count; i++)
		if (ranges[i].first == SIZE_MAX)
			madvise((char *)ranges[i].start, ranges[i].pages * page_size, MADV_POPULATE_READ);
	for (size_t i = 0; map && i < range_count; i++)
		if (ranges[i].first != SIZE_MAX && !touch_range(&ranges[i], map->written, until, &touched))
			break;
	return touched;
}

void mr_pages_note(void)
{
	static uint32_t commands;
	uint32_t before = commands++;

	if (map && noted && (before < LEARNED_BY_EACH || before % LEARNED_BY_ONE_OF == 0))
		learn(noted);
}

void mr_pages_take(void)
{
	size_t touched = 0;

	for (size_t i = 0; map && noted && i < range_count; i++)
		if (ranges[i].first != SIZE_MAX)
			touch_range(&ranges[i], noted, -1, &touched);
}

/* ---- Another process with the same memory --------------------------------------------------------------------------- */

/* Clones, and leaves the memory to the new process: the old one only waits for its end, so that it is the one to give the memory
 * back. From the clone on, no instruction of the old one uses the stack, which is the other's. 0 in the new process, or -errno. */
static long step(struct clone_args *arguments, size_t size, struct pollfd *end)
{
	long result;
#if defined(__x86_64__)
	__asm__ volatile("syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jle 2f\n"
			 "1:\n\t"
			 "movq %[end], %%rdi\n\t"
			 "movl $1, %%esi\n\t"
			 "xorl %%edx, %%edx\n\t"
			 "xorl %%r10d, %%r10d\n\t"
			 "movl $8, %%r8d\n\t"
			 "movl %[ppoll], %%eax\n\t"
			 "syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "js 1b\n\t"
			 "xorl %%edi, %%edi\n\t"
			 "movl %[exit], %%eax\n\t"
			 "syscall\n"
			 "2:"
			 : "=a"(result), "+D"(arguments), "+S"(size)
			 : "0"(SYS_clone3), [end] "b"(end), [ppoll] "i"(SYS_ppoll), [exit] "i"(SYS_exit)
			 : "rcx", "rdx", "r8", "r10", "r11", "cc", "memory");
#elif defined(__aarch64__)
	register long number __asm__("x8") = SYS_clone3;
	register long first __asm__("x0") = (long)arguments;
	register long second __asm__("x1") = (long)size;
	register struct pollfd *watched __asm__("x9") = end;
	__asm__ volatile("svc #0\n\t"
			 "cmp x0, #0\n\t"
			 "b.le 2f\n"
			 "1:\n\t"
			 "mov x0, x9\n\t"
			 "mov x1, #1\n\t"
			 "mov x2, #0\n\t"
			 "mov x3, #0\n\t"
			 "mov x4, #8\n\t"
			 "mov x8, %[ppoll]\n\t"
			 "svc #0\n\t"
			 "cmp x0, #0\n\t"
			 "b.lt 1b\n\t"
			 "mov x0, #0\n\t"
			 "mov x8, %[exit]\n\t"
			 "svc #0\n"
			 "2:"
			 : "+r"(first), "+r"(number), "+r"(second), "+r"(watched)
			 : [ppoll] "i"(SYS_ppoll), [exit] "i"(SYS_exit)
			 : "x2", "x3", "x4", "cc", "memory");
	result = first;
#else
	(void)arguments, (void)size, (void)end;
	result = -ENOSYS;
#endif
	return result;
}

/* What ps(1) shows of a worker that waits, and of what gives its memory back. PR_SET_NAME(2const) */
static char name_before[16];

void mr_name_spare(int is_spare)
{
	if (is_spare)
		prctl(PR_GET_NAME, name_before);
	prctl(PR_SET_NAME, is_spare ? SPARE_NAME : name_before);
}

int mr_step(void)
{
	static struct pollfd end;
	void *thread_id = NULL;
	struct clone_args arguments = {
		.flags = CLONE_VM | CLONE_PARENT | CLONE_PIDFD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
		.pidfd = (uint64_t)(uintptr_t)&end.fd,
	};
	long result;

	end.events = POLLIN;
	if (prctl(PR_GET_TID_ADDRESS, &thread_id) < 0)
		return -errno;
	arguments.child_tid = (uint64_t)(uintptr_t)thread_id;
	prctl(PR_SET_NAME, MEMORY_NAME);
	/* the kernel would write a zero there when the old one ends */
	syscall(SYS_set_tid_address, NULL);
	result = step(&arguments, sizeof arguments, &end);
	if (result < 0)
		syscall(SYS_set_tid_address, thread_id);
	prctl(PR_SET_NAME, SPARE_NAME);
	return (int)result;
}

#ifndef PROCMAP_QUERY /* Linux 6.11 */
struct procmap_query {
	uint64_t size, flags, address;
	uint64_t start, end, vma_flags, page_size, offset, inode;
	uint32_t device[2], name_size, build_id_size;
	uint64_t name, build_id;
};
#define PROCMAP_QUERY _IOWR('f', 17, struct procmap_query)
#endif
#define SHARED_FILE_AT_OR_ABOVE (0x08u | 0x10u | 0x20u) /* PROCMAP_QUERY_VMA_SHARED, _COVERING_OR_NEXT_VMA, _FILE_BACKED_VMA */

/* The kernel finds them. False where it can't be asked. */
static bool unmap_what_is_found(int maps)
{
	struct procmap_query query = { .size = sizeof query, .flags = SHARED_FILE_AT_OR_ABOVE };

	while (ioctl(maps, PROCMAP_QUERY, &query) == 0) {
		if (query.start != (uintptr_t)map)
			munmap((void *)(uintptr_t)query.start, query.end - query.start);
		query = (struct procmap_query){ .size = sizeof query, .flags = SHARED_FILE_AT_OR_ABOVE, .address = query.end };
	}
	return errno == ENOENT;
}

/* A line of /proc/self/maps: which addresses, if they are a shared mapping of a file. */
static bool is_shared_file(const char *line, uintptr_t *start, size_t *length)
{
	unsigned long from, to, inode;
	char rights[5];

	if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &from, &to, rights, &inode) != 4 || rights[3] != 's' || inode == 0)
		return false;
	*start = from;
	*length = to - from;
	return true;
}

void mr_unmap_shared_files(void)
{
	int opened = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	FILE *maps = opened < 0 || unmap_what_is_found(opened) ? NULL : fdopen(opened, "r");
	char line[1024];
	uintptr_t start;
	size_t length;

	while (maps && fgets(line, sizeof line, maps))
		if (is_shared_file(line, &start, &length) && start != (uintptr_t)map)
			munmap((void *)start, length);
	if (maps)
		fclose(maps);
	else if (opened >= 0)
		close(opened);
}
