/* op_copy.c: fills a new file system with what the root file system has in that place (tmpcopyup).
 *
 * Owns: the copy of a tree. Leaves to others: what is mounted where.
 *
 * Source and target are hostile trees: nothing is opened through a symbolic link, every name is one component beneath a
 * descriptor. No allocation: one level of directories takes one frame, and there is a deepest one.
 */
#include "internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { DEPTH_MAX = 64, NAMES = 4096, PIECE = 1 << 15 };

struct record { /* struct linux_dirent64, getdents64(2) */
	uint64_t inode;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

static int copy_data(int from, int to)
{
	char piece[PIECE];
	ssize_t got, done;

	while ((got = read(from, piece, sizeof piece)) > 0)
		for (ssize_t at = 0; at < got; at += done)
			if ((done = write(to, piece + at, (size_t)(got - at))) < 0)
				return -errno;
	return got < 0 ? -errno : 0;
}

/* All but overlayfs' own, which would redirect what lies below. What the new file system can't hold is left out. */
static void copy_attributes(int from, int to)
{
	char names[NAMES], value[PIECE];
	ssize_t length = flistxattr(from, names, sizeof names);

	for (const char *name = names; length > 0 && name < names + length; name += strlen(name) + 1) {
		ssize_t size;

		if (strncmp(name, "trusted.overlay.", 16) == 0)
			continue;
		size = fgetxattr(from, name, value, sizeof value);
		if (size >= 0 && fsetxattr(to, name, value, (size_t)size, 0) < 0)
			errno = 0;
	}
}

/* Owner before mode, which a change of owner cuts; times last. */
static int finish(int fd, const struct stat *status)
{
	struct timespec times[2] = { status->st_atim, status->st_mtim };

	if (fchown(fd, status->st_uid, status->st_gid) < 0 || fchmod(fd, status->st_mode & 07777) < 0)
		return -errno;
	return mr_result(futimens(fd, times));
}

static int copy_directory(int from, int to, unsigned depth);

static int copy_special(int from, int to, const char *name, const struct stat *status)
{
	struct timespec times[2] = { status->st_atim, status->st_mtim };
	char target[PATH_MAX];
	int error;

	if (S_ISLNK(status->st_mode)) {
		ssize_t length = readlinkat(from, name, target, sizeof target - 1);

		if (length < 0)
			return -errno;
		target[length] = 0;
		error = mr_result(symlinkat(target, to, name));
	} else {
		error = mr_result(mknodat(to, name, status->st_mode, status->st_rdev));
	}
	if (error < 0)
		return error;
	if (fchownat(to, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return mr_result(utimensat(to, name, times, AT_SYMLINK_NOFOLLOW));
}

static int copy_entry(int from, int to, const char *name, unsigned depth)
{
	MR_AUTOCLOSE source = -1;
	MR_AUTOCLOSE copy = -1;
	struct stat status;
	int error;

	if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
		return copy_special(from, to, name, &status);
	source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (source < 0 || fstat(source, &status) < 0)
		return -errno;
	if (S_ISDIR(status.st_mode)) {
		if (mkdirat(to, name, 0700) < 0)
			return -errno;
		copy = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		error = copy < 0 ? -errno : copy_directory(source, copy, depth + 1);
	} else {
		copy = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		error = copy < 0 ? -errno : copy_data(source, copy);
	}
	if (error < 0)
		return error;
	copy_attributes(source, copy);
	return finish(copy, &status);
}

static int copy_directory(int from, int to, unsigned depth)
{
	_Alignas(struct record) char records[NAMES];
	long length;

	if (depth > DEPTH_MAX)
		return -ELOOP;
	while ((length = syscall(SYS_getdents64, from, records, sizeof records)) > 0)
		for (long at = 0; at < length;) {
			const struct record *record = (const struct record *)(const void *)(records + at);
			int error = 0;

			if (strcmp(record->name, ".") != 0 && strcmp(record->name, "..") != 0)
				error = copy_entry(from, to, record->name, depth);
			if (error < 0)
				return error;
			at += record->length;
		}
	return length < 0 ? -errno : 0;
}

/* slot root path: from beneath `root` into the file system that the slot holds; nothing when there is no such directory. */
MR_ACTION(COPY_UP)
{
	int mount = mr_slot(walk, argument[0].number), root = mr_slot(walk, argument[1].number), error;
	MR_AUTOCLOSE from = -1;
	MR_AUTOCLOSE to = -1;
	struct stat status;

	if (mount < 0)
		return mount;
	if (root < 0)
		return root;
	from = mr_open_beneath(root, argument[2].data, O_RDONLY | O_DIRECTORY);
	if (from < 0)
		return from == -ENOENT || from == -ENOTDIR ? 0 : from;
	to = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0 || fstat(from, &status) < 0)
		return -errno;
	error = copy_directory(from, to, 0);
	if (error < 0)
		return error;
	copy_attributes(from, to);
	return finish(to, &status);
}
