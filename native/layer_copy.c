/* layer_copy.c: attributes of what is made, and copies of what a lower layer has.
 *
 * Owns: owner, mode, extended attributes and times in the order that the kernel's side effects demand, copying up.
 * Leaves to others: when (layer.c, layer_path.c).
 */
#include "layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { COPY_PIECE = 1 << 16, XATTRS_MAX = 1 << 16 };

#define TIMES_MAX ((size_t)128 << 20) /* bytes of memory for directory times: more than a million directories */

/* ---- Attributes ------------------------------------------------------------------------------------------------------ */

struct timespec layer_timespec(int64_t seconds, uint32_t nanoseconds)
{
	return (struct timespec){ .tv_sec = seconds, .tv_nsec = (long)nanoseconds };
}

int layer_remember_times(struct mr_layer *l, const char *path, uint64_t inode, int64_t seconds, uint32_t nanoseconds)
{
	struct later later = { inode, seconds, nanoseconds, (uint32_t)strlen(path) + 1 };
	size_t size = (sizeof later + later.length + 7) & ~(size_t)7;

	if (l->times_used + size > l->times_size) {
		size_t wanted = l->times_size ? 2 * l->times_size : 16384;
		if (wanted > TIMES_MAX)
			return layer_fail(l, -EBADMSG, "there are too many directories");
		char *times = realloc(l->times, wanted);
		if (!times)
			return layer_fail_call(l, ENOMEM, "remember the times of directories");
		l->times = times;
		l->times_size = wanted;
	}
	memcpy(l->times + l->times_used, &later, sizeof later);
	memcpy(l->times + l->times_used + sizeof later, path, later.length);
	l->times_used += size;
	return 0;
}

/* Overlayfs' own attributes would let an archive rename, hide or redirect what lies below. */
static bool is_reserved(const char *name)
{
	return layer_has_prefix(name, "trusted.overlay.") || layer_has_prefix(name, "user.overlay.");
}

/* Can this failure to set an attribute be passed over? The file system has none, or user.* on a symlink or device. */
static bool is_bearable(int reason, const char *name)
{
	return reason == ENOTSUP || (reason == EPERM && layer_has_prefix(name, "user."));
}

