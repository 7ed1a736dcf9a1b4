/* zygote.c: workers whose memory is there before their command, and is put back to what it was after it (minirun/warm/spare.py).
 *
 * Owns: the zygote, the keepers of workers' memory, and what putting memory back is. Leaves to others: when there shall be one more
 * worker, what it does (minirun/warm/).
 *
 *     preloaded process --- fork ---> zygote             frozen: it forks keepers, and nothing else ever runs in its memory
 *                                       | --- fork ---> keeper                its memory is a copy of the zygote's
 *                                       |                 | --- clone, same memory ---> worker   runs one command, ends
 *                                       |                 |  puts the memory back
 *                                       |                 | --- clone, same memory ---> worker   finds what the first one found
 *
 * A fork shares each page until one of the two writes to it: then the writer pays a fault and a copy, and at its end the memory is
 * taken down. For a short command that was more than all its own work. Here a page is copied by a fault once, and from then on
 * by one read(2) for many, when nobody waits. A page is what it was as long as the keeper shares the zygote's page frame (pagemap):
 * who writes gets another one. All others are read from the zygote, and mappings that weren't there are gone again. So a
 * worker starts with the zygote's content at the zygote's addresses: nothing of the command before is left that it could hit upon.
 * What can't be put back ends the keeper, as does every worker's end that isn't orderly.
 *
 * How memory behaves is not looked at (mlock(2), madvise(2), prctl(2) for a whole memory): no command changes that of its own.
 *
 * Zygote and keeper run on a stack of their own, in memory that isn't part of all this (`aside`). While a worker lives, its keeper
 * only waits in the kernel: nothing it does there writes to memory. (But the kernel may note a processor's number, rseq(2).)
 */
#include "internal.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE /* Linux 5.14; not in older C libraries' headers. madvise(2) */
#define MADV_POPULATE_WRITE 23
#endif

#define ZYGOTE_NAME "minirun-zygote" /* what ps(1) shows. PR_SET_NAME(2const) */
#define KEEPER_NAME "minirun-memory"
#define SPARE_NAME "minirun-spare"

#define MAPPINGS_MAX 1024
#define TEXT 16384 /* of /proc/self/maps, at once: a line has a path at most */
#define BLOCK 512 /* pages that are looked at at once */
#define PAGES_MAX (1u << 15) /* that can be written to; 128 MiB */
#define STACK (64u << 10)
#define FIRST_STACK (16u << 10)
#define LAST_NICENESS 15

/* Of an entry in /proc/PID/pagemap; Documentation/admin-guide/mm/pagemap.rst */
#define FRAME ((1ull << 55) - 1)
#define EXCLUSIVE (1ull << 56)
#define FILE_OR_SHARED (1ull << 61)
#define SWAPPED (1ull << 62)
#define PRESENT (1ull << 63)

struct mapping {
	uintptr_t start, end;
	uint64_t offset, device, inode;
	char rights[4]; /* "rw-p" */
	bool is_stack;
	size_t first; /* its pages' number; SIZE_MAX: nothing there can be written to, or it is nobody's business */
};

/* Settings that belong to a memory, not to a process: proc_pid_oom_score_adj(5), proc_pid_coredump_filter(5). The second is read as a
 * hexadecimal number without a prefix, and written with one. */
static const struct {
	const char *file, *prefix;
} settings[] = { { "/proc/self/oom_score_adj", "" }, { "/proc/self/coredump_filter", "0x" } };
#define SETTINGS (sizeof settings / sizeof *settings)
#define SETTING_MAX 32

/* Private memory of the zygote and each keeper: no worker's, and never put back. */
static struct aside {
	ucontext_t worker, own;
	struct mapping mappings[MAPPINGS_MAX], found[MAPPINGS_MAX];
	size_t mapping_count, page_size;
	uint64_t ours[BLOCK];
	uint64_t zygotes[PAGES_MAX]; /* entries of its pagemap, when it was frozen */
	char text[TEXT + 1], setting[SETTINGS][SETTING_MAX];
	uint8_t has_written[PAGES_MAX / 8]; /* a bit for each page: this keeper has put it into the image */
	uintptr_t heap_end;
	void *thread_id; /* where the C library has it */
	pid_t parent, keeper;
	int socket, end, dumpable;
	int memory; /* the zygote's; its process number could be another's by now */
	int image; /* a file with what the zygote's pages hold, as far as keepers have needed it. Nobody maps it */
	bool is_orderly, has_forked, can_put_back;
	_Alignas(64) char stack[STACK], first_stack[FIRST_STACK]; /* the second: for a worker's first instructions */
} * aside;

