/* op_copy.c: fills a new file system with what the root file system has in that place (tmpcopyup).
 *
 * Owns: the copy of a tree. Leaves to others: what is mounted where.
 *
 * The source is hostile, and whoever shares it may change it meanwhile. It is read through a detached clone of its mount that is
 * read-only, without devices and without symbolic links: nothing is opened that acts by being opened, nothing is followed.
 * Every name is one component beneath a descriptor. The target is new, and nobody else reaches it yet.
 * No allocation: one level of directories takes one frame, and there is a deepest one. Hard links become files of their own.
 */
#include "mount_api.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

enum { DEPTH_MAX = 64, RECORDS = 2048, PIECE = 1 << 16 /* XATTR_LIST_MAX, XATTR_SIZE_MAX: xattr(7) */ };

struct workspace {
	char names[PIECE];
	char piece[PIECE];
};

struct record { /* struct linux_dirent64, getdents64(2) */
	uint64_t inode;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

static int write_at(int to, const char *data, ssize_t length, off_t at)
{
	while (length > 0) {
		ssize_t written = pwrite(to, data, (size_t)length, at);

		if (written < 0)
			return -errno;
		data += written;
		at += written;
		length -= written;
	}
	return 0;
}

/* What lies between the holes, up to the size that the file had when it was opened. lseek(2), SEEK_DATA. */
static int copy_data(struct workspace *work, int from, int to, off_t size)
{
	off_t at = 0;

	while (at < size && (at = lseek(from, at, SEEK_DATA)) >= 0) {
		off_t end = lseek(from, at, SEEK_HOLE);

		if (end < 0)
			return -errno;
		end = end < size ? end : size;
		while (at < end) {
			ssize_t got = pread(from, work->piece, end - at < PIECE ? (size_t)(end - at) : PIECE, at);
			int error = got < 0 ? -errno : write_at(to, work->piece, got, at);

			if (error < 0)
				return error;
			at = got > 0 ? at + got : size; /* 0: it has been cut meanwhile */
		}
	}
	if (at < 0 && errno != ENXIO) /* ENXIO: nothing but a hole is left */
		return -errno;
	return mr_result(ftruncate(to, size));
}

/* Overlayfs' own attributes would rename, hide or redirect what lies below, should the copy become a layer. */
static bool is_reserved(const char *name)
{
	return strncmp(name, "trusted.overlay.", 16) == 0 || strncmp(name, "user.overlay.", 13) == 0;
}

/* Attributes that the new file system doesn't have, that only the host's root may set, or that speak of users who aren't in our
 * user namespace, are left out. */
static bool is_bearable(int reason)
{
	return reason == ENOTSUP || reason == EPERM || reason == EACCES || reason == EINVAL;
}

static int copy_attributes(struct workspace *work, int from, int to)
{
	ssize_t length = flistxattr(from, work->names, sizeof work->names);

	for (const char *name = work->names; length > 0 && name < work->names + length; name += strlen(name) + 1) {
		ssize_t size = is_reserved(name) ? -1 : fgetxattr(from, name, work->piece, sizeof work->piece);

		if (size >= 0 && fsetxattr(to, name, work->piece, (size_t)size, 0) < 0 && !is_bearable(errno))
			return -errno;
	}
	return 0;
}

/* 0; 1 when our user namespace has no number for the owner (EINVAL): the copy stays ours, and must not act in our name. */
static int give(int directory, const char *name, const struct stat *status)
{
	if (fchownat(directory, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW | (*name ? 0 : AT_EMPTY_PATH)) == 0)
		return 0;
	return errno == EINVAL ? 1 : -errno;
}

static mode_t mode_of(const struct stat *status, int kept)
{
	return status->st_mode & (kept == 0 ? 07777 : 01777);
}

/* In this order: a change of owner cuts set-id bits and removes capabilities, and all of them change the times. */
static int finish(struct workspace *work, int from, int to, const struct stat *status)
{
	struct timespec times[2] = { status->st_atim, status->st_mtim };
	int kept = give(to, "", status), error;

	if (kept < 0)
		return kept;
	if (fchmod(to, mode_of(status, kept)) < 0)
		return -errno;
	error = copy_attributes(work, from, to);
	return error < 0 ? error : mr_result(futimens(to, times));
}

static int copy_link(struct workspace *work, int from, int to, const char *name)
{
	ssize_t length = readlinkat(from, name, work->piece, sizeof work->piece - 1);

	if (length < 0)
		return -errno;
	work->piece[length] = 0;
	return mr_result(symlinkat(work->piece, to, name));
}

static int copy_special(struct workspace *work, int from, int to, const char *name, const struct stat *status)
{
	struct timespec times[2] = { status->st_atim, status->st_mtim };
	bool is_link = S_ISLNK(status->st_mode);
	int error = is_link ? copy_link(work, from, to, name) : mr_result(mknodat(to, name, status->st_mode, status->st_rdev));
	int kept;

	if (error == -EPERM && (S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode)))
		return 0; /* a device that a user namespace makes couldn't be opened anyway */
	if (error < 0)
		return error;
	kept = give(to, name, status);
	if (kept < 0)
		return kept;
	if (!is_link && fchmodat(to, name, mode_of(status, kept), 0) < 0) /* the umask has cut it */
		return -errno;
	return mr_result(utimensat(to, name, times, AT_SYMLINK_NOFOLLOW));
}

