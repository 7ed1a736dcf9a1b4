/* copy.c: copies a directory tree whose content is hostile into one that is new.
 *
 * Owns: mr_copy_tree, mr_copy_beneath. Leaves to others: what is copied where, and why.
 *
 * The source may be changed meanwhile by whoever shares it. The caller has made its mount read-only, without devices and without
 * symbolic links: nothing is opened that acts by being opened, nothing is followed. Every name is one component beneath a
 * descriptor. The target is new, and nobody else reaches it yet.
 * No allocation: one level of directories takes one stack frame, and there is a deepest one. Files with several names are
 * remembered by a further name each, in a directory of the target that is gone at the end.
 */
#include "copy.h"

#include "mount_api.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>

enum { DEPTH_MAX = 64, RECORDS = 2048, PIECE = 1 << 16 /* XATTR_LIST_MAX, XATTR_SIZE_MAX: xattr(7) */ };

struct workspace {
	int source;      /* the top of the source */
	int top;         /* and of the target */
	int links;       /* the directory that remembers, -1 as long as nothing had to be remembered */
	char called[32]; /* its name */
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

/* A name that nothing of the source has at its top. */
static int open_links(struct workspace *work, int source)
{
	struct stat status;

	for (unsigned number = 0; work->links < 0; number++) {
		(void)snprintf(work->called, sizeof work->called, ".minirun-links-%u", number);
		if (fstatat(source, work->called, &status, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		if (mkdirat(work->top, work->called, 0700) < 0)
			return -errno;
		work->links = mr_result(openat(work->top, work->called, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
		if (work->links < 0)
			return work->links;
	}
	return 0;
}

static void name_of(const struct stat *status, char name[48])
{
	(void)snprintf(name, 48, "%llx-%llx", (unsigned long long)status->st_dev, (unsigned long long)status->st_ino);
}

/* 1: another name of it has been copied, and the copy has this name now too. linkat(2) */
static int link_again(const struct workspace *work, int to, const char *name, const struct stat *status)
{
	char key[48];

	if (work->links < 0 || status->st_nlink < 2)
		return 0;
	name_of(status, key);
	if (linkat(work->links, key, to, name, 0) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

static int remember(struct workspace *work, int to, const char *name, const struct stat *status)
{
	char key[48];
	int error = status->st_nlink < 2 ? 0 : open_links(work, work->source);

	if (error < 0 || status->st_nlink < 2)
		return error;
	name_of(status, key);
	return mr_result(linkat(to, name, work->links, key, 0));
}

static int forget_links(struct workspace *work)
{
	_Alignas(struct record) char records[RECORDS];
	long length;

	if (work->links < 0)
		return 0;
	do {
		if (lseek(work->links, 0, SEEK_SET) < 0)
			return -errno;
		bool found = false;

		while ((length = syscall(SYS_getdents64, work->links, records, sizeof records)) > 0)
			for (long at = 0; at < length;) {
				const struct record *record = (const struct record *)(const void *)(records + at);

				at += record->length;
				if (strcmp(record->name, ".") == 0 || strcmp(record->name, "..") == 0)
					continue;
				if (unlinkat(work->links, record->name, 0) < 0)
					return -errno;
				found = true;
			}
		if (length < 0)
			return -errno;
		if (!found)
			break;
	} while (true);
	mr_close(&work->links);
	return mr_result(unlinkat(work->top, work->called, AT_REMOVEDIR));
}

static int copy_directory(struct workspace *work, int from, int to, unsigned depth);

static int copy_file(struct workspace *work, int source, int to, const char *name, const struct stat *status)
{
	int error = link_again(work, to, name, status);
	MR_AUTOCLOSE copy = -1;

	if (error != 0)
		return error < 0 ? error : 0;
	copy = mr_result(openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
	error = copy < 0 ? copy : copy_data(work, source, copy, status->st_size);
	if (error == 0)
		error = finish(work, source, copy, status);
	return error < 0 ? error : remember(work, to, name, status);
}

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
	if (type == S_IFREG)
		return copy_file(work, source, to, name, &status);
	if (mkdirat(to, name, 0700) < 0)
		return -errno;
	copy = mr_result(openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	error = copy < 0 ? copy : copy_directory(work, source, copy, depth + 1);
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

int mr_copy_tree(int from, int to)
{
	struct workspace *work;
	struct stat status;
	int error;

	if (fstat(from, &status) < 0)
		return -errno;
	work = mmap(NULL, sizeof *work, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (work == MAP_FAILED)
		return -errno;
	work->source = from;
	work->top = to;
	work->links = -1;
	error = copy_directory(work, from, to, 0);
	if (error == 0)
		error = forget_links(work);
	if (error == 0)
		error = finish(work, from, to, &status);
	mr_close(&work->links);
	munmap(work, sizeof *work);
	return error;
}

int mr_copy_beneath(int root, const char *path, int to)
{
	MR_AUTOCLOSE found = -1;
	MR_AUTOCLOSE from = -1;
	int error = mr_mount_setattr(root, 0, MOUNT_ATTR_NOSYMFOLLOW, 0, false); /* of a copy before this one */

	if (error < 0)
		return error;
	found = mr_open_beneath(root, path, O_PATH); /* links in the path lead somewhere in the view */
	if (found < 0)
		return found;
	error = mr_mount_setattr(root, MR_HARMLESS, 0, 0, false);
	if (error < 0)
		return error;
	from = mr_result(openat(found, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	return from < 0 ? from : mr_copy_tree(from, to);
}
