/* layer_path.c: names of entries, and where they lead.
 *
 * Owns: cleaning names, the walk through upper and lowers, the descriptors of parents that are kept, errors as text.
 * Leaves to others: making entries (layer.c), copying (layer_copy.c). Why a walk of our own: layer.c.
 */
#include "layer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { LINKS_MAX = 40 }; /* as the kernel has it: path_resolution(7) */

#define OPAQUE "trusted.overlay.opaque"

/* ---- Errors ------------------------------------------------------------------------------------------------------------ */

int layer_fail(struct mr_layer *l, int result, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(l->reason, sizeof l->reason, format, arguments);
	va_end(arguments);
	return result;
}

/* A system call failed on behalf of an entry: is it the archive's shape or the host's state? */
int layer_fail_call(struct mr_layer *l, int reason, const char *what)
{
	switch (reason) {
	case ELOOP:
		return layer_fail(l, -EBADMSG, "%s: too many symbolic links", what);
	case ENOTDIR:
		return layer_fail(l, -EBADMSG, "%s: a part of the path is not a directory", what);
	case ENAMETOOLONG:
		return layer_fail(l, -EBADMSG, "%s: the name is too long", what);
	case EINVAL:
	case EFBIG:
	case ERANGE:
		return layer_fail(l, -EBADMSG, "%s: %s", what, strerror(reason));
	default:
		return layer_fail(l, -reason, "%s: %s", what, strerror(reason));
	}
}

/* ---- Names ----------------------------------------------------------------------------------------------------------- */

/* Clean a name: no leading or doubled slashes, no "."; ".." is refused wherever it stands, for no archiver writes it and
 * readers disagree on its meaning behind a symlink. "" is the root itself. */
int layer_clean(struct mr_layer *l, const char *name, char out[PATH_MAX])
{
	size_t used = strlen(l->beneath);

	memcpy(out, l->beneath, used);
	while (*name) {
		size_t length = strcspn(name, "/");
		if (length == 2 && name[0] == '.' && name[1] == '.')
			return layer_fail(l, -EBADMSG, "the name leaves the archive's directory by '..'");
		if (length > NAME_MAX || used + length + 3 > PATH_MAX) /* `split` needs a byte more */
			return layer_fail(l, -EBADMSG, "the name is too long");
		if (length > 0 && !(length == 1 && name[0] == '.')) {
			if (used)
				out[used++] = '/';
			memcpy(out + used, name, length);
			used += length;
		}
		name += length;
		name += strspn(name, "/");
	}
	out[used] = '\0';
	return 0;
}

bool layer_has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Split a cleaned name at its last slash: gives the base, `path` keeps the parent ("" for the root). */
char *layer_split(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash) {
		memmove(path + 1, path, strlen(path) + 1);
		*path = '\0';
		return path + 1;
	}
	*slash = '\0';
	return slash + 1;
}

/* ---- Parents that are kept ------------------------------------------------------------------------------------------- */

static struct parent *parent_slot(struct mr_layer *l, const char *path)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (const char *at = path; *at; at++)
		hash = (hash ^ (unsigned char)*at) * 16777619u;
	return &l->parents[(hash ^ hash >> 16) % PARENTS];
}

void layer_forget_parents(struct mr_layer *l)
{
	for (size_t i = 0; i < PARENTS; i++) {
		if (!l->parents[i].path)
			continue;
		close(l->parents[i].fd);
		free(l->parents[i].path);
		l->parents[i].path = NULL;
	}
}

static int keep_parent(struct mr_layer *l, const char *path, int fd)
{
	struct parent *slot = parent_slot(l, path);
	char *copy = strdup(path);

	if (!copy) {
		close(fd);
		return layer_fail_call(l, ENOMEM, "keep the parent directory");
	}
	if (slot->path) {
		close(slot->fd);
		free(slot->path);
	}
	*slot = (struct parent){ .path = copy, .fd = fd };
	return fd;
}

