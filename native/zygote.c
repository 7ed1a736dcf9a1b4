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
 * by memcpy(3), when nobody waits. Which pages differ is exact: those that aren't the zygote's page frame any more (pagemap),
 * whatever has happened to them meanwhile; and mappings that weren't there are gone again. A worker therefore starts with the
 * zygote's memory, to the byte: nothing of the command before is left that it could hit upon. What has changed so that it can't
 * be put back ends the keeper, as does every worker's end that isn't orderly.
 *
 * Zygote and keeper run on a stack of their own, in memory that isn't part of all this (`aside`). While a worker lives, its keeper
 * only waits in the kernel: nothing it does there writes to memory.
 */
#include "internal.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ZYGOTE_NAME "minirun-zygote" /* what ps(1) shows. PR_SET_NAME(2const) */
#define KEEPER_NAME "minirun-memory"
#define SPARE_NAME "minirun-spare"

#define MAPPINGS_MAX 2048
#define TEXT_MAX (256u << 10) /* of /proc/self/maps */
#define BLOCK 512 /* pages whose entries are read at once */
#define STACK (64u << 10)

/* Of an entry in /proc/PID/pagemap; Documentation/admin-guide/mm/pagemap.rst */
#define FRAME ((1ull << 55) - 1)
#define EXCLUSIVE (1ull << 56)
#define FILE_OR_SHARED (1ull << 61)
#define SWAPPED (1ull << 62)
#define PRESENT (1ull << 63)

struct mapping {
	uintptr_t start, end;
	char rights[4]; /* "rw-p" */
	uint64_t inode;
	bool is_stack;
	size_t first; /* its pages' place in the image; SIZE_MAX: nothing there can be written to, or it is nobody's business */
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
	uint64_t entries[BLOCK];
	char text[TEXT_MAX + 1], setting[SETTINGS][SETTING_MAX];
	uintptr_t heap_end;
	void *thread_id; /* where the C library has it */
	pid_t parent, keeper;
	int socket, memory, dumpable, end;
	bool is_orderly, can_put_back;
	_Alignas(64) char stack[STACK], first_stack[STACK]; /* the second: for a worker's first instructions */
} * aside;

/* What the zygote's pages hold: shared with all keepers, filled as they need it. */
static struct image {
	char *pages;
	uint64_t *entries; /* of the zygote's pagemap */
	uint8_t *is_there; /* a byte for each page: has it been read from the zygote? */
	size_t count;
} image;

bool mr_zygote_has(uintptr_t start)
{
	for (size_t i = 0; aside && i < aside->mapping_count; i++)
		if (aside->mappings[i].start == start)
			return true;
	return false;
}

/* ---- Where memory lies ------------------------------------------------------------------------------------------------ */

