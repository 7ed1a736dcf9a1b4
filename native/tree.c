/* tree.c: removing a directory tree that somebody hostile has filled, and making sure that one is on disk.
 *
 * Owns: mr_remove_tree, mr_sync_file_system. What is removed was writable by a container or came out of an archive: names are
 * raw bytes, links lead anywhere, directories are nested deeper than a path can say, files are immutable.
 *
 * There is no recursion and no stack of descriptors. A subdirectory that isn't empty is renamed into the top directory
 * and waits there for its turn:
 *
 *     top/a/b/c/file      pass 1: top/a is emptied: b moves to top/.minirun-0, a is removed
 *     top/.minirun-0/c    pass 2: c moves to top/.minirun-1, ...
 *
 * so that at any moment two directories are open, each entry is touched a constant number of times, and no ".." is ever followed.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "minirun.h"
#include "untar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LISTING = 32768 };

struct removal {
	int top;
	unsigned long moved; /* makes the names of waiting directories */
	char *listing;       /* 2 * LISTING bytes: of the top directory, of the one that is being emptied */
};

struct entry64 { /* struct linux_dirent64 of getdents64(2) */
	uint64_t inode;
	int64_t offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

static int open_directory(int parent, const char *name)
{
	return mr_openat2(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
	                       RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

/* Clear the flags that make removal fail with EPERM even for root (chattr +i, +a). ioctl_iflags(2); CAP_LINUX_IMMUTABLE. */
static bool make_mutable(int fd)
{
	int flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)))
		return false;
	flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

/* 1: something was changed, and another attempt may succeed; 0: nothing was; -ENOSYS: without openat2 nobody knows. */
static int make_entry_mutable(int parent, const char *name)
{
	struct stat st;
	bool changed = make_mutable(parent);

	/* Only these kinds carry the flags, and only these are safe to open: a fifo blocks, a device acts. */
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return changed;
	int fd = mr_openat2(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0,
	                         RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	if (fd == -ENOSYS)
		return fd;
	if (fd >= 0) {
		changed |= make_mutable(fd);
		close(fd);
	}
	return changed;
}

static int unlink_entry(int parent, const char *name, int flags)
{
	if (unlinkat(parent, name, flags) == 0 || errno == ENOENT)
		return 0;
	int reason = errno;
	int changed = reason == EPERM ? make_entry_mutable(parent, name) : 0;
	if (changed <= 0)
		return changed < 0 ? changed : -reason;
	return unlinkat(parent, name, flags) == 0 || errno == ENOENT ? 0 : -errno;
}

static bool is_not_empty(int result)
{
	return result == -ENOTEMPTY || result == -EEXIST;
}

/* Move a directory that isn't empty under a fresh name into the top directory. rename(2) */
static int postpone(struct removal *r, int parent, const char *name)
{
	char fresh[40];
	bool retried = false;

	for (;;) {
		(void)snprintf(fresh, sizeof fresh, ".minirun-%lu", r->moved);
		if (syscall(SYS_renameat2, parent, name, r->top, fresh, RENAME_NOREPLACE) == 0) {
			r->moved++;
			return 0;
		}
		if (errno == EEXIST) {
			r->moved++;
			continue;
		}
		int reason = errno;
		if (retried || reason != EPERM)
			return -reason;
		(void)make_entry_mutable(parent, name);
		(void)make_mutable(r->top);
		retried = true;
	}
}

/* Remove one entry; `nested` says that `parent` is not the top directory. A directory that isn't empty: 1. */
static int remove_entry(struct removal *r, int parent, const struct entry64 *entry, bool nested)
{
	struct stat st;
	bool directory = entry->type == DT_DIR;

	if (entry->type == DT_UNKNOWN) {
		if (fstatat(parent, entry->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : -errno;
		directory = S_ISDIR(st.st_mode);
	}
	int result = unlink_entry(parent, entry->name, directory ? AT_REMOVEDIR : 0);
	if (directory && is_not_empty(result))
		return nested ? postpone(r, parent, entry->name) : 1;
	return result;
}

/* Empty one directory whose parent is the top directory, and remove it. Two listings suffice for file systems that skip
 * entries while others vanish; the loop bound only guards against somebody who keeps adding. */
static int empty(struct removal *r, const char *name)
{
	char *listing = r->listing + LISTING;
	int fd = open_directory(r->top, name);
	int result = 0;

	if (fd == -EXDEV)
		return -EBUSY; /* a mount point */
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	for (int pass = 0; pass < 1000; pass++) {
		long length;
		while ((length = syscall(SYS_getdents64, fd, listing, LISTING)) > 0) {
			for (long at = 0; at < length;) {
				const struct entry64 *entry = (const struct entry64 *)(const void *)(listing + at);
				at += entry->length;
				if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
					continue;
				if ((result = remove_entry(r, fd, entry, true)) < 0)
					goto out;
			}
		}
		if (length < 0) {
			result = -errno;
			goto out;
		}
		result = unlink_entry(r->top, name, AT_REMOVEDIR);
		if (!is_not_empty(result) || lseek(fd, 0, SEEK_SET) < 0)
			goto out;
	}
out:
	close(fd);
	return result;
}

/* Go once over the top directory. 1: something was done, 0: it is empty. */
static int pass_over_top(struct removal *r)
{
	bool busy = false;
	long length;

	if (lseek(r->top, 0, SEEK_SET) < 0)
		return -errno;
	while ((length = syscall(SYS_getdents64, r->top, r->listing, LISTING)) > 0) {
		for (long at = 0; at < length;) {
			const struct entry64 *entry = (const struct entry64 *)(const void *)(r->listing + at);
			at += entry->length;
			if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
				continue;
			busy = true;
			int result = remove_entry(r, r->top, entry, false);
			if (result == 1)
				result = empty(r, entry->name);
			if (result < 0)
				return result;
		}
	}
	return length < 0 ? -errno : busy;
}

int mr_remove_tree(int parent, const char *name)
{
	struct removal r = { .top = -1 };
	struct stat st;

	if (*name == '\0' || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	int result = unlink_entry(parent, name, AT_REMOVEDIR); /* most are empty: one call */
	if (result == -ENOTDIR)
		return unlink_entry(parent, name, 0);
	if (!is_not_empty(result))
		return result;
	r.top = open_directory(parent, name);
	if (r.top < 0)
		return r.top == -EXDEV ? -EBUSY : r.top;
	r.listing = malloc(2 * LISTING);
	if (!r.listing) {
		close(r.top);
		return -ENOMEM;
	}
	do {
		result = pass_over_top(&r);
	} while (result == 1);
	if (result == 0 && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		result = unlink_entry(parent, name, AT_REMOVEDIR);
	free(r.listing);
	close(r.top);
	return result;
}

int mr_sync_file_system(int fd)
{
	return syncfs(fd) < 0 ? -errno : 0;
}
