/* layer.h: what the four files behind mr_layer_* share.
 *
 *     layer.c        entries: what stands in the way, links, whiteouts
 *     layer_path.c   names, and where they lead in the upper and the lowers
 *     layer_files.c  what a regular file holds, and its attributes
 *     layer_copy.c   attributes, and copying up what a lower has
 *
 * Functions give a number >= 0 or -errno and leave the reason in the layer.
 */
#ifndef MINIRUN_LAYER_H
#define MINIRUN_LAYER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <sys/stat.h>

#include "minirun.h"
#include "untar.h"

enum { PARENTS = 64 }; /* descriptors of parent directories that are kept */

/* Which lowers still take part at a place: an opaque directory or a file hides those below it. */
struct lowers {
	uint64_t bits[MR_UNTAR_LOWERS / 64];
};

struct parent {
	char *path;
	int fd;
};

/* A directory's times are set at the end, because making its entries changes them. */
struct later {
	uint64_t inode;
	int64_t seconds;
	uint32_t nanoseconds;
	uint32_t length; /* of the path that follows, with its NUL */
};

/* A set of names, each the hash of its directory's inode and itself, by open addressing. */
struct names {
	uint64_t *slots; /* 0: free, 1: was taken */
	size_t size;     /* a power of two, or 0 */
	size_t used;     /* slots that aren't free */
	size_t count;
};

struct files; /* layer_files.c */

struct mr_layer {
	int root;
	unsigned int lower_count;
	unsigned int flags;
	int lower[MR_UNTAR_LOWERS];
	struct parent parents[PARENTS];
	bool root_hidden;
	bool hides; /* there are whiteouts in the upper */
	bool stale; /* a directory or symlink was removed: the parents that are kept may lead elsewhere now */
	int file; /* the regular file that is being written */
	struct files *files; /* that are handed over; NULL until there is one */
	int file_parent; /* with MR_UNTAR_COPY: where it lies, to take it away if it can't be finished */
	char file_base[NAME_MAX + 1];
	char *times;
	size_t times_used;
	size_t times_size;
	char beneath[PATH_MAX]; /* what stands before each name; "" for nothing */
	char path[PATH_MAX];    /* the entry's name, cleaned */
	char target[PATH_MAX];  /* a hard link's target, cleaned */
	char done[PATH_MAX];    /* walk: the path so far, free of symlinks */
	char pending[PATH_MAX]; /* walk: what is still to be resolved */
	char spliced[PATH_MAX];
	unsigned int depth;     /* walk: components of `done` */
	bool walked;            /* walk: `done`, `depth` and `below` hold for `walked_path` */
	char walked_path[PATH_MAX];
	struct lowers below[PATH_MAX / 2 + 1]; /* walk: the lowers at each depth of `done` */
	struct names copied;    /* what was copied up: there only because it was passed through, the layer doesn't name it */
	char reason[256];
};

/* ---- layer_path.c */

int layer_fail(struct mr_layer *l, int result, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A system call failed on behalf of an entry: -EBADMSG when the archive's shape is the cause, else -reason. */
int layer_fail_call(struct mr_layer *l, int reason, const char *what);
bool layer_has_prefix(const char *text, const char *prefix);
/* Clean a name: no leading or doubled slashes, no "."; ".." is refused; what all names lie beneath stands before it. "" is the root. */
int layer_clean(struct mr_layer *l, const char *name, char out[PATH_MAX]);
/* Split a cleaned name at its last slash: gives the base, `path` keeps the parent ("" for the root). */
char *layer_split(char *path);
/* The upper directory that `path` (cleaned) leads to; the descriptor stays the layer's. `create` makes what is nowhere. */
int layer_parent_of(struct mr_layer *l, const char *path, bool create);
/* Give up the descriptors that layer_parent_of keeps: a directory or symlink was removed. */
void layer_forget_parents(struct mr_layer *l);
/* As layer_parent_of, through upper and lowers component by component; leaves `done` and `below`. A new descriptor. */
int layer_walk(struct mr_layer *l, const char *path, bool create);
/* Find `path` (free of symlinks) in the lowers of `set`; `child` becomes the set below it when it is a directory. Gives a
 * descriptor of the topmost (a directory's is readable, any other O_PATH), -ENOENT, or another -errno. */
int layer_find_below(const struct mr_layer *l, const struct lowers *set, const char *path, struct stat *st, struct lowers *child);
/* Find `name` of the directory `directory` (cleaned) in the lowers that count there: a descriptor as layer_find_below gives it,
 * -ENOENT, or another -errno. */
int layer_has_below(struct mr_layer *l, const char *directory, const char *name, struct stat *st);
bool layer_is_whiteout(const struct stat *st);
bool layer_is_opaque(int directory);
/* Let `directory` hide the lower ones of its name; nothing when there are no lowers. */
int layer_make_opaque(struct mr_layer *l, int directory);

/* ---- layer_files.c */

/* Wait until all files are complete that were handed over; a file that couldn't be completed is the error. 0 or -errno. */
int layer_settle(struct mr_layer *l);
void layer_free_files(struct mr_layer *l);

/* ---- layer_copy.c */

struct timespec layer_timespec(int64_t seconds, uint32_t nanoseconds);
int layer_remember_times(struct mr_layer *l, const char *path, uint64_t inode, int64_t seconds, uint32_t nanoseconds);
/* On `fd`, or (fd < 0) on parent/base without following it. */
int layer_set_xattrs(struct mr_layer *l, int parent, const char *base, int fd, const struct mr_entry *entry);
/* Owner, mode, extended attributes, times of a symlink or special file that has just been made. */
int layer_set_attributes(struct mr_layer *l, int parent, const char *base, const struct mr_entry *entry);
/* Give `fd`, a directory or file that was just made, what the lower's `from` has. */
int layer_copy_attributes(struct mr_layer *l, int from, int fd, const struct stat *st);
/* Copy what a lower has (`found`; no directory) to parent/base of the upper, and note it. */
int layer_copy_up(struct mr_layer *l, int found, int parent, const char *base, const struct stat *st);
/* `copied`: note that parent/base was copied up; is it; forget it, because the layer names it or because it is gone. */
int layer_note_copied(struct mr_layer *l, int parent, const char *base);
bool layer_is_copied(const struct mr_layer *l, int parent, const char *base);
void layer_drop_copied(struct mr_layer *l, int parent, const char *base);

#endif