static uintptr_t number_at(const char **text)
{
	uintptr_t number = 0;

	for (;; (*text)++) {
		char c = **text;
		if (c >= '0' && c <= '9')
			number = number << 4 | (uintptr_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			number = number << 4 | (uintptr_t)(c - 'a' + 10);
		else
			return number;
	}
}

/* The fourth word from here on: rights, offset, device, inode. */
static uint64_t inode_of(const char *word)
{
	uint64_t inode = 0;

	for (int i = 0; i < 3; i++)
		word = strchr(word, ' ') + 1;
	for (; *word >= '0' && *word <= '9'; word++)
		inode = inode * 10 + (uint64_t)(*word - '0');
	return inode;
}

/* All mappings of this process, in the order of their addresses; how many, or -errno. No memory is allocated. proc_pid_maps(5) */
static ssize_t read_mappings(struct mapping *found)
{
	MR_AUTOCLOSE maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t length = 0, count = 0;
	ssize_t got = 0;

	while (maps >= 0 && length < TEXT_MAX && (got = read(maps, aside->text + length, TEXT_MAX - length)) > 0)
		length += (size_t)got;
	if (maps < 0 || got < 0)
		return -errno;
	if (length == TEXT_MAX)
		return -ENOBUFS;
	aside->text[length] = 0;
	for (const char *line = aside->text, *end; (end = strchr(line, '\n')); line = end + 1) {
		struct mapping *mapping = &found[count++];
		if (count > MAPPINGS_MAX)
			return -ENOBUFS;
		*mapping = (struct mapping){ .start = number_at(&line), .first = SIZE_MAX };
		line++;
		mapping->end = number_at(&line);
		memcpy(mapping->rights, line + 1, sizeof mapping->rights);
		mapping->inode = inode_of(line + 1);
		mapping->is_stack = end - line > 7 && memcmp(end - 7, "[stack]", 7) == 0;
	}
	return (ssize_t)count;
}

static bool is_private_and_written(const struct mapping *mapping)
{
	return memcmp(mapping->rights, "rw-p", sizeof mapping->rights) == 0 && mapping->start != (uintptr_t)aside;
}

static void *shared_memory(size_t length)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

/* Reads the entries of some pages, from where a mapping begins. */
static bool read_entries(int pagemap, uintptr_t address, uint64_t *entries, size_t count)
{
	size_t length = count * sizeof *entries;
	return pread(pagemap, entries, length, (off_t)(address / aside->page_size * sizeof *entries)) == (ssize_t)length;
}

static bool is_anonymous(uint64_t entry)
{
	return entry & SWAPPED || (entry & PRESENT && !(entry & FILE_OR_SHARED));
}

/* The zygote looks at itself. False: its workers' memory can't be put back, each needs a new one. */
static bool remember_pages(void)
{
	MR_AUTOCLOSE pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	for (size_t i = 0; pagemap >= 0 && i < aside->mapping_count; i++) {
		const struct mapping *mapping = &aside->mappings[i];
		size_t pages = (mapping->end - mapping->start) / aside->page_size;
		if (mapping->first == SIZE_MAX)
			continue;
		uint64_t *entries = image.entries + mapping->first;
		if (!read_entries(pagemap, mapping->start, entries, pages))
			return false;
		for (size_t page = 0; page < pages; page++)
			if (is_anonymous(entries[page]) && !(entries[page] & FRAME)) /* shown to CAP_SYS_ADMIN alone */
				return false;
	}
	return pagemap >= 0;
}

static bool remember_mappings(void)
{
	ssize_t count = read_mappings(aside->mappings);
	size_t pages = 0;

	/* what is mapped for the image has to be among them, and doesn't change what is counted */
	for (ssize_t i = 0; i < count; i++)
		if (is_private_and_written(&aside->mappings[i]))
			pages += (aside->mappings[i].end - aside->mappings[i].start) / aside->page_size;
	pages += BLOCK;
	image.pages = shared_memory(pages * aside->page_size);
	image.entries = shared_memory(pages * sizeof *image.entries);
	image.is_there = shared_memory(pages);
	if (count < 0 || !image.pages || !image.entries || !image.is_there)
		return false;
	count = read_mappings(aside->mappings);
	for (ssize_t i = 0; i < count; i++) {
		struct mapping *mapping = &aside->mappings[i];
		size_t length = (mapping->end - mapping->start) / aside->page_size;
		if (!is_private_and_written(mapping))
			continue;
		if (image.count + length > pages)
			return false;
		mapping->first = image.count;
		image.count += length;
	}
	aside->mapping_count = count < 0 ? 0 : (size_t)count;
	return count >= 0;
}

/* ---- Putting it back --------------------------------------------------------------------------------------------------- */

/* Nothing is wanted there: it goes. What the kernel grows by itself, the stack, stays, without its content. */
static bool drop(const struct mapping *mapping, uintptr_t start, uintptr_t end)
{
	void *memory = (void *)start;
	return (mapping->is_stack ? madvise(memory, end - start, MADV_DONTNEED) : munmap(memory, end - start)) == 0;
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
			if (at > from || found->inode != wanted->inode ||
			    memcmp(found->rights, wanted->rights, sizeof wanted->rights) != 0)
				return false;
			from = upto = found->end < wanted->end ? found->end : wanted->end;
			if (from == wanted->end && ++wanted != end)
				from = wanted->start;
		}
	}
	return wanted == end;
}