int layer_set_xattrs(struct mr_layer *l, int parent, const char *base, int fd, const struct mr_entry *entry)
{
	char path[NAME_MAX + 64];

	if (fd < 0) /* the last component isn't followed, the one before it is our own descriptor */
		(void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", parent, base);
	for (size_t i = 0; i < entry->xattr_count; i++) {
		const struct mr_xattr *x = &entry->xattrs[i];
		if (is_reserved(x->name))
			continue;
		int result = fd >= 0 ? fsetxattr(fd, x->name, x->value, x->length, 0) : lsetxattr(path, x->name, x->value, x->length, 0);
		if (result < 0 && !is_bearable(errno, x->name))
			return layer_fail_call(l, errno, "set an extended attribute");
	}
	return 0;
}

/* fchmodat2(2) is of Linux 6.6. The name may be a symlink by now, where a container is at work: then there is nothing to change. */
static int change_mode(int parent, const char *base, mode_t mode)
{
	int fd = openat(parent, base, O_PATH | O_NOFOLLOW | O_CLOEXEC), result = fd;
	char path[40];
	struct stat st;

	if (fd >= 0) {
		(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		result = fstat(fd, &st) == 0 && S_ISLNK(st.st_mode) ? 0 : chmod(path, mode);
		close(fd);
	}
	return result;
}

/* Owner, mode, attributes, times of what has just been made, in this order: chown clears set-id bits and capabilities. */
int layer_set_attributes(struct mr_layer *l, int parent, const char *base, const struct mr_entry *entry)
{
	struct timespec times[2];

	if (!(l->flags & MR_UNTAR_NO_OWNER) && fchownat(parent, base, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return layer_fail_call(l, errno, "change the owner");
	if (entry->type != '2' && change_mode(parent, base, entry->mode & 07777) < 0)
		return layer_fail_call(l, errno, "change the mode");
	int result = layer_set_xattrs(l, parent, base, -1, entry);
	if (result < 0)
		return result;
	times[0] = times[1] = layer_timespec(entry->seconds, entry->nanoseconds);
	if (utimensat(parent, base, times, AT_SYMLINK_NOFOLLOW) < 0)
		return layer_fail_call(l, errno, "set the times");
	return 0;
}

/* ---- The names that were copied up ------------------------------------------------------------------------------------- */

enum { FREE = 0, GONE = 1 };

static uint64_t name_key(int parent, const char *base)
{
	struct stat st;
	uint64_t hash = fstat(parent, &st) == 0 ? st.st_ino * UINT64_C(0x9e3779b97f4a7c15) : 0;

	for (; *base; base++)
		hash = (hash ^ (unsigned char)*base) * UINT64_C(0x100000001b3); /* FNV-1a */
	hash ^= hash >> 32;
	return hash > GONE ? hash : hash + 2;
}

/* The slot that holds the key, or the free one where the search for it ends. */
static size_t name_slot(const struct names *set, uint64_t key)
{
	size_t at = (size_t)key & (set->size - 1);

	while (set->slots[at] != FREE && set->slots[at] != key)
		at = (at + 1) & (set->size - 1);
	return at;
}

bool layer_is_copied(const struct mr_layer *l, int parent, const char *base)
{
	if (l->copied.count == 0)
		return false;
	uint64_t key = name_key(parent, base);
	return l->copied.slots[name_slot(&l->copied, key)] == key;
}

void layer_drop_copied(struct mr_layer *l, int parent, const char *base)
{
	if (l->copied.count == 0)
		return;
	uint64_t key = name_key(parent, base);
	size_t at = name_slot(&l->copied, key);
	if (l->copied.slots[at] == key) {
		l->copied.slots[at] = GONE;
		l->copied.count--;
	}
}

int layer_note_copied(struct mr_layer *l, int parent, const char *base)
{
	struct names *set = &l->copied;

	if (2 * (set->used + 1) > set->size) {
		struct names grown = { .size = set->size ? 2 * set->size : 64 };
		grown.slots = calloc(grown.size, sizeof *grown.slots);
		if (!grown.slots)
			return layer_fail_call(l, ENOMEM, "remember what was copied up");
		for (size_t i = 0; i < set->size; i++)
			if (set->slots[i] > GONE)
				grown.slots[name_slot(&grown, set->slots[i])] = set->slots[i];
		grown.count = grown.used = set->count;
		free(set->slots);
		*set = grown;
	}
	uint64_t key = name_key(parent, base);
	size_t at = name_slot(set, key);
	if (set->slots[at] == FREE) {
		set->slots[at] = key;
		set->used++;
		set->count++;
	}
	return 0;
}

/* ---- Copying up ------------------------------------------------------------------------------------------------------ */

static int copy_xattrs(struct mr_layer *l, int from, int to)
{
	char *names = malloc(2 * XATTRS_MAX);
	char *value = names + XATTRS_MAX;
	int result = 0;

	if (!names)
		return layer_fail_call(l, ENOMEM, "copy extended attributes");
	ssize_t length = flistxattr(from, names, XATTRS_MAX);
	for (char *name = names; length > 0 && name < names + length && result == 0; name += strlen(name) + 1) {
		ssize_t size = is_reserved(name) ? -1 : fgetxattr(from, name, value, XATTRS_MAX);
		if (size >= 0 && fsetxattr(to, name, value, (size_t)size, 0) < 0 && !is_bearable(errno, name))
			result = layer_fail_call(l, errno, "copy an extended attribute");
	}
	free(names);
	return result;
}

static int copy_data(struct mr_layer *l, int from, int to)
{
	char *piece = malloc(COPY_PIECE);
	int result = 0;
	ssize_t length;

	if (!piece)
		return layer_fail_call(l, ENOMEM, "copy a file of a lower layer");
	while ((length = read(from, piece, COPY_PIECE)) > 0) {
		for (ssize_t at = 0; at < length;) {
			ssize_t written = write(to, piece + at, (size_t)(length - at));
			if (written < 0) {
				result = layer_fail_call(l, errno, "copy a file of a lower layer");
				goto out;
			}
			at += written;
		}
	}
	if (length < 0)
		result = layer_fail_call(l, errno, "read a file of a lower layer");
out:
	free(piece);
	return result;
}

/* Set what a lower's inode has on `fd`, a directory or file that was just made. */
int layer_copy_attributes(struct mr_layer *l, int from, int fd, const struct stat *st)
{
	struct timespec times[2] = { st->st_mtim, st->st_mtim };

	if (fchown(fd, st->st_uid, st->st_gid) < 0 || fchmod(fd, st->st_mode & 07777) < 0)
		return layer_fail_call(l, errno, "copy the owner and mode of a lower layer's file");
	int result = copy_xattrs(l, from, fd);
	if (result < 0)
		return result;
	if (!S_ISDIR(st->st_mode) && futimens(fd, times) < 0)
		return layer_fail_call(l, errno, "copy the times of a lower layer's file");
	return 0;
}

static int copy_up_symlink(struct mr_layer *l, int from, int parent, const char *base, const struct stat *st)
{
	char target[PATH_MAX];
	struct timespec times[2] = { st->st_mtim, st->st_mtim };
	ssize_t length = readlinkat(from, "", target, sizeof target - 1);

	if (length < 0)
		return layer_fail_call(l, errno, "read a symbolic link of a lower layer");
	target[length] = '\0';
	if (symlinkat(target, parent, base) < 0 || fchownat(parent, base, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(parent, base, times, AT_SYMLINK_NOFOLLOW) < 0)
		return layer_fail_call(l, errno, "copy up a symbolic link of a lower layer");
	return 0;
}

/* Copy a file, symlink, fifo or device of a lower (`found`, O_PATH) to parent/base of the upper, so that it can be linked. */
static int copy_up_inode(struct mr_layer *l, int found, int parent, const char *base, const struct stat *st)
{
	struct mr_entry entry = { .type = '3', .mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid,
		                  .seconds = st->st_mtim.tv_sec, .nanoseconds = (uint32_t)st->st_mtim.tv_nsec };
	char path[40];

	if (S_ISLNK(st->st_mode))
		return copy_up_symlink(l, found, parent, base, st);
	if (!S_ISREG(st->st_mode)) {
		if (mknodat(parent, base, st->st_mode, st->st_rdev) < 0)
			return layer_fail_call(l, errno, "copy up a special file of a lower layer");
		return layer_set_attributes(l, parent, base, &entry);
	}
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", found); /* reopens the very inode that was found */
	int from = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (from < 0)
		return layer_fail_call(l, errno, "open a file of a lower layer");
	int to = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int result = to < 0 ? layer_fail_call(l, errno, "copy up a file of a lower layer") : copy_data(l, from, to);
	if (result == 0)
		result = layer_copy_attributes(l, from, to, st);
	if (to >= 0)
		close(to);
	close(from);
	return result;
}

int layer_copy_up(struct mr_layer *l, int found, int parent, const char *base, const struct stat *st)
{
	int result = copy_up_inode(l, found, parent, base, st);

	return result < 0 ? result : layer_note_copied(l, parent, base);
}