/* ---- The lowers ------------------------------------------------------------------------------------------------------ */

static bool none(const struct lowers *set)
{
	return set->bits[0] == 0 && set->bits[1] == 0;
}

static bool holds(const struct lowers *set, unsigned int i)
{
	return set->bits[i / 64] >> (i % 64) & 1;
}

bool layer_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

bool layer_is_opaque(int directory)
{
	char value;

	return fgetxattr(directory, OPAQUE, &value, 1) == 1 && value == 'y';
}

int layer_make_opaque(struct mr_layer *l, int directory)
{
	if (l->lower_count && fsetxattr(directory, OPAQUE, "y", 1, 0) < 0)
		return layer_fail_call(l, errno, "mark the directory opaque (" OPAQUE ")");
	return 0;
}

/* Find `path` (free of symlinks) in the lowers of `set`; `child` becomes the set that is below it when it is a directory.
 * Gives a descriptor of the topmost (of a directory readable, otherwise O_PATH), -ENOENT, or another -errno. */
int layer_find_below(const struct mr_layer *l, const struct lowers *set, const char *path, struct stat *st, struct lowers *child)
{
	int found = -1;

	memset(child, 0, sizeof *child);
	for (unsigned int i = 0; i < l->lower_count; i++) {
		struct stat here;
		if (!holds(set, i))
			continue;
		uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
		int fd = mr_openat2(l->lower[i], path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, resolve);
		if (fd == -ENOTDIR || fd == -ELOOP)
			fd = mr_openat2(l->lower[i], path, O_PATH | O_NOFOLLOW, 0, resolve);
		if (fd == -ENOENT)
			continue;
		if (fd < 0 || fstat(fd, &here) < 0) {
			int result = fd < 0 ? fd : -errno;
			if (fd >= 0)
				close(fd);
			if (found >= 0)
				close(found);
			return result;
		}
		bool directory = S_ISDIR(here.st_mode);
		bool last = !directory || layer_is_opaque(fd);
		if (directory)
			child->bits[i / 64] |= (uint64_t)1 << (i % 64);
		if (found < 0 && !layer_is_whiteout(&here)) {
			found = fd;
			*st = here;
		} else {
			close(fd);
		}
		if (last)
			break;
	}
	return found < 0 ? -ENOENT : found;
}

/* ---- Walking a path through upper and lowers ------------------------------------------------------------------------- */

/* Make the directory `name` in the upper directory `parent`, as the lower `found` is or (found < 0) a new one, and open it. */
static int make_parent(struct mr_layer *l, int parent, const char *name, int found, const struct stat *st)
{
	if (mkdirat(parent, name, 0755) < 0)
		return layer_fail_call(l, errno, "make a parent directory");
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return layer_fail_call(l, errno, "open a parent directory");
	int result;
	struct stat made;
	if (found >= 0)
		result = layer_copy_attributes(l, found, fd, st);
	else
		result = fchmod(fd, 0755) < 0 ? layer_fail_call(l, errno, "set the mode of a parent directory") : 0; /* whatever the umask */
	if (result == 0 && found >= 0)
		result = layer_note_copied(l, parent, name);
	if (result == 0 && found >= 0 && fstat(fd, &made) == 0) /* the archive says nothing of it, so it keeps its times */
		result = layer_remember_times(l, l->done, made.st_ino, st->st_mtim.tv_sec, (uint32_t)st->st_mtim.tv_nsec);
	if (result < 0) {
		close(fd);
		return result;
	}
	return fd;
}