/* Is this page the zygote's, untouched? Both have the same frame: who writes gets another. */
static bool is_the_same(uint64_t ours, uint64_t zygotes)
{
	if (ours & SWAPPED || zygotes & SWAPPED)
		return (ours & (SWAPPED | FRAME)) == (zygotes & (SWAPPED | FRAME));
	return is_anonymous(ours) && !(ours & EXCLUSIVE) && (ours & FRAME) == (zygotes & FRAME);
}

/* Gives `count` pages the zygote's content, which is read from there when nobody has needed it before. */
static bool copy_pages(uintptr_t address, size_t first, size_t count)
{
	char *content = image.pages + first * aside->page_size;

	for (size_t page = 0; page < count; page++) {
		char *one = content + page * aside->page_size;
		off_t place = (off_t)(address + page * aside->page_size);
		if (image.is_there[first + page])
			continue;
		if (pread(aside->memory, one, aside->page_size, place) !=
		    (ssize_t)aside->page_size) /* the zygote has ended */
			return false;
		__atomic_store_n(&image.is_there[first + page], 1, __ATOMIC_RELEASE);
	}
	memcpy((void *)address, content, count * aside->page_size);
	return true;
}

enum fate { KEPT, DROPPED, COPIED };

static enum fate fate_of(uint64_t ours, uint64_t zygotes)
{
	if (is_anonymous(zygotes))
		return is_the_same(ours, zygotes) ? KEPT : COPIED;
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
	size_t pages = (mapping->end - mapping->start) / aside->page_size;

	for (size_t page = 0, count; page < pages; page += count) {
		const uint64_t *zygotes = image.entries + mapping->first + page;
		uintptr_t address = mapping->start + page * aside->page_size;
		count = pages - page < BLOCK ? pages - page : BLOCK;
		if (!read_entries(pagemap, address, aside->entries, count))
			return false;
		for (size_t i = 0, end; i < count; i = end) {
			enum fate fate = fate_of(aside->entries[i], zygotes[i]);
			for (end = i + 1; end < count && fate_of(aside->entries[end], zygotes[end]) == fate; end++)
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
	return prctl(PR_SET_DUMPABLE, aside->dumpable) == 0 ||
	       aside->dumpable > 1; /* 2 can't be set, nor changed to by a worker */
}

/* ---- The three kinds of processes -------------------------------------------------------------------------------------- */

/* A worker's first instructions: it goes on where the zygote came from. setcontext(3) */
static int begin(void *unused)
{
	(void)unused;
	close(aside->memory);
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
		aside->is_orderly = false;
		if (clone(begin, aside->first_stack + STACK,
			  CLONE_VM | CLONE_PARENT | CLONE_PIDFD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID, NULL,
			  &aside->end, NULL, aside->thread_id) < 0)
			_exit(1);
		await_end(aside->end);
		close(aside->end);
	} while (aside->is_orderly && aside->can_put_back && put_back());
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
	if (aside->memory < 0 || prctl(PR_GET_TID_ADDRESS, &aside->thread_id) < 0 || getcontext(&aside->own) < 0)
		return -errno;
	aside->own.uc_stack = (stack_t){ .ss_sp = aside->stack, .ss_size = sizeof aside->stack };
	makecontext(&aside->own, fork_keepers, 0);
	aside->can_put_back = remember_mappings() && remember_pages();
	if (swapcontext(&aside->worker, &aside->own) < 0)
		return -errno;
	return aside->keeper;
}

void mr_worker_ends(void)
{
	if (aside)
		aside->is_orderly = true;
}
