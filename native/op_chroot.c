/* op_chroot.c: a root without pivot_root(2), for hosts whose root file system can't be pivoted away from (a ramfs).
 *
 * Owns: moving the root over /, and what has to be hidden first. Leaves to others: PIVOT (op_mounts.c), which is the better way.
 *
 * Here the host's mounts stay, beneath the container's root. Nobody reaches them by a path, but the kernel counts them: it lets a
 * user namespace mount procfs or sysfs as long as one is there that has nothing laid over (mount_too_revealing in
 * fs/namespace.c), and the new one shows what is masked in the container's own. So the host's are taken away, or covered
 * where they are locked, which they are for a user namespace of our own.
 */
#include "mount_api.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef UMOUNT_NOFOLLOW
#define UMOUNT_NOFOLLOW 8
#endif

enum { TABLE_MIN = 1 << 16, TABLE_MAX = 1 << 26, PASSES_MAX = 64 };

/* The mounts of this namespace that can be reached, as proc(5) has them under mountinfo. The file stays open: the procfs that
 * it is from goes too. */
struct table {
	int file;
	char *text;
	size_t size;
};

/* Reads all of the file, which doesn't tell its size: 1, 0 when there is too little room, or -errno. */
static int read_all(const struct table *table)
{
	size_t used = 0;
	ssize_t got;

	if (lseek(table->file, 0, SEEK_SET) < 0)
		return -errno;
	while (used < table->size - 1) {
		got = read(table->file, table->text + used, table->size - 1 - used);
		if (got < 0)
			return -errno;
		if (got == 0) {
			table->text[used] = 0;
			return 1;
		}
		used += (size_t)got;
	}
	return 0;
}

static int read_mounts(struct table *table)
{
	int done = 0;

	for (size_t size = TABLE_MIN; done == 0; size *= 2) {
		if (table->text)
			munmap(table->text, table->size);
		table->text = NULL;
		if (size > TABLE_MAX)
			return -E2BIG;
		table->size = size;
		table->text = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (table->text == MAP_FAILED) {
			table->text = NULL;
			return -errno;
		}
		done = read_all(table);
	}
	return done < 0 ? done : 0;
}

/* Space, tab, newline and backslash stand as \ooo. In place. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++)
		if (text[0] == '\\' && text[1] && text[2] && text[3]) {
			*to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 3;
		} else {
			*to++ = *text;
		}
	*to = 0;
}

static bool is_telling(const char *type)
{
	return strncmp(type, "proc ", 5) == 0 || strncmp(type, "sysfs ", 6) == 0;
}

static bool is_beneath(const char *path, const char *root)
{
	size_t length = strlen(root);

	return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* One line, cut up: its mountpoint when it is a procfs or sysfs outside of the root, or NULL. */
static const char *telling_mount(char *line, const char *root)
{
	char *type = strstr(line, " - "), *path = line, *end;

	if (!type || !is_telling(type + 3))
		return NULL;
	for (int field = 1; field < 5; field++) {
		path = strchr(path, ' ');
		if (!path)
			return NULL;
		path++;
	}
	end = strchr(path, ' ');
	if (!end)
		return NULL;
	*end = 0;
	unescape(path);
	return is_beneath(path, root) ? NULL : path;
}

static int unmount(const char *path)
{
	return mr_result(syscall(SYS_umount2, path, MR_MNT_DETACH | UMOUNT_NOFOLLOW));
}

/* The kernel doesn't ask who sees what a mount lies over, only that it does. Nothing is there to cover: fine. */
static int cover(const char *path)
{
	int error = mr_mount("tmpfs", path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);

	return error == -ENOENT || error == -ENOTDIR ? 0 : error;
}

/* Once over all of them: how many `act` succeeded on, or, when it has to succeed, -errno. */
static int each(struct table *table, const char *root, int (*act)(const char *path), bool must)
{
	char *line, *next;
	int count = 0, error = read_mounts(table);

	if (error < 0)
		return error;
	for (line = table->text; *line; line = next) {
		const char *path;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		path = telling_mount(line, root);
		error = path ? act(path) : -ENOENT;
		if (error < 0 && path && must)
			return error;
		count += error == 0;
	}
	return count;
}

/* Until none goes any more: the first that goes may be what lay over another. */
static int hide_telling_mounts(const char *root)
{
	MR_AUTOCLOSE file = mr_result(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
	struct table table = { .file = file };
	int result = file < 0 ? file : 1;

	for (int pass = 0; result > 0 && pass < PASSES_MAX; pass++)
		result = each(&table, root, unmount, false);
	if (result >= 0)
		result = each(&table, root, cover, true);
	if (table.text)
		munmap(table.text, table.size);
	return result < 0 ? result : 0;
}

/* root: mount(2), MS_MOVE. The mounts must not be tied to those of the host by now (PROPAGATION). */
MR_ACTION(CHROOT)
{
	int root = mr_slot(walk, argument[0].number), error;
	char name[40], path[PATH_MAX];
	ssize_t length;

	if (root < 0)
		return root;
	snprintf(name, sizeof name, "/proc/self/fd/%d", root);
	length = readlink(name, path, sizeof path - 1);
	if (length < 0)
		return -errno;
	path[length] = 0;
	error = hide_telling_mounts(path);
	if (error < 0)
		return error;
	if (fchdir(root) < 0)
		return -errno;
	error = mr_mount(".", "/", NULL, MS_MOVE, NULL);
	if (error < 0)
		return error;
	return chroot(".") < 0 ? -errno : mr_result(chdir("/"));
}