/* Put a symlink's target before what is still to be resolved. */
static int splice_link(struct mr_layer *l, int parent, const char *name, unsigned int *links)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(parent, name, target, sizeof target - 1);

	if (length < 0)
		return layer_fail_call(l, errno, "read a symbolic link in the path");
	target[length] = '\0';
	if (++*links > LINKS_MAX)
		return layer_fail(l, -EBADMSG, "the path has too many symbolic links");
	int needed = snprintf(l->spliced, sizeof l->spliced, "%s/%s", target, l->pending);
	if (needed < 0 || (size_t)needed >= sizeof l->spliced)
		return layer_fail(l, -EBADMSG, "the path becomes too long by a symbolic link");
	memcpy(l->pending, l->spliced, (size_t)needed + 1);
	return target[0] == '/';
}

struct walk {
	int fd; /* the upper directory at `done` */
	unsigned int links;
	bool create;
};

/* Go back to `done` as it now stands (after ".." or an absolute link). */
static int reopen(struct mr_layer *l, struct walk *w)
{
	int fd = mr_openat2(l->root, l->done[0] ? l->done : ".", O_RDONLY | O_DIRECTORY, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);

	if (fd < 0)
		return layer_fail_call(l, -fd, "open a parent directory");
	close(w->fd);
	w->fd = fd;
	return 0;
}

static int follow(struct mr_layer *l, struct walk *w, const char *name, size_t keep)
{
	int absolute = splice_link(l, w->fd, name, &w->links);

	l->done[keep] = '\0';
	if (absolute != 1)
		return absolute;
	l->done[0] = '\0';
	l->depth = 0;
	return reopen(l, w);
}