bool mr_zygote_has(uintptr_t start)
{
	for (size_t i = 0; aside && i < aside->mapping_count; i++)
		if (aside->mappings[i].start == start)
			return true;
	return false;
}

/* ---- Where memory lies ------------------------------------------------------------------------------------------------ */

static uint64_t number_at(const char **text, unsigned base)
{
	uint64_t number = 0;

	for (;; (*text)++) {
		char c = **text;
		unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
				 : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
							: base;
		if (digit >= base)
			return number;
		number = number * base + digit;
	}
}

/* "start-end rights offset major:minor inode path" */
static void read_mapping(struct mapping *mapping, const char *line, const char *end)
{
	*mapping = (struct mapping){ .start = number_at(&line, 16), .first = SIZE_MAX };
	line++;
	mapping->end = number_at(&line, 16);
	memcpy(mapping->rights, line + 1, sizeof mapping->rights);
	line += 1 + sizeof mapping->rights + 1;
	mapping->offset = number_at(&line, 16);
	line++;
	mapping->device = number_at(&line, 16) << 32;
	line++;
	mapping->device |= number_at(&line, 16);
	line++;
	mapping->inode = number_at(&line, 10);
	mapping->is_stack = end - line > 7 && memcmp(end - 7, "[stack]", 7) == 0;
}

/* All mappings of this process, in the order of their addresses; how many, or -errno. No memory is allocated. proc_pid_maps(5) */
static ssize_t read_mappings(struct mapping *found)
{
	MR_AUTOCLOSE maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t length = 0, count = 0;
	ssize_t got;

	if (maps < 0)
		return -errno;
	while ((got = read(maps, aside->text + length, TEXT - length)) > 0) {
		const char *line = aside->text, *end;
		length += (size_t)got;
		aside->text[length] = 0;
		for (; (end = strchr(line, '\n')); line = end + 1) {
			if (count == MAPPINGS_MAX)
				return -ENOBUFS;
			read_mapping(&found[count++], line, end);
		}
		length = strlen(line);
		memmove(aside->text, line, length);
	}
	if (got < 0)
		return -errno;
	return length ? -ENOBUFS : (ssize_t)count;
}

static bool is_private_and_written(const struct mapping *mapping)
{
	return memcmp(mapping->rights, "rw-p", sizeof mapping->rights) == 0 && mapping->start != (uintptr_t)aside;
}

static size_t pages_of(const struct mapping *mapping)
{
	return (mapping->end - mapping->start) / aside->page_size;
}

/* The entries of some pages from an address on; false when they can't be read. */
static bool read_entries(int pagemap, uintptr_t address, uint64_t *entries, size_t count)
{
	size_t length = count * sizeof *entries;
	return pread(pagemap, entries, length, (off_t)(address / aside->page_size * sizeof *entries)) == (ssize_t)length;
}

static bool is_anonymous(uint64_t entry)
{
	return entry & SWAPPED || (entry & PRESENT && !(entry & FILE_OR_SHARED));
}

/* A worker has forked: whoever has its pages, too, may have them for long. fork(3); what only executes another program is none. */
static void note_fork(void)
{
	aside->has_forked = true;
}

/* What isn't there yet of the zygote's own memory: a worker that is the first to need a page pays a fault, and each after it again,
 * since what the zygote hasn't is dropped. Before Linux 5.14 it stays like this. */
static void fill(int pagemap, const struct mapping *mapping)
{
	uint64_t *entries = aside->zygotes + mapping->first;
	size_t pages = pages_of(mapping);

	if (!read_entries(pagemap, mapping->start, entries, pages))
		return;
	for (size_t page = 0, end; page < pages; page = end) {
		for (end = page; end < pages && !(entries[end] & (PRESENT | SWAPPED)); end++)
			;
		if (end > page)
			madvise((void *)(mapping->start + page * aside->page_size), (end - page) * aside->page_size,
				MADV_POPULATE_WRITE);
		else
			end++;
	}
}

