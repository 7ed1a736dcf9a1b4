/* pages.c: the memory of the preloaded process, as far as its own forks and a worker's end make work of it.
 *
 * Owns: which pages the preloaded process writes to, and making them its own again after a fork; the files that a worker has mapped.
 * Leaves to others: when (minirun/warm/), a worker's memory as a whole (zygote.c).
 *
 * A fork shares each page until one of the two writes to it: then the writer pays a fault and a copy. A worker that is forked for
 * its command shares them with the preloaded process, for which the next caller waits. So that notes its own pages, after some
 * commands (the zygote shares all others: mr_pages_note()), and takes them back at once after a fork (mr_pages_take()).
 */
#include "internal.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE /* Linux 5.14; not in older C libraries' headers. madvise(2) */
#define MADV_POPULATE_WRITE 23
#endif
#define RANGES_MAX 1024
#define NOTED_AT_FIRST 4
#define NOTED_ONE_OF 32
#define BLOCK 512 /* pages whose entries are read at once */
#define GROWTH (1u << 20) /* of the heap; a `run` takes half of it */
#define BLOCK_OF_HEAP (32u << 10) /* below what malloc(3) makes a mapping of */

/* Of an entry in /proc/PID/pagemap; Documentation/admin-guide/mm/pagemap.rst */
#define EXCLUSIVE (1ull << 56)
#define FILE_OR_SHARED (1ull << 61)
#define PRESENT (1ull << 63)

struct range {
	uintptr_t start;
	size_t pages, first; /* its place among the noted ones */
};

static struct range ranges[RANGES_MAX];
static size_t range_count, page_size;
static uint8_t *noted; /* a byte for each page */

/* A line of /proc/self/maps as a range; false for what can't be written to, or is others' as well. proc_pid_maps(5) */
static bool read_range(const char *line, struct range *range)
{
	char rights[5];
	unsigned long start, end;

	if (sscanf(line, "%lx-%lx %4s", &start, &end, rights) != 3 || strcmp(rights, "rw-p") != 0)
		return false;
	*range = (struct range){ .start = start, .pages = (end - start) / page_size };
	return true;
}

/* A command makes the heap grow, into pages that aren't there: each costs a fault, and is given back after it. So there is room
 * before. mallopt(3) */
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
		ranges[range_count].first = pages;
		pages += ranges[range_count++].pages;
	}
	fclose(maps);
	noted = calloc(pages + 1, 1);
	return noted ? 0 : -ENOMEM;
}

/* Says which pages are this process's alone. */
static void note_range(int pagemap, const struct range *range)
{
	uint64_t entries[BLOCK];

	for (size_t page = 0; page < range->pages; page += BLOCK) {
		off_t at = (off_t)((range->start / page_size + page) * sizeof *entries);
		ssize_t got = pread(pagemap, entries, sizeof entries, at);
		for (size_t i = 0; got > 0 && i < (size_t)got / sizeof *entries && page + i < range->pages; i++)
			if ((entries[i] & (PRESENT | EXCLUSIVE | FILE_OR_SHARED)) == (PRESENT | EXCLUSIVE))
				noted[range->first + page + i] = 1;
	}
}

void mr_pages_note(void)
{
	static uint32_t calls;
	uint32_t before = calls++;

	if (!noted || (before >= NOTED_AT_FIRST && before % NOTED_ONE_OF != 0))
		return;
	MR_AUTOCLOSE pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; pagemap >= 0 && i < range_count; i++)
		note_range(pagemap, &ranges[i]);
}

static void take_range(const struct range *range)
{
	const uint8_t *wanted = noted + range->first;

	for (size_t page = 0, end; page < range->pages; page = end) {
		for (end = page; end < range->pages && wanted[end]; end++)
			;
		if (end == page)
			end++;
		else
			madvise((char *)range->start + page * page_size, (end - page) * page_size, MADV_POPULATE_WRITE);
	}
}

void mr_pages_take(void)
{
	for (size_t i = 0; noted && i < range_count; i++)
		take_range(&ranges[i]);
}

/* ---- Files ------------------------------------------------------------------------------------------------------------ */

#ifndef PROCMAP_QUERY /* Linux 6.11 */
struct procmap_query {
	uint64_t size, flags, address;
	uint64_t start, end, vma_flags, page_size, offset, inode;
	uint32_t device[2], name_size, build_id_size;
	uint64_t name, build_id;
};
#define PROCMAP_QUERY _IOWR('f', 17, struct procmap_query)
#endif
#define SHARED_FILE_AT_OR_ABOVE \
	(0x08u | 0x10u | 0x20u) /* PROCMAP_QUERY_VMA_SHARED, _COVERING_OR_NEXT_VMA, _FILE_BACKED_VMA */

/* The kernel finds them. False where it can't be asked. */
static bool unmap_what_is_found(int maps)
{
	struct procmap_query query = { .size = sizeof query, .flags = SHARED_FILE_AT_OR_ABOVE };

	while (ioctl(maps, PROCMAP_QUERY, &query) == 0) {
		if (!mr_zygote_has(query.start))
			munmap((void *)(uintptr_t)query.start, query.end - query.start);
		query = (struct procmap_query){ .size = sizeof query,
						.flags = SHARED_FILE_AT_OR_ABOVE,
						.address = query.end };
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
		if (is_shared_file(line, &start, &length) && !mr_zygote_has(start))
			munmap((void *)start, length);
	if (maps)
		fclose(maps);
	else if (opened >= 0)
		close(opened);
}