/* One component that isn't "." or "..". `keep` is the length of `done` without it. */
static int step(struct mr_layer *l, struct walk *w, size_t keep)
{
	const char *name = l->done + keep + (keep > 0);
	const struct lowers *below = &l->below[l->depth];
	struct lowers child = { { 0 } };
	struct stat st;
	int next, found = -ENOENT;

	if (fstatat(w->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISLNK(st.st_mode))
			return follow(l, w, name, keep);
		if (layer_is_whiteout(&st)) { /* deleted by this layer, needed again: a new directory that hides what was there */
			if (!w->create)
				return layer_fail(l, -ENOENT, "the parent directory was deleted");
			if (unlinkat(w->fd, name, 0) < 0)
				return layer_fail_call(l, errno, "replace a deleted directory");
			next = make_parent(l, w->fd, name, -1, NULL);
			int result = next < 0 ? next : layer_make_opaque(l, next);
			if (result < 0) {
				if (next >= 0)
					close(next);
				return result;
			}
		} else if (S_ISDIR(st.st_mode)) {
			next = openat(w->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (next < 0)
				return layer_fail_call(l, errno, "open a parent directory");
			if (!none(below) && !layer_is_opaque(next)) {
				found = layer_find_below(l, below, l->done, &st, &child);
				if (found >= 0)
					close(found);
			}
		} else {
			return layer_fail_call(l, ENOTDIR, "find the parent directory");
		}
	} else if (errno != ENOENT) {
		return layer_fail_call(l, errno, "find the parent directory");
	} else {
		if (!none(below))
			found = layer_find_below(l, below, l->done, &st, &child);
		if (found < 0 && found != -ENOENT)
			return layer_fail_call(l, -found, "look into a lower layer");
		if (found < 0 && !w->create)
			return layer_fail(l, -ENOENT, "there is no such file");
		if (found >= 0 && S_ISLNK(st.st_mode)) {
			int result = layer_copy_up(l, found, w->fd, name, &st);
			close(found);
			return result < 0 ? result : follow(l, w, name, keep);
		}
		if (found >= 0 && !S_ISDIR(st.st_mode)) {
			close(found);
			return layer_fail_call(l, ENOTDIR, "find the parent directory");
		}
		next = make_parent(l, w->fd, name, found, &st);
		if (found >= 0)
			close(found);
	}
	if (next < 0)
		return next;
	close(w->fd);
	w->fd = next;
	l->below[++l->depth] = child;
	return 0;
}

/* Resolve `path` to a directory of the upper, in the root, as if upper and lowers were one; what is passed through is copied up.
 * `create` also makes directories that are nowhere. A descriptor or -errno (-ENOENT: not there). */
int layer_walk(struct mr_layer *l, const char *path, bool create)
{
	struct walk w = { .fd = openat(l->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), .create = create };

	if (w.fd < 0)
		return layer_fail_call(l, errno, "open the root directory");
	(void)snprintf(l->pending, sizeof l->pending, "%s", path);
	l->walked = false;
	l->done[0] = '\0';
	l->depth = 0;
	memset(&l->below[0], 0, sizeof l->below[0]);
	for (unsigned int i = 0; i < l->lower_count; i++)
		l->below[0].bits[i / 64] |= (uint64_t)1 << (i % 64);

	size_t skip;
	while (l->pending[skip = strspn(l->pending, "/")]) {
		size_t length = strcspn(l->pending + skip, "/");
		size_t keep = strlen(l->done);
		char *name = l->pending + skip;
		int result = 0;
		if (length == 2 && name[0] == '.' && name[1] == '.') {
			char *slash = strrchr(l->done, '/');
			*(slash ? slash : l->done) = '\0';
			memmove(l->pending, name + length, strlen(name + length) + 1);
			if (l->depth > 0) {
				l->depth--;
				result = reopen(l, &w);
			}
		} else if (length == 1 && name[0] == '.') {
			memmove(l->pending, name + length, strlen(name + length) + 1);
		} else if (keep + length + 2 > sizeof l->done) {
			result = layer_fail(l, -EBADMSG, "the path becomes too long by a symbolic link");
		} else {
			if (keep)
				l->done[keep] = '/';
			memcpy(l->done + keep + (keep > 0), name, length);
			l->done[keep + (keep > 0) + length] = '\0';
			memmove(l->pending, name + length, strlen(name + length) + 1);
			result = step(l, &w, keep);
		}
		if (result < 0) {
			close(w.fd);
			return result;
		}
	}
	l->walked = true;
	(void)snprintf(l->walked_path, sizeof l->walked_path, "%s", path);
	return w.fd;
}

int layer_has_below(struct mr_layer *l, const char *directory, const char *name, struct stat *st)
{
	struct lowers child;

	if (!l->walked || strcmp(l->walked_path, directory) != 0) {
		int fd = layer_walk(l, directory, false);
		if (fd < 0)
			return fd;
		close(fd);
	}
	if (none(&l->below[l->depth]))
		return -ENOENT;
	size_t keep = strlen(l->done);
	if (keep + strlen(name) + 2 > sizeof l->done)
		return layer_fail_call(l, ENAMETOOLONG, "look into a lower layer");
	(void)snprintf(l->done + keep, sizeof l->done - keep, "%s%s", keep ? "/" : "", name);
	int found = layer_find_below(l, &l->below[l->depth], l->done, st, &child);
	l->done[keep] = '\0';
	if (found < 0 && found != -ENOENT)
		return layer_fail_call(l, -found, "look into a lower layer");
	return found;
}

/* The upper directory that `path` (cleaned) leads to. The descriptor stays the layer's. */
int layer_parent_of(struct mr_layer *l, const char *path, bool create)
{
	if (!*path)
		return l->root;
	struct parent *slot = parent_slot(l, path);
	if (slot->path && strcmp(slot->path, path) == 0)
		return slot->fd;
	uint64_t mounts = l->flags & MR_UNTAR_COPY ? 0 : RESOLVE_NO_XDEV; /* a container's volumes lie in its tree */
	int fd = mr_openat2(l->root, path, O_RDONLY | O_DIRECTORY, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | mounts);
	if (fd == -ENOENT || fd == -ENOTDIR)
		fd = layer_walk(l, path, create); /* not in the upper, or behind a whiteout */
	else if (fd < 0)
		return layer_fail_call(l, -fd, "find the parent directory");
	return fd < 0 ? fd : keep_parent(l, path, fd);
}