/* The zygote looks at itself. False: its workers' memory can't be put back, each needs a new one. */
static bool remember_mappings(void)
{
	MR_AUTOCLOSE pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t count = read_mappings(aside->mappings);
	size_t pages = 0;

	if (pagemap < 0 || count < 0)
		return false;
	aside->mapping_count = (size_t)count;
	for (ssize_t i = 0; i < count; i++) {
		struct mapping *mapping = &aside->mappings[i];
		if (!is_private_and_written(mapping))
			continue;
		mapping->first = pages;
		pages += pages_of(mapping);
		if (pages > PAGES_MAX)
			return false;
		if (!mapping->inode && !mapping->is_stack)
			fill(pagemap, mapping);
		if (!read_entries(pagemap, mapping->start, aside->zygotes + mapping->first, pages_of(mapping)))
			return false;
	}
	for (size_t page = 0; page < pages; page++)
		if (is_anonymous(aside->zygotes[page]) &&
		    !(aside->zygotes[page] & FRAME)) /* shown to CAP_SYS_ADMIN alone */
			return false;
	return pthread_atfork(NULL, note_fork, NULL) == 0;
}

/* ---- Putting it back --------------------------------------------------------------------------------------------------- */

/* Nothing is wanted there: it goes. What the kernel grows by itself, the stack, stays, without its content. */
static bool drop(const struct mapping *mapping, uintptr_t start, uintptr_t end)
{
	void *memory = (void *)start;
	return (mapping->is_stack ? madvise(memory, end - start, MADV_DONTNEED) : munmap(memory, end - start)) == 0;
}

/* Is this the wanted mapping, from `at` on? */
static bool is_of(const struct mapping *found, const struct mapping *wanted, uintptr_t at)
{
	return memcmp(found->rights, wanted->rights, sizeof wanted->rights) == 0 && found->device == wanted->device &&
	       found->inode == wanted->inode &&
	       (!wanted->inode || found->offset + (at - found->start) == wanted->offset + (at - wanted->start));
}

/* What the worker has mapped goes; false when something has gone that was there, or isn't what it was. */
static bool put_mappings_back(void)
{
	const struct mapping *wanted = aside->mappings, *end = wanted + aside->mapping_count;
	ssize_t count = read_mappings(aside->found);
	uintptr_t from = wanted->start; /* all that is wanted below it has been found */

	for (ssize_t i = 0; i < count; i++) {
		const struct mapping *found = &aside->found[i];
		for (uintptr_t at = found->start, upto; at < found->end; at = upto) {
			if (wanted == end || at < from) {
				upto = wanted == end || found->end < from ? found->end : from;
				if (!drop(found, at, upto))
					return false;
				continue;
			}
			if (at > from || !is_of(found, wanted, at))
				return false;
			from = upto = found->end < wanted->end ? found->end : wanted->end;
			if (from == wanted->end && ++wanted != end)
				from = wanted->start;
		}
	}
	return wanted == end;
}

/* Gives pages the zygote's content. This keeper reads each from the zygote once, which takes three times as long as from the image,
 * and has it there from then on; others put the same into it. */
static bool copy_pages(uintptr_t address, size_t first, size_t count)
{
	for (size_t page = 0, end; page < count; page = end) {
		char *place = (char *)address + page * aside->page_size;
		size_t number = first + page, length;
		bool is_there = aside->has_written[number / 8] >> number % 8 & 1;
		for (end = page + 1;
		     end < count && (aside->has_written[(first + end) / 8] >> (first + end) % 8 & 1) == is_there; end++)
			;
		length = (end - page) * aside->page_size;
		if (is_there) {
			if (pread(aside->image, place, length, (off_t)(number * aside->page_size)) != (ssize_t)length)
				return false;
			continue;
		}
		if (pread(aside->memory, place, length, (off_t)place) != (ssize_t)length) /* the zygote has ended */
			return false;
		if (pwrite(aside->image, place, length, (off_t)(number * aside->page_size)) != (ssize_t)length)
			return false;
		for (; number < first + end; number++)
			aside->has_written[number / 8] |= (uint8_t)(1u << number % 8);
	}
	return true;
}

