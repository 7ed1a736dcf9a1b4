/* layer.c: one entry of a layer archive becomes files beneath a root descriptor, in the form that overlayfs stacks.
 *
 * Owns: where an entry goes, what stands in its way, whiteouts, links, attributes. Leaves to others: the archive's format
 * (untar.c), limits (untar.c), what a regular file gets once it is made (layer_files.c), which directories lie below (Python).
 *
 * The directory that is filled (the upper) is only the difference to the layers below (the lowers), yet an entry means
 * what it would mean in the whole: `bin/x` goes to usr/bin when a lower has /bin -> usr/bin; a parent that the archive
 * doesn't mention keeps its owner and mode; a hard link may lead to a file of a lower. The rule that makes all three right:
 *
 *     What the resolution of a path passes through is copied up (directory, symlink, target of a hard link) before it is used.
 *
 * Afterwards the upper alone tells the truth about this path: openat2(RESOLVE_IN_ROOT) on it gives what a resolution in the
 * mounted overlay would give, since an overlay asks the upper first at each component. So a parent is looked for in the upper
 * (one system call), and only when that fails is it walked component by component through upper and lowers.
 * The descriptors of parents are kept; they become stale only when something in the upper is removed that is a directory or
 * a symlink, and then all are given up before the next entry. docs/decisions/ has the reasons against mounting an overlay for this.
 *
 * Privilege: CAP_CHOWN, CAP_FOWNER, CAP_MKNOD, CAP_SYS_ADMIN (trusted.* attributes).
 */
#include "layer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { PRUNE_DEPTH = 256 };

#define WHITEOUT ".wh."
#define WHITEOUT_META ".wh..wh." /* aufs' own files, and the opaque mark */
#define WHITEOUT_OPAQUE ".wh..wh..opq"

/* ---- Making entries -------------------------------------------------------------------------------------------------- */

static int change_owner(const struct mr_layer *l, int fd, const struct mr_entry *entry)
{
	return l->flags & MR_UNTAR_NO_OWNER ? 0 : fchown(fd, entry->uid, entry->gid);
}

/* The whole name of the entry at hand, for messages. */
static const char *name_of(struct mr_layer *l, const char *base)
{
	(void)snprintf(l->spliced, sizeof l->spliced, "%.3000s%s%.255s", l->path, l->path[0] ? "/" : "", base);
	return l->spliced;
}

/* Remove what stands in the way of parent/base. 1: something was there, 0: nothing was, -errno. The parents that are kept become
 * stale by it, but not before the entry is done: `parent` may have been reached through what is removed here. */