static int copy_directory(struct workspace *work, int from, int to, unsigned depth);

static int copy_entry(struct workspace *work, int from, int to, const char *name, unsigned depth)
{
	MR_AUTOCLOSE source = -1;
	MR_AUTOCLOSE copy = -1;
	struct stat status;
	mode_t type;
	int error;

	if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	type = status.st_mode & S_IFMT;
	if (type != S_IFREG && type != S_IFDIR)
		return copy_special(work, from, to, name, &status);
	source = mr_result(openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
	if (source < 0)
		return source;
	if (fstat(source, &status) < 0)
		return -errno;
	if ((status.st_mode & S_IFMT) != type)
		return -EAGAIN; /* another one has taken its place */
	if (type == S_IFDIR) {
		if (mkdirat(to, name, 0700) < 0)
			return -errno;
		copy = mr_result(openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
		error = copy < 0 ? copy : copy_directory(work, source, copy, depth + 1);
	} else {
		copy = mr_result(openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
		error = copy < 0 ? copy : copy_data(work, source, copy, status.st_size);
	}
	return error < 0 ? error : finish(work, source, copy, &status);
}

static int copy_directory(struct workspace *work, int from, int to, unsigned depth)
{
	_Alignas(struct record) char records[RECORDS];
	long length;

	if (depth > DEPTH_MAX)
		return -ELOOP;
	while ((length = syscall(SYS_getdents64, from, records, sizeof records)) > 0)
		for (long at = 0; at < length;) {
			const struct record *record = (const struct record *)(const void *)(records + at);
			int error = 0;

			if (strcmp(record->name, ".") != 0 && strcmp(record->name, "..") != 0)
				error = copy_entry(work, from, to, record->name, depth);
			if (error < 0)
				return error;
			at += record->length;
		}
	return length < 0 ? -errno : 0;
}

/* What is beneath `directory`, mounts included, as it is said above. */
static int harmless_clone(int directory)
{
	int tree = mr_open_tree(directory, "", true), error;

	if (tree < 0)
		return tree;
	error = mr_mount_setattr(
		tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSYMFOLLOW, 0, 0, true);
	if (error < 0)
		mr_close(&tree);
	return error < 0 ? error : tree;
}

static int copy_tree(int found, int mount)
{
	MR_AUTOCLOSE tree = harmless_clone(found);
	MR_AUTOCLOSE from = tree < 0 ? tree : mr_result(openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	MR_AUTOCLOSE to = mr_result(openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct workspace *work;
	struct stat status;
	int error;

	if (from < 0 || to < 0)
		return from < 0 ? from : to;
	if (fstat(from, &status) < 0)
		return -errno;
	work = mmap(NULL, sizeof *work, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (work == MAP_FAILED)
		return -errno;
	error = copy_directory(work, from, to, 0);
	if (error == 0)
		error = finish(work, from, to, &status);
	munmap(work, sizeof *work);
	return error;
}

/* slot root path: from beneath `root` into the file system that the slot holds; nothing when there is no such directory. Needs
 * CAP_SYS_ADMIN, and what it takes to read the tree. */
MR_ACTION(COPY_UP)
{
	int mount = mr_slot(walk, argument[0].number), root = mr_slot(walk, argument[1].number);
	MR_AUTOCLOSE found = -1;

	if (mount < 0)
		return mount;
	if (root < 0)
		return root;
	found = mr_open_beneath(root, argument[2].data, O_PATH | O_DIRECTORY);
	if (found < 0)
		return found == -ENOENT || found == -ENOTDIR ? 0 : found;
	return copy_tree(found, mount);
}