enum fate { KEPT, DROPPED, COPIED };

/* A page that the keeper has for itself isn't the zygote's any more, even in the same frame: that was the zygote's once, which has
 * another now (the kernel moves pages). Nobody else has a page of the keeper's, since the worker hasn't forked. */
static enum fate fate_of(uint64_t ours, uint64_t zygotes)
{
	static const uint64_t looked_at = PRESENT | SWAPPED | FILE_OR_SHARED | FRAME;

	if (is_anonymous(zygotes))
		return (ours & looked_at) == (zygotes & looked_at) && !(ours & EXCLUSIVE) ? KEPT : COPIED;
	return is_anonymous(ours) ? DROPPED : KEPT;
}

/* Pages that follow each other, with one fate. */
static bool put_pages_back(uintptr_t address, size_t first, size_t count, enum fate fate)
{
	if (fate == COPIED)
		return copy_pages(address, first, count);
	return fate == KEPT || madvise((void *)address, count * aside->page_size, MADV_DONTNEED) == 0;
}

static bool put_content_back(int pagemap, const struct mapping *mapping)
{
	size_t pages = pages_of(mapping);

	for (size_t page = 0, count; page < pages; page += count) {
		uintptr_t address = mapping->start + page * aside->page_size;
		count = pages - page < BLOCK ? pages - page : BLOCK;
		const uint64_t *zygotes = aside->zygotes + mapping->first + page;
		if (!read_entries(pagemap, address, aside->ours, count))
			return false;
		for (size_t i = 0, end; i < count; i = end) {
			enum fate fate = fate_of(aside->ours[i], zygotes[i]);
			for (end = i + 1; end < count && fate_of(aside->ours[end], zygotes[end]) == fate; end++)
				;
			if (!put_pages_back(address + i * aside->page_size, mapping->first + page + i, end - i, fate))
				return false;
		}
	}
	return true;
}

/* A setting as it is to be written; "" where there is none. */
static void read_setting(size_t which, char content[SETTING_MAX])
{
	MR_AUTOCLOSE file = open(settings[which].file, O_RDONLY | O_CLOEXEC);
	size_t prefix = strlen(settings[which].prefix);
	ssize_t length = file < 0 ? 0 : read(file, content + prefix, SETTING_MAX - 1 - prefix);

	memcpy(content, settings[which].prefix, prefix);
	content[length <= 0 ? 0 : (size_t)length + prefix] = 0;
}

static bool put_setting_back(size_t which)
{
	char content[SETTING_MAX];
	const char *wanted = aside->setting[which];

	read_setting(which, content);
	if (strcmp(content, wanted) == 0)
		return true;
	MR_AUTOCLOSE file = open(settings[which].file, O_WRONLY | O_CLOEXEC);
	return file >= 0 && write(file, wanted, strlen(wanted)) == (ssize_t)strlen(wanted);
}

static bool put_back(void)
{
	MR_AUTOCLOSE pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (pagemap < 0 || syscall(SYS_brk, aside->heap_end) != (long)aside->heap_end || !put_mappings_back())
		return false;
	for (size_t i = 0; i < aside->mapping_count; i++)
		if (aside->mappings[i].first != SIZE_MAX && !put_content_back(pagemap, &aside->mappings[i]))
			return false;
	for (size_t i = 0; i < SETTINGS; i++)
		if (!put_setting_back(i))
			return false;
	return prctl(PR_GET_DUMPABLE) == aside->dumpable || prctl(PR_SET_DUMPABLE, aside->dumpable) == 0;
}

/* Whoever has waited for the worker's end has the processor first: 5 in 100 of a command. */
static bool put_back_quietly(void)
{
	int before = getpriority(PRIO_PROCESS, 0);

	setpriority(PRIO_PROCESS, 0, LAST_NICENESS);
	return put_back() && setpriority(PRIO_PROCESS, 0, before) == 0;
}