static int clear_way(struct mr_layer *l, int parent, const char *base)
{
	struct stat st;

	if (fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : layer_fail_call(l, errno, "look at what is there");
	if (S_ISDIR(st.st_mode) && l->flags & MR_UNTAR_COPY)
		return layer_fail(l, -EBADMSG, "cannot overwrite directory \"/%s\" with non-directory \"/%s\"", name_of(l, base), l->beneath);
	if (S_ISDIR(st.st_mode)) {
		int result = mr_remove_tree(parent, base);
		l->stale = true;
		return result < 0 ? layer_fail_call(l, -result, "remove the directory that is in the way") : 1;
	}
	if (unlinkat(parent, base, 0) < 0)
		return layer_fail_call(l, errno, "remove the file that is in the way");
	l->stale |= S_ISLNK(st.st_mode);
	return 1;
}

static int make_directory(struct mr_layer *l, int parent, const char *base, const struct mr_entry *entry)
{
	struct stat st;
	bool replaced = false;

	if (mkdirat(parent, base, 0700) < 0) {
		if (errno != EEXIST || fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return layer_fail_call(l, errno, "make the directory");
		if (!S_ISDIR(st.st_mode) && l->flags & MR_UNTAR_COPY)
			return layer_fail(l, -EBADMSG, "cannot overwrite non-directory \"/%s\" with directory \"/%s\"", name_of(l, base), l->beneath);
		if (!S_ISDIR(st.st_mode)) {
			int result = clear_way(l, parent, base);
			if (result < 0)
				return result;
			replaced = true;
			if (mkdirat(parent, base, 0700) < 0)
				return layer_fail_call(l, errno, "make the directory");
		}
	}
	int fd = openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return layer_fail_call(l, errno, "open the directory");
	int result = 0;
	if (replaced) /* what was in the way hid a lower's directory of this name, and so must its successor */
		result = layer_make_opaque(l, fd);
	if (result == 0 && !(l->flags & MR_UNTAR_SPOOL)) {
		if (change_owner(l, fd, entry) < 0)
			result = layer_fail_call(l, errno, "change the owner");
		else if (fchmod(fd, entry->mode & 07777) < 0)
			result = layer_fail_call(l, errno, "change the mode");
		else
			result = layer_set_xattrs(l, parent, base, fd, entry);
		if (result == 0 && fstat(fd, &st) < 0)
			result = layer_fail_call(l, errno, "look at the directory");
	}
	close(fd);
	if (result < 0 || (l->flags & MR_UNTAR_SPOOL))
		return result;
	char whole[PATH_MAX + NAME_MAX];
	(void)snprintf(whole, sizeof whole, "%s%s%s", l->path, l->path[0] ? "/" : "", base);
	return layer_remember_times(l, whole, st.st_ino, entry->seconds, entry->nanoseconds);
}

static void remember_file(struct mr_layer *l, int parent, const char *base)
{
	if (!(l->flags & MR_UNTAR_COPY))
		return; /* the whole tree is thrown away */
	if (l->file_parent >= 0)
		close(l->file_parent);
	l->file_parent = fcntl(parent, F_DUPFD_CLOEXEC, 3);
	(void)snprintf(l->file_base, sizeof l->file_base, "%s", base);
}

/* Take a file away that can't be finished, if it still is where it was made. */
static void abandon_file(const struct mr_layer *l)
{
	struct stat made, there;

	if (l->file_parent >= 0 && fstat(l->file, &made) == 0 && fstatat(l->file_parent, l->file_base, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    made.st_ino == there.st_ino && made.st_dev == there.st_dev)
		unlinkat(l->file_parent, l->file_base, 0);
}

/* With the mode that it is to have, which with a common umask is the mode that it gets: see set_owner_and_mode. What others can
 * reach at once stays closed until it is theirs. */
static int make_file(struct mr_layer *l, int parent, const char *base, const struct mr_entry *entry)
{
	mode_t mode = l->flags & (MR_UNTAR_COPY | MR_UNTAR_SPOOL) ? 0600 : entry->mode & 0777;

	for (int attempt = 0; attempt < 2; attempt++) {
		l->file = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
		if (l->file >= 0) {
			remember_file(l, parent, base);
			return 1;
		}
		if (errno != EEXIST)
			break;
		int result = clear_way(l, parent, base);
		if (result < 0)
			return result;
	}
	return layer_fail_call(l, errno, "make the file");
}

static int make_node_once(int parent, const char *base, const struct mr_entry *entry)
{
	static const mode_t kinds[] = { ['3'] = S_IFCHR, ['4'] = S_IFBLK, ['6'] = S_IFIFO };

	if (entry->type == '2')
		return symlinkat(entry->link, parent, base);
	return mknodat(parent, base, kinds[(unsigned char)entry->type] | 0600, makedev(entry->major, entry->minor));
}

/* A symlink, device or fifo. */
static int make_node(struct mr_layer *l, int parent, const char *base, const struct mr_entry *entry)
{
	if (entry->type == '2' && (!entry->link[0] || strlen(entry->link) >= PATH_MAX))
		return layer_fail(l, -EBADMSG, "the target of the symbolic link is %s", entry->link[0] ? "too long" : "empty");
	if (make_node_once(parent, base, entry) < 0) {
		if (errno != EEXIST)
			return layer_fail_call(l, errno, entry->type == '2' ? "make the symbolic link" : "make the special file");
		int result = clear_way(l, parent, base);
		if (result < 0)
			return result;
		if (make_node_once(parent, base, entry) < 0)
			return layer_fail_call(l, errno, "make the special file");
	}
	return l->flags & MR_UNTAR_SPOOL ? 0 : layer_set_attributes(l, parent, base, entry);
}

/* Find a hard link's target in upper or lowers; a lower's is copied up. Gives its stat. */
static int find_target(struct mr_layer *l, int parent, const char *directory, const char *base, struct stat *st)
{
	if (fstatat(parent, base, st, AT_SYMLINK_NOFOLLOW) == 0)
		return layer_is_whiteout(st) ? layer_fail(l, -EBADMSG, "the target of the hard link was deleted") : 0;
	if (errno != ENOENT)
		return layer_fail_call(l, errno, "find the target of the hard link");
	if (l->lower_count) {
		int found = layer_has_below(l, directory, base, st);
		if (found < 0 && found != -ENOENT)
			return found;
		if (found >= 0) {
			int result = S_ISDIR(st->st_mode) ? 0 : layer_copy_up(l, found, parent, base, st);
			close(found);
			if (result < 0 || S_ISDIR(st->st_mode))
				return result;
			return fstatat(parent, base, st, AT_SYMLINK_NOFOLLOW) < 0 ? layer_fail_call(l, errno, "find the copied file") : 0;
		}
	}
	return layer_fail(l, -EBADMSG, "the target of the hard link doesn't exist");
}

static int make_link(struct mr_layer *l, int parent, const char *base, const struct mr_entry *entry)
{
	struct stat target_st, st;
	int result = layer_clean(l, entry->link, l->target);

	if (result < 0)
		return result;
	if (!l->target[0])
		return layer_fail(l, -EBADMSG, "a hard link can't lead to the root directory");
	char *target_base = layer_split(l->target);
	/* The parents may share a slot: hold one of them by a descriptor of our own. */
	int from = layer_parent_of(l, l->target, false);
	if (from == -ENOENT)
		return layer_fail(l, -EBADMSG, "the target of the hard link doesn't exist");
	if (from < 0)
		return from;
	from = fcntl(from, F_DUPFD_CLOEXEC, 0);
	if (from < 0)
		return layer_fail_call(l, errno, "keep the directory of the hard link's target");
	result = find_target(l, from, l->target, target_base, &target_st);
	if (result == 0 && S_ISDIR(target_st.st_mode))
		result = layer_fail(l, -EBADMSG, "a hard link can't lead to a directory");
	if (result == 0)
		result = parent = layer_parent_of(l, l->path, true); /* looking for the target may have displaced it */
	if (result < 0)
		goto out;
	if (fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == target_st.st_ino && st.st_dev == target_st.st_dev) {
		result = 0; /* a link to itself, or the same link again */
		goto out;
	}
	result = clear_way(l, parent, base);
	if (result < 0)
		goto out;
	result = 0;
	if (linkat(from, target_base, parent, base, 0) < 0)
		result = errno == ENOENT ? layer_fail(l, -EBADMSG, "the hard link replaces its own target")
					 : layer_fail_call(l, errno, "make the hard link");
out:
	close(from);
	return result;
}

static int make(struct mr_layer *l, int parent, const char *base, const struct mr_entry *entry)
{
	switch (entry->type) {
	case '0':
		return make_file(l, parent, base, entry);
	case '1':
		return make_link(l, parent, base, entry);
	case '5':
		return make_directory(l, parent, base, entry);
	default:
		return make_node(l, parent, base, entry);
	}
}

/* ---- Whiteouts ------------------------------------------------------------------------------------------------------- */

/* Take out of an upper directory what is there only because a path led through it or a hard link wanted it: the layer doesn't
 * name it, so what hides the lowers hides this too. Directories that then hold nothing go as well. */
static int prune(struct mr_layer *l, int directory, unsigned int depth)
{
	int own = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = own < 0 ? NULL : fdopendir(own);
	struct dirent *entry;
	int result = 0;

	if (!listing) {
		result = layer_fail_call(l, errno, "list the directory");
		if (own >= 0)
			close(own);
		return result;
	}
	while (result == 0 && (entry = readdir(listing))) {
		const char *name = entry->d_name;
		struct stat st;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		bool copied = layer_is_copied(l, directory, name);
		if (S_ISDIR(st.st_mode)) {
			int child = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (child < 0 || depth == PRUNE_DEPTH)
				result = layer_fail(l, -EBADMSG, "what the whiteout hides is nested too deeply");
			else if (!layer_is_opaque(child)) /* nothing is copied up below an opaque one */
				result = prune(l, child, depth + 1);
			if (child >= 0)
				close(child);
		}
		if (result == 0 && (copied || layer_is_whiteout(&st)) && unlinkat(directory, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) == 0)
			layer_drop_copied(l, directory, name);
	}
	closedir(listing);
	return result;
}

/* Let a directory of the upper hide all that the lowers have in it. */
static int hide_content(struct mr_layer *l, int directory)
{
	if (!l->lower_count || layer_is_opaque(directory))
		return 0;
	int result = layer_make_opaque(l, directory);
	l->walked = false;
	if (result == 0 && (l->copied.count || l->hides)) {
		result = prune(l, directory, 0);
		l->stale = true;
	}
	return result;
}

static int make_whiteout(struct mr_layer *l, int parent, const char *name)
{
	if (mknodat(parent, name, S_IFCHR, 0) < 0)
		return layer_fail_call(l, errno, "make the whiteout");
	l->hides = true;
	return 0;
}

/* Hide `name` of the layers below in `parent`, which is where the path `directory` leads. What this layer itself has put there stays, in
 * whatever order the archive says it (image-spec, layer.md: whiteouts only apply to lower layers); a directory then hides the lower
 * one by being opaque. */
static int hide(struct mr_layer *l, int parent, const char *directory, const char *name)
{
	struct stat st;
	int result = 0;

	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return layer_fail(l, -EBADMSG, "the whiteout names no file");
	if (!l->lower_count)
		return 0;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		int found = errno == ENOENT ? layer_has_below(l, directory, name, &st) : -errno;
		if (found == -ENOENT)
			return 0; /* a whiteout of nothing would be seen by who lists the directory: overlayfs filters merged ones only */
		if (found < 0)
			return found;
		close(found);
		return make_whiteout(l, parent, name);
	}
	bool copied = layer_is_copied(l, parent, name);
	if (S_ISDIR(st.st_mode)) {
		int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return layer_fail_call(l, errno, "open the directory");
		result = hide_content(l, fd);
		close(fd);
		if (result == 0 && copied && unlinkat(parent, name, AT_REMOVEDIR) == 0) {
			layer_drop_copied(l, parent, name);
			result = make_whiteout(l, parent, name);
		}
		return result;
	}
	if (!copied)
		return 0;
	layer_drop_copied(l, parent, name);
	if (unlinkat(parent, name, 0) < 0)
		return layer_fail_call(l, errno, "remove what was copied up");
	l->stale = true;
	return make_whiteout(l, parent, name);
}

static bool is_root(const struct mr_layer *l, int directory)
{
	struct stat here, root;

	return fstat(directory, &here) == 0 && fstat(l->root, &root) == 0 && here.st_ino == root.st_ino && here.st_dev == root.st_dev;
}

/* Overlayfs doesn't look whether a layer's root is opaque: each name that a lower has there is hidden by itself. */
static int hide_root(struct mr_layer *l)
{
	int result = 0;

	if (l->root_hidden)
		return 0;
	for (unsigned int i = 0; i < l->lower_count && result == 0; i++) {
		int own = openat(l->lower[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *listing = own < 0 ? NULL : fdopendir(own);
		struct dirent *entry;
		if (!listing) {
			result = layer_fail_call(l, errno, "list a lower layer");
			if (own >= 0)
				close(own);
			return result;
		}
		while (result == 0 && (entry = readdir(listing)))
			if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
				result = hide(l, l->root, "", entry->d_name);
		closedir(listing);
	}
	l->root_hidden = result == 0;
	return result;
}

/* 1: the entry was a whiteout or aufs' own and is dealt with. 0: it isn't one. */
static int whiteout(struct mr_layer *l, const char *base, const struct mr_entry *entry)
{
	bool device = entry->type == '3' && entry->major == 0 && entry->minor == 0; /* overlayfs' own form */
	bool opaque = strcmp(base, WHITEOUT_OPAQUE) == 0;

	if (layer_has_prefix(l->path, WHITEOUT_META) || strstr(l->path, "/" WHITEOUT_META))
		return 1; /* below a directory of aufs */
	if (!opaque && layer_has_prefix(base, WHITEOUT_META))
		return 1;
	if (layer_has_prefix(l->path, WHITEOUT) || strstr(l->path, "/" WHITEOUT))
		return layer_fail(l, -EBADMSG, "a directory can't be named " WHITEOUT "*");
	if (!device && !layer_has_prefix(base, WHITEOUT))
		return 0;
	int parent = layer_parent_of(l, l->path, false);
	if (parent == -ENOENT)
		return 1; /* no such directory: nothing to hide */
	if (parent < 0)
		return parent;
	int result;
	if (opaque && is_root(l, parent))
		result = hide_root(l);
	else
		result = opaque ? hide_content(l, parent) : hide(l, parent, l->path, device ? base : base + strlen(WHITEOUT));
	return result < 0 ? result : 1;
}

/* ---- The interface --------------------------------------------------------------------------------------------------- */

struct mr_layer *mr_layer_new(int root, const int *lowers, unsigned int count, unsigned int flags)
{
	struct mr_layer *l = count > MR_UNTAR_LOWERS ? NULL : calloc(1, sizeof *l);

	if (!l)
		return NULL;
	l->root = root;
	l->lower_count = count;
	l->flags = flags;
	l->file = l->file_parent = -1;
	for (unsigned int i = 0; i < count; i++)
		l->lower[i] = lowers[i];
	return l;
}

int mr_layer_beneath(struct mr_layer *l, const char *directory)
{
	char cleaned[PATH_MAX];
	int result;

	l->beneath[0] = '\0';
	result = layer_clean(l, directory, cleaned);
	if (result == 0)
		memcpy(l->beneath, cleaned, sizeof cleaned);
	return result;
}

int mr_layer_entry(struct mr_layer *l, const struct mr_entry *entry)
{
	l->reason[0] = '\0';
	if (l->stale) {
		layer_forget_parents(l);
		l->walked = l->stale = false;
	}
	int result = layer_clean(l, entry->name, l->path);
	if (result < 0)
		return result;
	if (!l->path[0]) /* the root: its owner and mode are the store's (docker skips the entry too) */
		return entry->type == '5' ? 0 : layer_fail(l, -EBADMSG, "only a directory can be the root");
	char base[NAME_MAX + 1];
	(void)snprintf(base, sizeof base, "%s", layer_split(l->path)); /* l->path is the parent from here on */
	if (l->flags & MR_UNTAR_SPOOL) {
		if (entry->type == '3' || entry->type == '4' || entry->type == '6')
			return layer_fail(l, -EBADMSG, "a device or fifo has no place in this archive");
	} else if (!(l->flags & MR_UNTAR_COPY)) {
		result = whiteout(l, base, entry);
		if (result != 0)
			return result < 0 ? result : 0;
	}
	int parent = layer_parent_of(l, l->path, true);
	if (parent < 0)
		return parent;
	layer_drop_copied(l, parent, base); /* the layer names it now */
	result = make(l, parent, base, entry);
	if (result >= 0 && l->copied.count && entry->type == '1') {
		parent = layer_parent_of(l, l->path, true); /* a link to itself was copied up in between */
		if (parent < 0)
			return parent;
		layer_drop_copied(l, parent, base);
	}
	return result;
}

int mr_layer_finish(struct mr_layer *l)
{
	for (size_t at = 0; at < l->times_used;) {
		struct later later;
		struct stat st;
		struct timespec times[2];
		memcpy(&later, l->times + at, sizeof later);
		const char *path = l->times + at + sizeof later;
		at += (sizeof later + later.length + 7) & ~(size_t)7;
		int fd = mr_openat2(l->root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
		if (fd < 0)
			continue; /* replaced by a later entry */
		times[0] = times[1] = layer_timespec(later.seconds, later.nanoseconds);
		int result = fstat(fd, &st) == 0 && st.st_ino == later.inode ? futimens(fd, times) : 0;
		int reason = errno;
		close(fd);
		if (result < 0)
			return layer_fail_call(l, reason, "set the times of a directory");
	}
	return 0;
}

const char *mr_layer_reason(const struct mr_layer *l)
{
	return l->reason;
}

void mr_layer_free(struct mr_layer *l)
{
	if (!l)
		return;
	layer_free_files(l);
	layer_forget_parents(l);
	if (l->file >= 0) {
		abandon_file(l);
		close(l->file);
	}
	if (l->file_parent >= 0)
		close(l->file_parent);
	free(l->copied.slots);
	free(l->times);
	free(l);
}