/* ---- The three kinds of processes -------------------------------------------------------------------------------------- */

/* A worker's first instructions: it goes on where the zygote came from. setcontext(3) */
static int begin(void *unused)
{
	(void)unused;
	close(aside->memory);
	close(aside->image);
	prctl(PR_SET_NAME, SPARE_NAME);
	setcontext(&aside->worker);
	_exit(1);
}

static void await_end(int process)
{
	struct pollfd end = { .fd = process, .events = POLLIN };

	while (poll(&end, 1, -1) < 0) /* no signal comes through: success, which writes nothing, errno least of all */
		;
}

/* The worker's memory is ours as well: nothing is written from its birth to its end. */
_Noreturn static void keep(int socket)
{
	sigset_t all;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != aside->parent)
		_exit(1);
	prctl(PR_SET_NAME, KEEPER_NAME);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (dup3(socket, aside->socket, O_CLOEXEC) < 0)
		_exit(1);
	close(socket);
	aside->keeper = getpid();
	do {
		aside->is_orderly = aside->has_forked = false;
		if (clone(begin, aside->first_stack + FIRST_STACK,
			  CLONE_VM | CLONE_PARENT | CLONE_PIDFD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID, NULL,
			  &aside->end, NULL, aside->thread_id) < 0)
			_exit(1);
		await_end(aside->end);
		close(aside->end);
	} while (aside->is_orderly && !aside->has_forked && aside->can_put_back && put_back_quietly());
	_exit(0);
}

/* The next keeper's socket; -1 at the end. */
static int receive_socket(void)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = { { 0 } };
	char byte;
	struct iovec content = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &content, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
	};
	ssize_t got;
	int socket = -1;

	while ((got = recvmsg(aside->socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	const struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(&socket, CMSG_DATA(header), sizeof socket);
	return socket;
}

static void fork_keepers(void)
{
	int socket;

	while ((socket = receive_socket()) >= 0) {
		/* Not fork(3), which writes to memory of the C library's. A failure closes the socket: so it is noticed. */
		if (syscall(SYS_clone, CLONE_PARENT, NULL, NULL, NULL, NULL) == 0)
			keep(socket);
		close(socket);
	}
	_exit(0);
}

/* A file's, so that it has a name in /proc/PID/maps, and is no neighbour's part. */
static void *private_memory(const char *name, size_t length)
{
	MR_AUTOCLOSE file = memfd_create(name, MFD_CLOEXEC);
	void *memory;

	if (file < 0 || ftruncate(file, (off_t)length) < 0)
		return NULL;
	memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

static char name_before[16];

void mr_name_zygote(int is_zygote)
{
	if (is_zygote)
		prctl(PR_GET_NAME, name_before);
	prctl(PR_SET_NAME, is_zygote ? ZYGOTE_NAME : name_before);
}

int mr_zygote(int socket)
{
	aside = private_memory("minirun-keeper", sizeof *aside);
	if (!aside)
		return -errno;
	aside->socket = socket;
	aside->parent = getppid();
	aside->page_size = (size_t)sysconf(_SC_PAGESIZE);
	aside->heap_end = (uintptr_t)syscall(SYS_brk, 0);
	aside->dumpable = prctl(PR_GET_DUMPABLE);
	for (size_t i = 0; i < SETTINGS; i++)
		read_setting(i, aside->setting[i]);
	aside->memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	aside->image = memfd_create("minirun-image", MFD_CLOEXEC);
	if (aside->memory < 0 || aside->image < 0 || prctl(PR_GET_TID_ADDRESS, &aside->thread_id) < 0 ||
	    getcontext(&aside->own) < 0)
		return -errno;
	aside->own.uc_stack = (stack_t){ .ss_sp = aside->stack, .ss_size = sizeof aside->stack };
	makecontext(&aside->own, fork_keepers, 0);
	aside->can_put_back = remember_mappings();
	if (swapcontext(&aside->worker, &aside->own) < 0)
		return -errno;
	return aside->keeper;
}

void mr_worker_ends(void)
{
	if (aside)
		aside->is_orderly = true;
}
